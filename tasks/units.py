"""Units of work: what the extraction and the tag task have in common.

A unit is one task run over many videos: a task run costs about 10 ms of CPU and a row in the
server's database, so one for each video would cost more than the work.

Caching is by video and by content (see tasks/cache.py), not by Prefect's result records. Those are
kept by unit, so that one new video would make a whole unit miss; and they are read back with
whatever serializer the stored record names, pickle included, so that a shared bucket could run
code here. A unit that came out of the cache ends in a state named ``Cached`` all the same.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from prefect import State, Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import task_run
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from tasks.errors import (
    ConfigurationError,
    Failure,
    FailureKind,
    StorageError,
    TransientError,
    VideoError,
    explained,
)

RETRIES = 3
"""Retries of a unit in which a store did not answer: after 5, 10 and 20 seconds."""

Unit = TypeVar("Unit")
Result = TypeVar("Result")


def unit_size(device: str) -> int:
    """Videos in a unit: some two minutes of work for AST-base on a few cores; on a GPU, 100,000
    videos make fewer than 2,000 task runs."""
    return 128 if device.startswith("cuda") else 32


def attempt(url: str, step: Callable[[], Result]) -> Result | Failure:
    """The boundary of a video: whatever a step raises is the failure of this video alone.

    Raises:
        ConfigurationError: no video of this run can be tagged.
    """
    try:
        return step()
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - a library may raise anything
        return failure(url, error)


def failure(url: str, error: BaseException) -> Failure:
    """Record what was raised about a video; what nobody expected is ``internal``."""
    if isinstance(error, VideoError | StorageError | TransientError):
        return Failure(url, error.kind, error.reason)
    return Failure(url, FailureKind.INTERNAL, explained(error))


def finish_unit(unit: Unit, failed: Sequence[Failure], cached: bool) -> State[Unit]:
    """Return the final state of a unit's task run, with the unit as its result.

    Raises:
        TransientError: some videos could not be reached and there are tries left. What was done is
            in the cache, so that the next try does only the rest.
    """
    unreachable = [video for video in failed if video.is_transient]
    if unreachable and task_run.run_count <= RETRIES:
        raise TransientError(
            f"{len(unreachable)} videos could not be reached: {unreachable[0].reason}"
        )
    name = "Partial" if failed else "Cached" if cached else "Completed"
    message = f"{len(failed)} videos failed" if failed else None
    return Completed(name=name, message=message, data=unit)


def is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Prefect's retry condition: only what may pass is tried again."""
    return isinstance(state.result(raise_on_failure=False), TransientError)


UNIT_TASK: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(backoff_factor=5),
    "retry_condition_fn": is_transient,
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "cache_result_in_memory": False,
}
"""Prefect's options of a task over a unit."""
