"""End a run within seconds when it is told to stop, and tell the server."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from types import FrameType
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.states import Crashed

GRACE_SECONDS = 10.0
"""Limit for telling the server and cleaning up."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def prompt_stop() -> Iterator[None]:
    """Handle SIGINT and SIGTERM: tell the server, let the block clean up, and end the process soon.

    Prefect does this too, but waits until all threads have ended. A thread cannot be stopped while
    it is in the model, in a library or in a request without an answer, and one unit of a large
    model takes minutes. Nothing is lost without the wait: the next run does what is not yet in the
    cache or in a manifest.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    run, tidy = UUID(flow_run.id), threading.Event()
    context = copy_context()  # holds the settings of the client
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        for again in _SIGNALS:
            signal.signal(again, signal.SIG_IGN)
        name = signal.Signals(number).name
        # Not print: the signal may have come in the middle of one.
        os.write(2, f"Stopped by {name}: the next run goes on from here.\n".encode())
        _start_no_server()
        told = threading.Thread(
            target=context.run, args=(_tell_and_end, number, run, tidy), daemon=True
        )
        told.start()
        limit = threading.Timer(GRACE_SECONDS, _end, (number,))
        limit.daemon = True
        limit.start()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)  # Prefect's, or Python's: raises

    for number in _SIGNALS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        tidy.set()
        if signal.getsignal(signal.SIGTERM) is stop:  # else the process is ending
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)


def _tell_and_end(number: int, run: UUID, tidy: threading.Event) -> None:
    # A run that is being cancelled is set to Cancelled by its worker, once the process has ended;
    # the server accepts no Crashed for one that has a final state already. Whatever fails here, the
    # process must end, and there is nobody left to be told.
    limit = {"timeout": GRACE_SECONDS}
    with suppress(Exception), get_client(limit, sync_client=True) as client:
        if not (state := client.read_flow_run(run).state) or not state.is_cancelling():
            name = signal.Signals(number).name
            client.set_flow_run_state(run, Crashed(message=f"The run was stopped by {name}."))
    tidy.wait()
    _end(number)


def _start_no_server() -> None:
    """Let nothing start a temporary server any more.

    Every client of Prefect's starts one if none runs; while a run ends, the next one would come
    after the exit functions, and go on forever.
    """
    # Imported by whoever started one; importing it here would take seconds.
    if module := sys.modules.get("prefect.server.api.server"):
        module.SubprocessASGIServer.start = lambda *_: None


def _end(number: int) -> None:
    # Exit functions stop, among others, Prefect's temporary server, which would go on forever.
    atexit._run_exitfuncs()
    os._exit(128 + number)
