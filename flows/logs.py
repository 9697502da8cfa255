"""Forward the log records of ``tasks`` to the log of the run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flows.outcome import is_news
from tasks.shown import shown

_TASKS = logging.getLogger("tasks")


class _Forward(logging.Handler):
    """Forwards records from any thread; the log knows its run without Prefect's context."""

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, "%s", shown(record.getMessage()))


@contextmanager
def forward_logs(log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> Iterator[None]:
    """Forward what ``tasks`` logs, from INFO up, to the log of a run; silence lines of Prefect."""
    # A line for each of thousands of task runs helps nobody.
    logging.getLogger("prefect.task_runs").setLevel(logging.WARNING)
    logging.getLogger("prefect.flow_runs").addFilter(is_news)
    handler, level = _Forward(log), _TASKS.level
    _TASKS.addHandler(handler)
    _TASKS.setLevel(logging.INFO)
    _TASKS.propagate = False  # Prefect's root logger would print it once more
    try:
        yield
    finally:
        _TASKS.removeHandler(handler)
        _TASKS.setLevel(level)
        _TASKS.propagate = True
