"""A Ray cluster: connecting to it, and how its cores and GPUs are shared out."""

import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from tasks.errors import ConfigurationError
from tasks.on_ray import trial
from tasks.on_ray.reach import reach
from tasks.shown import shown

CORES_VARIABLE = "VIDEO_AUDIO_TAGS_UNIT_CORES"
"""The environment variable that says how many cores extract a unit."""

_TRIAL_SECONDS = 8.0
_IMPORT_SECONDS = 60.0
# Feeding a GPU takes a core, and a little.
_CORES_PER_GPU = 2.0
_CORES_PER_UNIT = 4
# A model of AST's size keeps so many cores busy; with more, threads wait for each other.
_CORES_PER_CPU_TAGGER = 8


def connect(address: str) -> None:
    """Connect this process to the cluster at ``HOST:PORT``, to the one of this machine (``auto``),
    or to a new one of this machine alone (``local``).

    Raises:
        ConfigurationError: there is none, or it runs another version.
    """
    # Whoever starts Ray here was not asked whether it may report home.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address.startswith("ray://"):
        raise ConfigurationError(
            f"{shown(address)} is an address of Ray Client: run this on a machine of the cluster,"
            " with --ray auto."
        )
    if address not in ("local", "auto") and not re.fullmatch(r"\S+:\d+", address):
        raise ConfigurationError(
            f"{shown(address)} is no address of a Ray cluster: use local, auto or HOST:PORT."
        )
    if address not in ("local", "auto") and (wrong := reach(address)):
        raise ConfigurationError(_refusal(address, wrong))
    if address != "local":
        _try(address)
    # It takes SIGTERM for itself, and a run that is cancelled would end as Crashed.
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address,
            log_to_driver=False,
            configure_logging=False,
            # A cluster that lives as long as this run needs none.
            include_dashboard=False if address == "local" else None,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigurationError(_refusal(address, str(error))) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _try(address: str) -> None:
    # Not as a module: its package imports much more than it needs.
    command = [sys.executable, "-P", trial.__file__, address]
    path = os.pathsep.join(filter(None, sys.path))
    # So that it says by itself, in time, that no machine of the cluster is this one.
    limits = {"RAY_gcs_server_request_timeout_seconds": "5", "PYTHONPATH": path}
    tried = subprocess.Popen(
        command,
        env=os.environ | limits,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with tried:
        assert tried.stdout
        # It says that it begins: to import Ray takes a second, or many on a busy machine.
        select.select([tried.stdout], [], [], _IMPORT_SECONDS)
        try:
            said, _ = tried.communicate(timeout=_TRIAL_SECONDS)
        except subprocess.TimeoutExpired as error:
            tried.kill()
            said = f"nothing answers there as Ray does within {_TRIAL_SECONDS:g} seconds"
            raise ConfigurationError(_refusal(address, said)) from error
    if tried.returncode:
        raise ConfigurationError(_refusal(address, said.removeprefix(trial.BEGINS)))


def _refusal(address: str, said: str) -> str:
    """Say in one sentence why a cluster cannot be used."""
    versions = re.findall(r"Ray: (\S+) *Python: (\S+)", " ".join(said.split()))
    if len(versions) == 2:
        (ray_there, python_there), (ray_here, python_here) = versions
        return (
            f"The Ray cluster at {shown(address)} runs Ray {ray_there} on Python {python_there},"
            f" here are Ray {ray_here} and Python {python_here}: install the same on every machine."
        )
    if "No node info found" in said:
        return (
            f"This machine is not part of the Ray cluster at {shown(address)}: run this on one"
            " that is, or start Ray here with `ray start`."
        )
    if "authentication token" in said or "Unauthenticated" in said:
        return (
            f"The Ray cluster at {shown(address)} wants another token than this machine has: copy"
            " ~/.ray/auth_token from its head, or set RAY_AUTH_TOKEN."
        )
    if "Could not find any running Ray instance" in said:
        return (
            "There is no Ray cluster on this machine: start one by `ray start`, name the head of"
            " another by --ray HOST:PORT, or use --ray local."
        )
    where = "on this machine" if address == "auto" else f"at {shown(address)}"
    reason = shown(said.strip().splitlines()[-1] if said.strip() else "it does not start")
    return f"There is no Ray cluster {where}: {reason.rstrip('.')}."


_list_nodes: Any = ray.nodes  # it has no types


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster as Ray lists it.

    Attributes:
        node: Ray's name for it.
        address: its host.
        cores, gpus: that Ray may use.
    """

    node: str
    address: str
    cores: float
    gpus: int


def machines() -> list[Machine]:
    """List the machines that are up and may work."""
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
    """How a cluster is shared out among extraction and tagging.

    Attributes:
        taggers: processes with the model: one for each GPU, or for every so many cores.
        tagger_gpus, tagger_cores: of each of them.
        extractors: units that are extracted at a time.
        unit_cores: that the extraction of a unit uses.
    """

    taggers: int
    tagger_gpus: int
    tagger_cores: float
    extractors: int
    unit_cores: float

    @property
    def units_in_flight(self) -> int:
        """For each tagger one that is tagged and one that waits for it; those being extracted."""
        return 2 * self.taggers + self.extractors


def share_out(machines: Sequence[Machine], device: str) -> Shares:
    """Share the machines out.

    Args:
        device: that the user asks for; ``cpu`` leaves the GPUs alone.

    Raises:
        ConfigurationError: they do not suffice.
    """
    if not any(machine.cores for machine in machines):
        raise ConfigurationError("No machine of the Ray cluster offers a core.")
    gpus = 0 if device == "cpu" else sum(machine.gpus for machine in machines)
    if device.startswith("cuda") and not gpus:
        raise ConfigurationError(f"The device {device} was asked for, but the cluster has no GPU.")
    return _with_gpus(machines) if gpus else _on_cores(machines)


def _with_gpus(machines: Sequence[Machine]) -> Shares:
    # Half of a machine's cores extract, however few they are.
    with_gpu = [machine for machine in machines if machine.gpus]
    per_gpu = min(_CORES_PER_GPU, *(one.cores / one.gpus / 2 for one in with_gpu), _CORES_PER_GPU)
    free = [machine.cores - machine.gpus * per_gpu for machine in machines]
    cores = _unit_cores(default=_CORES_PER_UNIT, largest=max(free))
    extractors = sum(int(left // cores) for left in free)
    return Shares(sum(one.gpus for one in with_gpu), 1, per_gpu, max(1, extractors), cores)


def _on_cores(machines: Sequence[Machine]) -> Shares:
    largest = max(machine.cores for machine in machines)
    block = min(_CORES_PER_CPU_TAGGER, largest)
    # Tagging a video costs many times what its extraction does.
    cores = _unit_cores(default=1, largest=largest / 2 if largest <= 1 else largest - 1)
    tagger_cores = max(1.0, block - cores) if largest > 1 else largest / 2
    taggers = sum(int(machine.cores // block) for machine in machines)
    free = sum(machine.cores for machine in machines) - taggers * tagger_cores
    return Shares(taggers, 0, tagger_cores, max(1, int(free // cores)), cores)


def _unit_cores(default: int, largest: float) -> float:
    """Return how many cores extract a unit: as the user says, or what there is for it."""
    asked = os.environ.get(CORES_VARIABLE)
    if asked is None:
        return min(default, largest)
    if not asked.isdecimal() or asked == "0":
        raise ConfigurationError(f"{CORES_VARIABLE} is {shown(asked)!r}, not a number of cores.")
    if int(asked) > largest:
        raise ConfigurationError(
            f"{CORES_VARIABLE} asks for {asked} cores to extract a unit, and no machine of the Ray"
            f" cluster has more than {largest:g} for it."
        )
    return int(asked)
