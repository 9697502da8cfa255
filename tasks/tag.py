"""Tagging: from the clips of a unit to the scores of its videos."""

from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prefect import State, task

from tasks.audio.clip import Clip
from tasks.cache import Cache
from tasks.errors import ConfigurationError, Failure, FailureKind
from tasks.executor import Executor
from tasks.identify import Video
from tasks.kept import keep_scores
from tasks.scores import VideoScores
from tasks.tagger import Tagger
from tasks.units import UNIT_TASK, ExtractedUnit, TaggedUnit, attempt, finish_unit

Logits = NDArray[np.float32]


def tag_unit(unit: ExtractedUnit, tagger: Tagger, cache: Cache | None) -> TaggedUnit:
    """Ask the model about every extracted video of a unit; one that fails costs none of the others.

    The scores of a unit reach the cache together: a run that is killed loses those of the units
    under way.

    Raises:
        ConfigurationError: the model cannot tag at all.
    """
    tagged = TaggedUnit(dict(unit.known))
    answers: dict[Video, list[_Answer]] = {one.video: [] for one in unit.extracted}
    windows = (
        _Heard(one.video, start, Clip.from_bytes(clip))
        for one in unit.extracted
        for start, clip in one.clips
    )
    for heard, logits in _ask(windows, tagger):
        if not isinstance(logits, Failure):
            answers[heard.video].append(_Answer(heard.start, heard.seconds, logits))
        elif answers.pop(heard.video, None) is not None:
            tagged.failed.append(logits)
    scores = {video: _scores(given) for video, given in answers.items()}
    keep_scores(scores, tagger, cache)
    tagged.scores |= {video.url: one for video, one in scores.items()}
    tagged.unkept = cache.trouble if cache else None
    return tagged


class _Heard(NamedTuple):
    """A window of a video; ``start`` in seconds."""

    video: Video
    start: float
    clip: Clip

    @property
    def seconds(self) -> float:
        return self.clip.samples.size / self.clip.sampling_rate


class _Answer(NamedTuple):
    """What the model said of a window; its start and length in seconds."""

    start: float
    seconds: float
    logits: Logits


def _scores(windows: Sequence[_Answer]) -> VideoScores:
    """Return the scores of a video; one without sound has no windows."""
    if not windows:
        return VideoScores.empty()
    starts, seconds, logits = zip(*windows, strict=True)
    return VideoScores.of(starts, np.stack(logits), seconds)


def _ask(clips: Iterator[_Heard], tagger: Tagger) -> Iterator[tuple[_Heard, Logits | Failure]]:
    """Yield the logits of each clip. When the model fails on a batch, the clips that it has taken
    are tried alone: one of them may be odd."""
    taken: deque[_Heard] = deque()

    def take() -> Iterator[Clip]:
        for heard in clips:
            taken.append(heard)
            yield heard.clip

    while True:
        try:
            for logits in tagger.predict(take()):
                heard = taken.popleft()
                yield heard, _not_finite(heard) if logits is None else logits
            return
        except ConfigurationError:
            raise
        except Exception:  # noqa: BLE001 - it is raised again by the clip that is at fault
            alone = list(taken)
        taken.clear()
        for heard in alone:
            answer = attempt(heard.video.url, partial(next, tagger.predict([heard.clip])))
            yield heard, _not_finite(heard) if answer is None else answer


def _not_finite(heard: _Heard) -> Failure:
    reason = "the model answers with NaN or infinity"
    return Failure(heard.video.url, FailureKind.INTERNAL, reason)


@task(name="tag-audio", task_run_name="tag unit {number}", **UNIT_TASK)
def tag_audio(
    number: int, unit: ExtractedUnit, tagger: Tagger, executor: Executor
) -> State[TaggedUnit]:
    """Tag a unit: see :func:`tag_unit`."""
    tagged = executor.tag(unit, tagger)
    cached = len(unit.known) == len(tagged.scores) > 0
    return finish_unit(tagged, tagged.failed, cached)
