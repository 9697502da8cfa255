"""Keep Prefect's lines about task runs out of the log while a run ends."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.errors import ClusterLost


@contextmanager
def quiet_task_runs() -> Iterator[Callable[[], None]]:
    """Yield a function; once it is called, what Prefect logs of each task run is left out.

    The first task run that loses its cluster has the same effect: all of them do, and the run
    itself says so.
    """
    hushed = False

    def hush() -> None:
        nonlocal hushed
        hushed = True

    def passes(record: logging.LogRecord) -> bool:
        if ClusterLost.__name__ in record.getMessage():
            hush()
        return not hushed

    log = logging.getLogger("prefect.task_runs")
    log.addFilter(passes)
    try:
        yield hush
    finally:
        log.removeFilter(passes)
