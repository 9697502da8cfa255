"""Executors: they run the bodies of the extraction and tag tasks, on this machine or others.

The task runs themselves, their states and their retries stay in the flow's process.
"""

from collections.abc import Sequence
from typing import Protocol

from tasks.tagger import Tagger, TaggerRequest
from tasks.units import ExtractedUnit, TaggedUnit


class Executor(Protocol):
    """Does the work of units. The tasks know nothing else about it."""

    def extract(self, urls: Sequence[str], tagger: Tagger) -> ExtractedUnit:
        """Do the work of :func:`tasks.extract.extract_unit`."""
        ...

    def tag(self, unit: ExtractedUnit, tagger: Tagger) -> TaggedUnit:
        """Do the work of :func:`tasks.tag.tag_unit`."""
        ...


class ManagedExecutor(Executor, Protocol):
    """An executor as the run sees it: the run starts it, keeps it busy and closes it.

    Its methods are called from several threads.
    """

    @property
    def units_in_flight(self) -> int:
        """How many units keep it busy; on a cluster that grows and shrinks, now."""
        ...

    def unit_size(self, tagger: Tagger, videos: int) -> int:
        """Return how many of a run's videos make a unit."""
        ...

    def find(self, request: TaggerRequest) -> Tagger:
        """Find the model, and the device on which it will compute.

        Raises:
            ConfigurationError: no such model or device there.
        """
        ...

    def start(self, tagger: Tagger) -> None:
        """Start to load the model where it will compute. Called before the first unit."""
        ...

    def describe(self) -> str:
        """Say what computes, and how busy it was."""
        ...

    def close(self) -> None:
        """End the work in progress; calls that wait for it raise an error."""
        ...
