"""A run that is told to stop ends within seconds, whatever its threads are about."""

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 3.0
"""What Prefect has to report the state."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def prompt_stop() -> Iterator[None]:
    """End the process soon after a signal, which Prefect's handler gets all the same.

    Python waits for its threads, and none can be stopped inside the model, a library or a store
    that does not answer; one unit of a large model takes minutes. Nothing is lost by not waiting:
    what is not yet in the cache or in a manifest is done again by the next run, as after a crash.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not for us
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        watchdog = threading.Timer(GRACE_SECONDS, _end, (128 + number,))
        watchdog.daemon = True
        watchdog.start()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in _SIGNALS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _end(status: int) -> None:
    # Stops, among others, Prefect's temporary server, which would go on for ever.
    atexit._run_exitfuncs()
    os._exit(status)
