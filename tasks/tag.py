"""Tagging: from the clips of a unit to the scores of its videos."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prefect import State, task

from tasks.audio.clip import Clip
from tasks.cache import Cache
from tasks.errors import ConfigurationError, Failure, FailureKind, error_text
from tasks.executor import Executor
from tasks.identify import Video
from tasks.kept import keep_scores
from tasks.scores import VideoScores
from tasks.tagger import Tagger
from tasks.units import UNIT_TASK, ExtractedUnit, TaggedUnit, attempt, finish_unit

log = logging.getLogger(__name__)

Logits = NDArray[np.float32]


def tag_unit(unit: ExtractedUnit, tagger: Tagger, cache: Cache | None) -> TaggedUnit:
    """Compute the scores of every extracted video of a unit; one that fails affects no other.

    The scores of a unit are written to the cache together: a run that is killed loses those of the
    units in progress.

    Raises:
        ConfigurationError: the model cannot tag at all.
    """
    tagged = TaggedUnit(dict(unit.cached_scores))
    answers: dict[Video, list[_WindowLogits]] = {one.video: [] for one in unit.extracted}
    windows = (
        _VideoWindow(one.video, start, Clip.from_bytes(clip))
        for one in unit.extracted
        for start, clip in one.clips
    )
    for window, logits in _ask(windows, tagger):
        if not isinstance(logits, Failure):
            answers[window.video].append(_WindowLogits(window.start, window.seconds, logits))
        elif answers.pop(window.video, None) is not None:
            tagged.failed.append(logits)
    scores = {video: _scores(given) for video, given in answers.items()}
    keep_scores(scores, tagger, cache)
    tagged.scores |= {video.url: one for video, one in scores.items()}
    tagged.unkept = cache.take_trouble() if cache else None
    return tagged


class _VideoWindow(NamedTuple):
    """A window of a video; ``start`` in seconds."""

    video: Video
    start: float
    clip: Clip

    @property
    def seconds(self) -> float:
        return self.clip.samples.size / self.clip.sampling_rate


class _WindowLogits(NamedTuple):
    """The logits of a window; its start and length in seconds."""

    start: float
    seconds: float
    logits: Logits


def _scores(windows: Sequence[_WindowLogits]) -> VideoScores:
    """Return the scores of a video; one without sound has no windows."""
    if not windows:
        return VideoScores.empty()
    starts, seconds, logits = zip(*windows, strict=True)
    return VideoScores.of(starts, np.stack(logits), seconds)


def _ask(
    windows: Iterator[_VideoWindow], tagger: Tagger
) -> Iterator[tuple[_VideoWindow, Logits | Failure]]:
    """Yield each window with its logits, or why it has none.

    When the model fails on a batch, the clips that it has taken are tried alone: one of them may be
    at fault.
    """
    taken: deque[_VideoWindow] = deque()

    def take() -> Iterator[Clip]:
        for window in windows:
            taken.append(window)
            yield window.clip

    while True:
        try:
            for logits in tagger.predict(take()):
                window = taken.popleft()
                yield window, _not_finite(window) if logits is None else logits
            return
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - the clip at fault raises it again
            alone = list(taken)
            log.warning("a batch failed, its clips are tried alone: %s", error_text(error))
        taken.clear()
        for window in alone:
            answer = attempt(window.video.url, partial(next, tagger.predict([window.clip])))
            yield window, _not_finite(window) if answer is None else answer


def _not_finite(window: _VideoWindow) -> Failure:
    reason = "the model answers with NaN or infinity"
    return Failure(window.video.url, FailureKind.INTERNAL, reason)


@task(name="tag-audio", task_run_name="tag unit {number}", **UNIT_TASK)
def tag_audio(
    number: int, unit: ExtractedUnit, tagger: Tagger, executor: Executor
) -> State[TaggedUnit]:
    """Tag a unit: see :func:`tag_unit`."""
    tagged = executor.tag(unit, tagger)
    cached = len(unit.cached_scores) == len(tagged.scores) > 0
    return finish_unit(tagged, tagged.failed, cached)
