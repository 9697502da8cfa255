"""Units of work: what the extraction and the tag task have in common.

A unit is one task run over many videos: a task run costs about 10 ms of CPU and a row in the
server's database, so one for each video would cost more than the work.

Caching is by video and by content (see tasks/cache.py), not by Prefect's result records. Those are
kept by unit, so that one new video would make a whole unit miss; and they are read back with
whatever serializer the stored record names, pickle included, so that a shared bucket could run
code here. A unit that came out of the cache ends in a state named ``Cached`` all the same.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from prefect import State, Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import task_run
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from tasks.audio.clips import Clips
from tasks.audio.window import Windows
from tasks.errors import ConfigurationError, Failure, TransientError
from tasks.identify import Video
from tasks.scores import VideoScores
from tasks.shown import counted

log = logging.getLogger(__name__)

UNITS_IN_FLIGHT = 3
"""One is being tagged, one waits to be tagged, one is being extracted."""

MIN_UNIT = 4
"""Videos in a unit, at least."""

RETRIES = 3
"""Retries of a unit in which a store did not answer: after 5, 10 and 20 seconds."""

AnyUnit = TypeVar("AnyUnit")
Result = TypeVar("Result")


@dataclass
class ExtractedVideo:
    """A video and its clips.

    Attributes:
        video: the video.
        clips: one for each window; none when it has no sound.
        cached: whether the clips were in the cache, so that nothing was read of the video.
        bytes_read: how much was read of the video.
        note: remarks on the sound for a person, or None.
        read_through: its format, if that offers no way to seek, so that all of the file was read.
    """

    video: Video
    clips: Clips
    cached: bool = False
    bytes_read: int = 0
    note: str | None = None
    read_through: str | None = None


@dataclass
class ExtractedUnit:
    """The videos of a unit after the extraction: each is in one of the first three.

    Attributes:
        cached_scores: the scores that were in the cache, by URL.
        extracted: the videos that were decoded, or whose clips were in the cache.
        failed: the others.
        unkept: why clips could not be written to the cache, if some could not.
    """

    cached_scores: dict[str, VideoScores] = field(default_factory=dict)
    extracted: list[ExtractedVideo] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    unkept: str | None = None

    def urls(self) -> set[str]:
        """Return the videos that are done: a retry leaves them out."""
        return self.cached_scores.keys() | {one.video.url for one in self.extracted}

    def add(self, earlier: "ExtractedUnit") -> None:
        """Add what an earlier try has done."""
        self.cached_scores |= earlier.cached_scores
        self.extracted += earlier.extracted
        self.unkept = self.unkept or earlier.unkept

    def drop_clips(self) -> None:
        """Free the memory of the clips, which are not needed any more."""
        for one in self.extracted:
            one.clips.close()
            one.clips = Clips()


@dataclass
class TaggedUnit:
    """The scores of a unit.

    Attributes:
        scores: by URL; those of a video without sound have no window.
        failed: the videos that the model failed on.
        unkept: why scores could not be written to the cache, if they could not.
    """

    scores: dict[str, VideoScores] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    unkept: str | None = None


_WINDOWS_OF_ALL = 16


def windows_each(windows: Windows, of_all: int) -> int:
    """Return how many windows a video counts as; ``of_all`` when all of it is decoded."""
    return {"start": 1, "all": of_all}.get(str(windows)) or int(windows)


def unit_size(device: str, windows: Windows = "start") -> int:
    """Return how many videos make a unit.

    With one window each, a unit is some two minutes of work for AST-base on a few cores; on a GPU,
    100,000 videos make fewer than 2,000 task runs. With more windows a unit has fewer videos: a
    killed run loses the units in progress, and the temporary folder holds their clips.
    """
    videos = 128 if device.startswith("cuda") else 32
    return max(MIN_UNIT, videos // windows_each(windows, _WINDOWS_OF_ALL))


def attempt(url: str, step: Callable[[], Result]) -> Result | Failure:
    """Record any exception of a step as a failure of this video alone.

    Raises:
        ConfigurationError: no video of this run can be tagged.
    """
    try:
        return step()
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - a library may raise anything
        return Failure.of(url, error)


def finish_unit(unit: AnyUnit, failed: Sequence[Failure], cached: bool) -> State[AnyUnit]:
    """Return the final state of a unit's task run, with the unit as its result.

    Raises:
        TransientError: some videos could not be reached and there are tries left. What was done is
            in the cache, so that the next try does only the rest.
    """
    unreachable = [video for video in failed if video.is_transient]
    if unreachable and task_run.run_count <= RETRIES:
        raise TransientError(
            f"{counted(len(unreachable), 'video')} could not be reached: {unreachable[0].reason}"
        )
    name = "Partial" if failed else "Cached" if cached else "Completed"
    message = f"{counted(len(failed), 'video')} failed" if failed else None
    return Completed(name=name, message=message, data=unit)


def should_retry(task: Task[..., object], run: TaskRun, state: State[object]) -> bool:
    """Tell Prefect whether to retry a task run: only after an error that may pass. Log the retry,
    since nothing else is seen of the run while it waits."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, TransientError):
        log.warning("%s, retry %d of %d: %s", run.name, run.run_count, RETRIES, error)
    return isinstance(error, TransientError)


UNIT_TASK: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(backoff_factor=5),
    "retry_condition_fn": should_retry,
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "cache_result_in_memory": False,
}
"""Prefect's options of a task over a unit."""
