"""What the modules of ``tasks`` have to say goes to the log of the run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flows.outcome import is_news
from tasks.shown import shown

_TASKS = logging.getLogger("tasks")


class _Forward(logging.Handler):
    """Passes records on, from whatever thread: a run's own logger asks for the run's context."""

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, "%s", shown(record.getMessage()))


@contextmanager
def heard(log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> Iterator[None]:
    """Pass on what ``tasks`` logs, from INFO on, to the log of a run; quieten Prefect's own."""
    # A line for each of thousands of task runs tells nobody anything.
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
