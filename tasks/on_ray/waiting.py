"""Wait for a cluster, but not forever: its head may die, or the run may be stopped."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TypeVar

from ray import ObjectRef
from ray.exceptions import LocalRayletDiedError, RayError, RayTaskError

from tasks.errors import ClusterLost, TransientError

LOST_SECONDS = 45.0
"""After so long without an answer the cluster is lost; Ray itself ends the process after 60."""

GO_ON = "Start this run again later: what is in the cache is not done twice."

_POLL_SECONDS = 1.0
_ASKING_SECONDS = 5.0

T = TypeVar("T")


class Lifeline:
    """Tells whether it is worth waiting: the cluster answers, and the run was not stopped.

    Attributes:
        lost: why the cluster was given up; "" if it was not.
        closed: whether the run has left the cluster.
    """

    def __init__(self) -> None:
        self._answered = time.monotonic()
        self._asking = threading.Lock()
        self.lost = ""
        self.closed = False

    def beat(self) -> None:
        """Note that the head has answered."""
        self._answered = time.monotonic()

    def lose(self, reason: str) -> None:
        """Give the cluster up: whoever waits for it ends with this reason, the first of them."""
        self.lost = self.lost or f"{reason} {GO_ON}"

    def require(self) -> None:
        """Return if it is worth waiting.

        Raises:
            ClusterLost: the head does not answer any more, the cluster was given up, or the run
                was stopped.
        """
        if self.closed:
            raise ClusterLost("the run has left the cluster")
        if self.lost:
            raise ClusterLost(self.lost)
        if time.monotonic() - self._answered > LOST_SECONDS:
            raise ClusterLost(
                f"The head of the Ray cluster has not answered for {LOST_SECONDS:g} seconds."
                f" {GO_ON}"
            )

    def ask(self, call: Callable[[], T]) -> T:
        """Make a call to Ray, unless the run was stopped.

        Ray aborts the process, in C++, if a handle is used after its cluster was left.

        Raises:
            ClusterLost: as :meth:`require`.
        """
        while not self._asking.acquire(timeout=_POLL_SECONDS):
            self.require()
        try:
            self.require()
            return call()
        finally:
            self._asking.release()

    def close(self) -> None:
        """Refuse further calls, and wait a little for a call that is being made."""
        self.closed = True
        # On a busy machine it takes seconds; leaving the cluster before its end would abort this
        # process. Without a head it may take a minute, which is too long to wait.
        if self._asking.acquire(timeout=_ASKING_SECONDS):
            self._asking.release()

    def wait(self, reference: "ObjectRef[T]") -> T:
        """Return what a call returned, or raise what it raised."""
        future: Future[T] = self.ask(reference.future)
        while not wait([future], _POLL_SECONDS).done:
            self.require()
        return result(future)


def result(future: Future[T]) -> T:
    """Return what a call returned, or raise what it raised, without Ray's wrapper."""
    error = future.exception()
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        raise error.cause
    return future.result()


def get(reference: "ObjectRef[T]") -> T:
    """Wait for the result of a call, inside the cluster."""
    return result(reference.future())


@contextmanager
def ray_errors(what: str, lifeline: Lifeline, say: Callable[[str], None]) -> Iterator[None]:
    """Translate Ray's errors in the block: a process was lost, the videos are not at fault.

    Args:
        what: what the process does to a unit.
        lifeline: is cut if Ray on this machine has ended.
        say: is called with a message then, at once: Ray is about to end this process.
    """
    try:
        yield
    except LocalRayletDiedError as error:
        if not lifeline.lost:
            lifeline.lose("Ray has ended on the machine of the run itself.")
            say(lifeline.lost)
        raise ClusterLost(lifeline.lost) from error
    except RayError as error:
        how = type(error).__name__  # Ray's sentence is about gRPC
        raise TransientError(f"the process that {what} this unit was lost ({how})") from error


class Slots:
    """Limits how many units are extracted at a time. A unit that waits here holds no cores, so that
    Ray can give them to a process with the model.

    Attributes:
        limit: may change at any time.
    """

    def __init__(self, limit: int, lifeline: Lifeline) -> None:
        self.limit, self._lifeline = limit, lifeline
        self._taken = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            while self._taken >= self.limit:
                self._changed.wait(_POLL_SECONDS)
                self._lifeline.require()
            self._taken += 1

    def __exit__(self, *raised: object) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify()
