"""List the machines of a Ray cluster, and share out their cores and GPUs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from tasks.errors import ConfigurationError
from tasks.shown import shown

CORES_VARIABLE = "VIDEO_AUDIO_TAGS_UNIT_CORES"
"""The environment variable that says how many cores extract a unit."""

# Feeding a GPU takes a little more than one core.
_CORES_PER_GPU = 2.0
_CORES_PER_UNIT = 4
# A model of AST's size keeps this many cores busy; with more, threads wait for each other.
_CORES_PER_CPU_TAGGER = 8


_list_nodes: Any = ray.nodes  # untyped


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster as Ray lists it.

    Attributes:
        node: Ray's id of it.
        address: its host.
        cores, gpus: how many Ray may use.
    """

    node: str
    address: str
    cores: float
    gpus: int


def machines() -> list[Machine]:
    """List the machines that are up and have a core or GPU for Ray."""
    found = [
        Machine(
            node["NodeID"],
            node["NodeManagerAddress"],
            node["Resources"].get("CPU", 0.0),
            int(node["Resources"].get("GPU", 0)),
        )
        for node in _list_nodes()
        if node["Alive"]
    ]
    return [machine for machine in found if machine.cores or machine.gpus]


@dataclass(frozen=True)
class Shares:
    """How a cluster is shared out between extraction and tagging.

    Attributes:
        taggers: processes with the model: one for each GPU, or for each block of cores.
        tagger_gpus, tagger_cores: GPUs and cores of each such process.
        extractors: units that are extracted at a time.
        unit_cores: cores that the extraction of a unit uses.
    """

    taggers: int
    tagger_gpus: int
    tagger_cores: float
    extractors: int
    unit_cores: float

    @property
    def units_in_flight(self) -> int:
        """Two for each tagger (one is tagged, one waits), and those that are being extracted."""
        return 2 * self.taggers + self.extractors


def share_out(machines: Sequence[Machine], device: str) -> Shares:
    """Share the machines out between extraction and tagging.

    Args:
        machines: the machines of the cluster.
        device: the device that the user asks for; ``cpu`` uses no GPU.

    Raises:
        ConfigurationError: there is no core, or no GPU though one was asked for.
    """
    if not any(machine.cores for machine in machines):
        raise ConfigurationError("No machine of the Ray cluster offers a core.")
    gpus = 0 if device == "cpu" else sum(machine.gpus for machine in machines)
    if device.startswith("cuda") and not gpus:
        raise ConfigurationError(f"The device {device} was asked for, but the cluster has no GPU.")
    return _with_gpus(machines) if gpus else _on_cores(machines)


def _with_gpus(machines: Sequence[Machine]) -> Shares:
    # At least half of a machine's cores extract, however few they are.
    with_gpu = [machine for machine in machines if machine.gpus]
    per_gpu = min([_CORES_PER_GPU, *(one.cores / one.gpus / 2 for one in with_gpu)])
    free = [machine.cores - machine.gpus * per_gpu for machine in machines]
    cores = _unit_cores(default=_CORES_PER_UNIT, largest=max(free))
    extractors = sum(int(left // cores) for left in free)
    return Shares(sum(one.gpus for one in with_gpu), 1, per_gpu, max(1, extractors), cores)


def _on_cores(machines: Sequence[Machine]) -> Shares:
    largest = max(machine.cores for machine in machines)
    block = min(_CORES_PER_CPU_TAGGER, largest)
    # The tagging of a video costs many times as much as its extraction.
    cores = _unit_cores(default=1, largest=largest / 2 if largest <= 1 else largest - 1)
    tagger_cores = max(1.0, block - cores) if largest > 1 else largest / 2
    taggers = sum(int(machine.cores // block) for machine in machines)
    free = sum(machine.cores for machine in machines) - taggers * tagger_cores
    return Shares(taggers, 0, tagger_cores, max(1, int(free // cores)), cores)


def _unit_cores(default: int, largest: float) -> float:
    """Return how many cores extract a unit: the user's number, else at most the default."""
    asked = os.environ.get(CORES_VARIABLE)
    if asked is None:
        return min(default, largest)
    if not asked.isdecimal() or asked == "0":
        raise ConfigurationError(f"{CORES_VARIABLE} is {shown(asked)!r}, not a number of cores.")
    if int(asked) > largest:
        raise ConfigurationError(
            f"{CORES_VARIABLE} asks for {asked} cores to extract a unit, and no machine of the Ray"
            f" cluster can spare more than {largest:g}."
        )
    return int(asked)
