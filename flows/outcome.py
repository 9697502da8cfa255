"""The final state of a run, on which hooks and automations can rely."""

import logging
from typing import Any

from prefect import State
from prefect.states import Completed, Failed

from flows.summary import Summary
from tasks.errors import TaggingError

Facts = dict[str, Any]
"""The counts of a run as JSON values: see :meth:`flows.summary.Summary.as_dict`."""

DRY_RUN = "DryRun"
"""Name of the Completed state of a run that only said what it would do."""


class RunFailed(TaggingError):
    """Raised by a call of the flow; its text is the message of the state.

    Attributes:
        facts: the counts of the run so far.
    """

    def __init__(self, message: str, facts: Facts) -> None:
        super().__init__(message)
        self.facts = facts

    def __reduce__(self) -> tuple[type, tuple[str, Facts]]:
        return type(self), (str(self), self.facts)

    def state(self) -> State[Facts]:
        """Return the Failed state that is named after this class and carries it."""
        return Failed(name=type(self).__name__, message=str(self), data=self)


class Misconfigured(RunFailed):
    """The run could not start as asked, or the model cannot tag at all."""


class TooManyFailures(RunFailed):
    """A larger share of the samples or manifests failed than ``max_failure_rate`` allows."""


class Unfinished(RunFailed):
    """The machines that did the work are gone: the next run goes on."""


def is_news(record: logging.LogRecord) -> bool:
    """Filter Prefect's log: a worker's run logs each exception with its traceback, but the line
    before already has the message of a RunFailed."""
    return not (record.exc_info and isinstance(record.exc_info[1], RunFailed))


def final_state(summary: Summary, max_failure_rate: float) -> State[Facts]:
    """Return ``Completed``; ``Partial``, completed though some samples failed; or
    ``TooManyFailures``. The counts are its result, or its exception's."""
    rate = f"{summary.failures_in_words()}; {max_failure_rate:.0%} may fail"
    if summary.failure_rate > max_failure_rate:
        return TooManyFailures(f"{rate}. {summary}", summary.as_dict()).state()
    if summary.failed or summary.problems:
        return Completed(name="Partial", message=f"{summary}. {rate}", data=summary.as_dict())
    return Completed(name="Completed", message=str(summary), data=summary.as_dict())
