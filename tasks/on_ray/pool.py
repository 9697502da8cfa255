"""Spread calls over the processes with the model, and repeat a call if its process dies."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from tasks.errors import ClusterLost, TransientError
from tasks.on_ray.waiting import Lifeline, result

log = logging.getLogger(__name__)

# While one call is computed, the clips of the next one are fetched.
_CALLS_EACH = 2
_ATTEMPTS = 5
_PAUSE_SECONDS = 1.0
_POLL_SECONDS = 1.0


@dataclass(eq=False)
class _Member:
    """A process of the pool.

    Attributes:
        actor: Ray's handle on it. If it dies, Ray starts it again on any machine with a free GPU.
        ready: whether it has loaded the model.
        calls: how many it is working on.
    """

    actor: Any
    ready: bool = False
    calls: int = 0


class ModelPool:
    """Makes the calls of :meth:`ModelActor.tag`. Used from many threads.

    Args:
        start: starts one more actor.
        load: makes an actor load the model; returns Ray's reference.
        lifeline: tells whether it is worth waiting.
        say: is called with the message of an actor that has loaded the model, if there is one.
    """

    def __init__(
        self,
        start: Callable[[], Any],
        load: Callable[[Any], Any],
        lifeline: Lifeline,
        say: Callable[[str], None],
    ) -> None:
        self._start, self._load, self._lifeline, self._say = start, load, lifeline, say
        self._members: list[_Member] = []
        self._refused: Exception | None = None
        self._changed = threading.Condition()
        self._ready_seconds, self._counted = 0.0, time.monotonic()

    def add(self, actor: Any) -> None:
        """Add an actor, and make it load the model."""
        member = _Member(actor)
        with self._changed:
            self._members.append(member)
        self._make_ready(member)

    def resize(self, size: int, anew: bool = False) -> None:
        """Start or end actors until there are ``size``.

        Dead actors count, since Ray restarts them. After a machine is lost, it may restart them on
        cores that extraction needs: each would then wait for the other.

        Args:
            anew: end all of them first, since they do not fit the cluster any more.
        """
        with self._changed:
            kept = sorted(self._members, key=lambda one: (one.ready, one.calls), reverse=True)
            keep = 0 if anew else size
            self._count()
            self._members, surplus = kept[:keep], kept[keep:]
        for member in surplus:
            self._lifeline.ask(partial(ray.kill, member.actor))
        while len(self._members) < size:
            self.add(self._lifeline.ask(self._start))

    @property
    def ready(self) -> int:
        """How many actors have loaded the model."""
        return sum(member.ready for member in self._members)

    def ready_seconds(self) -> float:
        """Return the seconds for which actors were ready, added up over all of them."""
        with self._changed:
            self._count()
        return self._ready_seconds

    def call(self, call: Callable[[Any], Any]) -> Any:
        """Make a call and return its result; if its actor dies, make it again on another.

        Args:
            call: makes the call on an actor, and returns Ray's reference.

        Raises:
            ConfigurationError: an actor refused the model.
            ClusterLost: the head does not answer any more, or the run was stopped.
            TransientError: each actor that had this call has died.
        """
        for _ in range(_ATTEMPTS):
            member = self._take()
            try:
                asked = self._lifeline.ask(partial(call, member.actor))
                return self._lifeline.wait(asked)
            except RayActorError as error:
                self._lifeline.require()
                if member.ready:  # else its other call has said so
                    how = type(error).__name__  # Ray's sentence is about gRPC
                    log.warning("a process with the model was lost (%s); its work is repeated", how)
                self._make_ready(member)
            finally:
                with self._changed:
                    member.calls -= 1
                    self._changed.notify_all()
        raise TransientError(f"{_ATTEMPTS} processes with the model died on this unit")

    def _take(self) -> _Member:
        """Wait for the actor with the fewest calls."""
        with self._changed:
            while True:
                if self._refused is not None:
                    raise self._refused
                free = [one for one in self._members if one.ready and one.calls < _CALLS_EACH]
                if free:
                    member = min(free, key=lambda one: one.calls)
                    member.calls += 1
                    return member
                self._changed.wait(_POLL_SECONDS)
                self._lifeline.require()

    def _make_ready(self, member: _Member) -> None:
        """Let an actor load the model: now, or once Ray has started it again."""
        with self._changed:
            self._count()
            member.ready = False
            if member not in self._members:
                return
        try:
            loading = self._lifeline.ask(lambda: self._load(member.actor).future())
        except (RayError, ClusterLost):
            self._try_later(member)
        else:
            loading.add_done_callback(lambda future: self._loaded(member, future))

    def _loaded(self, member: _Member, future: "Future[Any]") -> None:
        try:
            said = result(future)
        except RayActorError:
            self._try_later(member)
            return
        except Exception as error:  # noqa: BLE001 - raised again by the next call
            self._refused = error
        else:
            if said:
                self._say(said)
        with self._changed:
            self._count()
            member.ready = self._refused is None
            self._changed.notify_all()

    def _try_later(self, member: _Member) -> None:
        if not self._lifeline.closed:
            again = threading.Timer(_PAUSE_SECONDS, self._make_ready, (member,))
            again.daemon = True
            again.start()

    def _count(self) -> None:
        now = time.monotonic()
        self._ready_seconds += self.ready * (now - self._counted)
        self._counted = now
