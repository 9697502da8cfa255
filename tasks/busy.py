"""Measure how long at least one of several threads was busy."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Busy:
    """Adds up the time in which at least one thread is inside.

    Attributes:
        seconds: the sum of the busy periods that have ended.
        ended: when the last of them ended, by the clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._inside, self._since = 0, 0.0
        self.seconds = self.ended = 0.0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Count the time until the block ends as busy."""
        with self._lock:
            if not self._inside:
                self._since = self._clock()
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self.ended = self._clock()
                    self.seconds += self.ended - self._since
