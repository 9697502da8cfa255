"""Watch a Ray cluster: which machines it has, and whether its head answers."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from tasks.errors import TaggingError
from tasks.on_ray.waiting import Lifeline

_WATCH_SECONDS = 2.0

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


class Watch:
    """Asks the head on a thread, every few seconds.

    Args:
        lifeline: is told that the head answers.

    Attributes:
        machines: the machines at the moment.
        adapt: is called after each answer.
    """

    def __init__(self, lifeline: Lifeline) -> None:
        self._lifeline = lifeline
        self.machines: Sequence[Machine] = machines()
        self.adapt: Callable[[], None] = lambda: None
        threading.Thread(target=self._ask, name="watch cluster", daemon=True).start()

    def _ask(self) -> None:
        while not self._lifeline.closed:
            with suppress(RayError, TaggingError, OSError):  # the lifeline knows how long
                self.machines = machines()
                self._lifeline.beat()
                self.adapt()
            time.sleep(_WATCH_SECONDS)
