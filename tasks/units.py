"""Units of work: what the extraction and the tag task have in common.

A unit is one task run over many videos: a task run costs about 10 ms of CPU and a row in the
server's database, so one for each video would cost more than the work.

Caching is by video and by content (see tasks/cache.py), not by Prefect's result records. Those are
kept by unit, so that one new video would make a whole unit miss; and they are read back with
whatever serializer the stored record names, pickle included, so that a shared bucket could run
code here. A unit that came out of the cache ends in a state named ``Cached`` all the same.
"""

from collections.abc import Sequence
from typing import Any

from prefect import State, Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import task_run
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from tasks.errors import Failure, TransientError

RETRIES = 3
"""Tries after the first, where something may pass."""


def unit_size(device: str) -> int:
    """Videos in a unit: some two minutes of work for AST-base on a few cores; on a GPU, 100,000
    videos make fewer than 2,000 task runs."""
    return 128 if device.startswith("cuda") else 32


def finish_unit(unit: object, failed: Sequence[Failure], cached: bool) -> State[Any]:
    """The final state of a unit's task run, with the unit as its result.

    Raises:
        TransientError: some videos could not be reached and there are tries left. What was done is
            in the cache, so that the next try does only the rest.
    """
    unreachable = sum(video.is_transient for video in failed)
    if unreachable and task_run.run_count <= RETRIES:
        raise TransientError(f"{unreachable} videos could not be reached: {failed[0].reason}")
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
