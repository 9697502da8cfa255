"""Share out the cores and GPUs of a Ray cluster between extraction and tagging."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.errors import ConfigurationError
from tasks.on_ray.watching import Machine
from tasks.shown import counted, shown

CORES_VARIABLE = "VIDEO_AUDIO_TAGS_UNIT_CORES"
"""The environment variable that says how many cores extract a unit."""

# Feeding a GPU takes a little more than one core.
_CORES_PER_GPU = 2.0
_CORES_PER_UNIT = 4
# A model of AST's size keeps this many cores busy; with more, threads wait for each other.
_CORES_PER_CPU_TAGGER = 8


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

    def fit(self, now: "Shares") -> bool:
        """Tell whether taggers of this size suit a cluster that has changed: on GPUs, smaller ones
        do, too; on cores, each size leaves another number of cores to extraction."""
        if self.tagger_gpus != now.tagger_gpus:
            return False
        if self.tagger_gpus:
            return self.tagger_cores <= now.tagger_cores
        return self.tagger_cores == now.tagger_cores

    def in_words(self, machines: int) -> str:
        """Say what does the work: ``2 machines, 8 GPUs``."""
        if self.tagger_gpus:
            taggers = counted(self.taggers, "GPU")
        else:
            taggers = f"{self.taggers:,} tagging process{'es' * (self.taggers != 1)}"
        return f"{counted(machines, 'machine')}, {taggers}"


def share_out(machines: Sequence[Machine], device: str, unit_cores: float | None = None) -> Shares:
    """Share the machines out between extraction and tagging.

    Args:
        machines: the machines of the cluster.
        device: the device that the user asks for; ``cpu`` uses no GPU.
        unit_cores: cores that the extraction of a unit uses; None if that is yet to be decided.

    Raises:
        ConfigurationError: there is no core, or no GPU though one was asked for, or no machine that
            can extract a unit.
    """
    if not any(machine.cores for machine in machines):
        raise ConfigurationError("No machine of the Ray cluster offers a core.")
    gpus = 0 if device == "cpu" else sum(machine.gpus for machine in machines)
    if device.startswith("cuda") and not gpus:
        raise ConfigurationError("No machine of the Ray cluster has a GPU.")
    return (_with_gpus if gpus else _on_cores)(machines, unit_cores)


def _with_gpus(machines: Sequence[Machine], unit_cores: float | None) -> Shares:
    # At least half of a machine's cores extract, however few they are.
    with_gpu = [machine for machine in machines if machine.gpus]
    per_gpu = min([_CORES_PER_GPU, *(one.cores / one.gpus / 2 for one in with_gpu)])
    free = [machine.cores - machine.gpus * per_gpu for machine in machines]
    # No more than each machine can spare, so that a unit can be done on any that is left.
    least = min((left for left in free if left >= 1), default=max(free))
    cores = _unit_cores(unit_cores, default=min(_CORES_PER_UNIT, least), largest=max(free))
    extractors = max(1, sum(int(left // cores) for left in free))
    taggers = sum(one.gpus for one in with_gpu)
    return Shares(taggers, 1, per_gpu, extractors, cores)


def _on_cores(machines: Sequence[Machine], unit_cores: float | None) -> Shares:
    largest = max(machine.cores for machine in machines)
    block = min(_CORES_PER_CPU_TAGGER, largest)
    # The tagging of a video costs many times as much as its extraction.
    most = largest / 2 if largest <= 1 else largest - 1
    cores = _unit_cores(unit_cores, default=min(1.0, most), largest=most)
    tagger_cores = max(1.0, block - cores) if largest > 1 else largest / 2
    taggers = sum(int(machine.cores // block) for machine in machines)
    free = sum(machine.cores for machine in machines) - taggers * tagger_cores
    return Shares(taggers, 0, tagger_cores, max(1, int(free // cores)), cores)


def _unit_cores(decided: float | None, default: float, largest: float) -> float:
    """Return how many cores extract a unit: as decided, as the user asks, or by default."""
    cores = decided or _asked_cores()
    if cores is None:
        return default
    if cores > largest:
        by = f" by {CORES_VARIABLE}" if CORES_VARIABLE in os.environ else ""
        raise ConfigurationError(
            f"A unit asks for {cores:g} cores{by}, and no machine of the Ray cluster can spare more"
            f" than {largest:g}."
        )
    return cores


def _asked_cores() -> int | None:
    asked = os.environ.get(CORES_VARIABLE)
    if asked is not None and (not asked.isdecimal() or asked == "0"):
        raise ConfigurationError(f"{CORES_VARIABLE} is {shown(asked)!r}, not a number of cores.")
    return None if asked is None else int(asked)
