"""The state that a run ends in: it tells the truth, and hooks and automations can rely on it."""

from typing import Any

from prefect import State
from prefect.states import Completed, Failed

from flows.summary import Summary

MISCONFIGURED = "Misconfigured"
"""Name of the Failed state of a run that could not start as asked."""


DRY_RUN = "DryRun"
"""Name of the Completed state of a run that only said what it would do."""


def verdict_on(summary: Summary, max_failure_rate: float) -> State[Any]:
    """``Completed``; ``Partial``, completed though some samples failed; or ``TooManyFailures``,
    failed since more than ``max_failure_rate`` of them did. The counts are its result."""
    counts, message = summary.as_dict(), str(summary)
    if summary.failure_rate > max_failure_rate:
        reason = f"{summary.failure_rate:.0%} failed, {max_failure_rate:.0%} are allowed: {message}"
        return Failed(name="TooManyFailures", message=reason, data=counts)
    if summary.failed or summary.problems:
        return Completed(name="Partial", message=message, data=counts)
    return Completed(message=message, data=counts)
