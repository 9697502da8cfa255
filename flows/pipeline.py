"""The pipeline: units of videos are extracted and tagged, and manifests merged, side by side.

A few units are in flight: the next ones are extracted while one is tagged, and a manifest is merged
once all of its videos are settled. Mapping extraction over all units and then tagging over all
results would be a barrier (the runner is first in, first out): every clip of the run would be
extracted before the first is tagged.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from prefect import State
from prefect.futures import PrefectFuture

from tasks.errors import ConfigurationError, Failure, FailureKind, TransientError
from tasks.executor import Executor
from tasks.extract import extract_audio
from tasks.labels import Answer, video_tags
from tasks.manifests import Fields, Retag
from tasks.merge import Merged, leave, merge_tags
from tasks.plan import ManifestPlan, Videos
from tasks.scores import VideoScores
from tasks.shown import shown, shown_url
from tasks.tag import tag_audio
from tasks.tagger import Tagger
from tasks.tags import VideoTags
from tasks.units import ExtractedUnit, ExtractedVideo, TaggedUnit

MANIFESTS_PER_TASK = 100

Describe = Callable[[VideoScores], VideoTags]


@dataclass
class UnitOutcome:
    """What came of the videos of one unit.

    Attributes:
        manifest: number of the last manifest reached: those before it are settled.
        scores: video URL to what the model said.
        tags: video URL to what is said of it.
        failed: the videos without tags.
        extracted: what the extraction says of the others, but for the known ones.
        known: how many videos were tagged before.
        unkept: why clips or scores could not be written to the cache, if some could not.
        seconds: that each stage was at work on it.
    """

    manifest: int
    scores: dict[str, VideoScores] = field(default_factory=dict)
    tags: dict[str, VideoTags] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    extracted: list[ExtractedVideo] = field(default_factory=list)
    known: int = 0
    unkept: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tags) + len(self.failed)

    def notes(self) -> Iterator[str]:
        """Yield a line for each damaged video that was tagged by what was left of it, and for what
        could not be kept."""
        for one in self.extracted:
            if one.note:
                yield f"{shown_url(one.video.url)}: {shown(one.note)}"
        if self.unkept:
            why = shown(self.unkept)
            yield f"done again by the next run, since the cache cannot be written: {why}"

    def settled(self) -> Iterator[tuple[str, VideoTags | Failure]]:
        """The tags or the failure of each URL."""
        yield from self.tags.items()
        for failed in self.failed:
            yield failed.url, failed


@dataclass
class _InFlight:
    manifest: int
    urls: list[str]
    extracted: PrefectFuture[State[ExtractedUnit]]
    tagged: PrefectFuture[State[TaggedUnit]]
    submitted: datetime = field(default_factory=lambda: datetime.now(UTC))

    def results(self) -> list[object]:
        """What the tasks returned or raised, once they have ended."""
        futures = (self.tagged, self.extracted)
        for future in futures:
            future.wait()
        # A tag run whose extraction failed never starts: it is left pending.
        return [f.result(raise_on_failure=False) for f in futures if f.state.is_final()]


def tag_units(
    videos: Videos, tagger: Tagger, executor: Executor, answer: Answer
) -> Iterator[UnitOutcome]:
    """Extract and tag all videos, a few units at a time; outcomes come in order.

    Args:
        videos: of the run.
        tagger: what decides their scores.
        executor: does the work.
        answer: what is said of a video by its scores.

    Raises:
        ConfigurationError: the model cannot tag at all.
    """
    in_flight: deque[_InFlight] = deque()
    clock = _Clock()
    describe = partial(
        video_tags,
        labels=tagger.labels,
        activation=tagger.checkpoint.activation,
        window_seconds=tagger.window.seconds,
        answer=answer,
    )
    units = videos.units(executor.unit_size(tagger))
    for number, (manifest, urls) in enumerate(units, start=1):
        if len(in_flight) == executor.units_in_flight:
            yield _settle(in_flight.popleft(), describe, clock)
        extracted = extract_audio.submit(number, urls, tagger, executor)
        # Prefect hands over the result of a future that a task is given.
        tagged = tag_audio.submit(number, cast(Any, extracted), tagger, executor)
        in_flight.append(_InFlight(manifest, urls, extracted, tagged))
    while in_flight:
        yield _settle(in_flight.popleft(), describe, clock)


class _Clock:
    """How long each stage was at work: the units queue up in it one behind the other."""

    def __init__(self) -> None:
        self._free: dict[str, datetime] = {}

    def seconds(self, unit: _InFlight) -> dict[str, float]:
        """The time that each stage spent on a unit that is done."""
        spent, ready = {}, unit.submitted
        for stage, future in (("extract", unit.extracted), ("tag", unit.tagged)):
            if future.state.is_final():
                ended = future.state.timestamp
                begun = max(ready, self._free.get(stage, ready))
                spent[stage] = max(0.0, (ended - begun).total_seconds())
                ready = self._free[stage] = ended
        return spent


def _settle(unit: _InFlight, describe: Describe, clock: _Clock) -> UnitOutcome:
    """Wait for a unit; every one of its videos has tags or a failure then."""
    outcome = UnitOutcome(unit.manifest)
    kind, problem = FailureKind.INTERNAL, "the task run did not end"
    for result in unit.results():
        match result:
            case ConfigurationError():
                raise result
            case ExtractedUnit():
                result.drop_clips()
                outcome.failed += result.failed
                outcome.extracted, outcome.known = result.extracted, len(result.known)
                outcome.unkept = result.unkept or outcome.unkept
            case TaggedUnit():
                outcome.failed += result.failed
                outcome.scores = result.scores
                outcome.unkept = result.unkept or outcome.unkept
            case TransientError():
                kind, problem = result.kind, result.reason
            case Exception():
                problem = f"{type(result).__name__}: {result}"
    outcome.tags = {url: describe(scores) for url, scores in outcome.scores.items()}
    outcome.seconds = clock.seconds(unit)
    settled = outcome.tags.keys() | {failed.url for failed in outcome.failed}
    lost = [url for url in unit.urls if url not in settled]
    outcome.failed += [Failure(url, kind, problem) for url in lost]
    return outcome


class Merging:
    """The manifests of a run that wait for their videos, in order, and those under way."""

    def __init__(
        self,
        plans: Sequence[ManifestPlan],
        fields: Fields,
        videos: Videos,
        retag: Retag,
        provenance: str | None = None,
    ) -> None:
        self._waiting = deque(plan for plan in plans if plan.needs_merge)
        self._refused = [(plan, plan.error) for plan in plans if plan.error is not None]
        self._fields, self._videos = fields, videos
        self._retag, self._provenance = retag, provenance
        self._under_way: list[tuple[list[ManifestPlan], PrefectFuture[State[list[Merged]]]]] = []

    def up_to(self, manifest: int) -> None:
        """Start the manifests before this number: their videos are settled."""
        due = []
        while self._waiting and self._waiting[0].manifest.number < manifest:
            due.append(self._waiting.popleft())
        for start in range(0, len(due), MANIFESTS_PER_TASK):
            self._submit(due[start : start + MANIFESTS_PER_TASK])

    def finish(self) -> Iterator[Merged]:
        """Start what still waits, and give what came of all, refused manifests included."""
        for plan, error in self._refused:
            yield leave(plan, error)
        if self._waiting:
            self.up_to(self._waiting[-1].manifest.number + 1)
        for plans, future in self._under_way:
            merged = future.result(raise_on_failure=False)
            if isinstance(merged, list):
                yield from merged
            else:
                yield from (
                    Merged(plan, None, f"{shown_url(plan.manifest.url)}: {merged}")
                    for plan in plans
                )

    def _submit(self, plans: list[ManifestPlan]) -> None:
        more = f" and {len(plans) - 1} more" if len(plans) > 1 else ""
        name = shown_url(plans[0].manifest.target) + more
        future = merge_tags.submit(
            name, plans, self._fields, self._videos, self._retag, self._provenance
        )
        self._under_way.append((plans, future))
