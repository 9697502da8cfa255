"""The pipeline: units of videos are extracted and tagged, and manifests merged, side by side.

Some units are in flight: the next ones are extracted while one is tagged, and a manifest is merged
once all of its videos are settled (flows/merging.py). Mapping extraction over all units and then
tagging over all results would be a barrier (the runner is first in, first out): every clip of the
run would be extracted before the first is tagged.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Any

from prefect import State
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.quiet import quiet_task_runs
from tasks.errors import ClusterLost, ConfigurationError, Failure, FailureKind, TransientError
from tasks.executor import ManagedExecutor
from tasks.extract import extract_audio
from tasks.labels import TagOptions, video_tags
from tasks.scores import VideoScores
from tasks.shown import shown, shown_url
from tasks.tag import tag_audio
from tasks.tagger import Tagger
from tasks.tags import VideoTags
from tasks.units import ExtractedUnit, ExtractedVideo, TaggedUnit
from tasks.videos import ManifestRange, Unit, Videos

MAX_BEHIND = 1_000
"""How many units may start while an older one has not ended: this bounds a run's memory."""

ToTags = Callable[[VideoScores], VideoTags]


@dataclass
class UnitOutcome:
    """The results of one unit.

    Attributes:
        scores: the model's scores, by video URL.
        tags: the tags, by video URL.
        failed: the videos without tags.
        extracted: the videos that were extracted, as their scores were not in the cache.
        cached: how many videos had their scores in the cache.
        unkept: why clips or scores could not be written to the cache, if some could not.
        seconds: how long each stage was at work on it.
        unsettled: the manifests that wait for units which have not ended.
    """

    scores: dict[str, VideoScores] = field(default_factory=dict)
    tags: dict[str, VideoTags] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    extracted: list[ExtractedVideo] = field(default_factory=list)
    cached: int = 0
    unkept: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    unsettled: list[ManifestRange] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tags) + len(self.failed)

    def notes(self) -> Iterator[str]:
        """Yield lines for the log: one for each damaged video of which a part was tagged, one for
        all videos that were read to the end, and one if the cache could not be written."""
        for one in self.extracted:
            if one.note:
                yield f"{shown_url(one.video.url)}: {shown(one.note)}"
        formats = Counter(one.read_through for one in self.extracted if one.read_through)
        if formats:
            named = ", ".join(f"{name} ({number:,})" for name, number in formats.items())
            yield f"videos read to the end, because their format has no index: {named}"
        if self.unkept:
            why = shown(self.unkept)
            yield f"results are not cached, so the next run computes them again: {why}"

    def settled(self) -> Iterator[tuple[str, VideoTags | Failure]]:
        """Yield the tags or the failure of each URL."""
        yield from self.tags.items()
        for failed in self.failed:
            yield failed.url, failed


@dataclass
class _InFlight:
    """A unit with its task runs under way."""

    unit: Unit
    extracted: PrefectFuture[State[ExtractedUnit]]
    tagged: PrefectFuture[State[TaggedUnit]]
    submitted: datetime = field(default_factory=lambda: datetime.now(UTC))

    def results(self) -> list[object]:
        """Return what the tasks returned or raised, once they have ended."""
        futures = (self.tagged, self.extracted)
        for future in futures:
            future.wait()
        # A tag run whose extraction failed never starts: it is left pending.
        return [f.result(raise_on_failure=False) for f in futures if f.state.is_final()]


def tag_units(
    videos: Videos, tagger: Tagger, executor: ManagedExecutor, options: TagOptions
) -> Iterator[UnitOutcome]:
    """Extract and tag all videos, some units at a time; outcomes come as the units end.

    If they came in order, one slow unit would hold up all others, and every GPU of a cluster.

    Args:
        videos: the videos of the run.
        tagger: the model, and all else that decides the scores.
        executor: does the work.
        options: how scores become tags.

    Raises:
        ConfigurationError: the model cannot tag at all.
        ClusterLost: the cluster does not answer any more.
    """
    to_tags = partial(
        video_tags,
        labels=tagger.labels,
        activation=tagger.checkpoint.activation,
        window_seconds=tagger.window.seconds,
        options=options,
    )
    units = _Units(videos, tagger, executor, to_tags)
    # No limit on threads: each unit in flight has two, and its tag run waits in one of them.
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner()
    with quiet_task_runs() as hush, runner:
        try:
            while units.submit(runner):
                yield units.next_outcome(runner)
        except BaseException:
            hush()  # the tasks in flight end with the run: that is no news, and no fault of theirs
            executor.close()  # else leaving the runner waits for the units in flight
            raise


class _Units:
    """The units of a run: some are in flight, the others wait."""

    def __init__(
        self, videos: Videos, tagger: Tagger, executor: ManagedExecutor, to_tags: ToTags
    ) -> None:
        self._tagger, self._executor, self._to_tags = tagger, executor, to_tags
        self._clock = _Clock()
        self._waiting = enumerate(videos.units(executor.unit_size(tagger, len(videos))), start=1)
        self._in_flight: dict[int, _InFlight] = {}
        self._ended: SimpleQueue[int] = SimpleQueue()
        self._submitted = 0
        # The manifests that units which still wait may belong to.
        self._rest: list[ManifestRange] = [ManifestRange(0, sys.maxsize)]

    def submit(self, runner: "ThreadPoolTaskRunner[Any]") -> bool:
        """Submit units until the executor is busy; tell whether any is in flight."""
        behind = self._submitted - min(self._in_flight, default=self._submitted)
        room = self._executor.units_in_flight - len(self._in_flight)
        room = max(0, min(room, MAX_BEHIND - behind))
        due = list(islice(self._waiting, room))
        for number, unit in due:
            self._submit(number, unit, runner)
        if len(due) < room:
            self._rest = []
        return bool(self._in_flight)

    def next_outcome(self, runner: "ThreadPoolTaskRunner[Any]") -> UnitOutcome:
        """Wait for the unit that ends next, and return its results."""
        unit = self._in_flight.pop(self._ended.get())
        outcome = _settle(unit, self._to_tags, self._clock)
        _forget(runner, unit)
        outcome.unsettled = self._rest + [one.unit.span for one in self._in_flight.values()]
        return outcome

    def _submit(self, number: int, unit: Unit, runner: "ThreadPoolTaskRunner[Any]") -> None:
        given = {"number": number, "tagger": self._tagger, "executor": self._executor}
        extracted = runner.submit(extract_audio, {"urls": unit.urls, **given})
        # Prefect gives the task the result of this future.
        tagged = runner.submit(tag_audio, {"unit": extracted, **given})
        self._in_flight[number] = _InFlight(unit, extracted, tagged)
        self._submitted, self._rest = number, [ManifestRange(unit.last_manifest, sys.maxsize)]
        tagged.add_done_callback(lambda _: self._ended.put(number))


def _forget(runner: "ThreadPoolTaskRunner[Any]", unit: _InFlight) -> None:
    """Free what Prefect keeps of every task run until the flow ends: 9 kB for each unit."""
    kept: Any = runner
    for future in (unit.extracted, unit.tagged):
        kept._cancel_events.pop(future.task_run_id, None)
    if context := FlowRunContext.get():
        context.run_results.clear()  # which task run gave which value: not needed any more


class _Clock:
    """Measures how long each stage was at work, as if it took one unit after another."""

    def __init__(self) -> None:
        self._free: dict[str, datetime] = {}

    def seconds(self, unit: _InFlight) -> dict[str, float]:
        """Return the time that each stage spent on a unit that has ended."""
        spent, ready = {}, unit.submitted
        for stage, future in (("extract", unit.extracted), ("tag", unit.tagged)):
            if future.state.is_final():
                ended = future.state.timestamp
                begun = max(ready, self._free.get(stage, ready))
                spent[stage] = max(0.0, (ended - begun).total_seconds())
                ready = self._free[stage] = ended
        return spent


def _settle(unit: _InFlight, to_tags: ToTags, clock: _Clock) -> UnitOutcome:
    """Wait for a unit, and give each of its videos tags or a failure."""
    outcome = UnitOutcome()
    kind, problem = FailureKind.INTERNAL, "the task run did not end"
    for result in unit.results():
        match result:
            case ConfigurationError() | ClusterLost():
                raise result
            case ExtractedUnit():
                result.drop_clips()
                outcome.failed += result.failed
                outcome.extracted, outcome.cached = result.extracted, len(result.cached_scores)
                outcome.unkept = result.unkept or outcome.unkept
            case TaggedUnit():
                outcome.failed += result.failed
                outcome.scores = result.scores
                outcome.unkept = result.unkept or outcome.unkept
            case TransientError():
                kind, problem = result.kind, result.reason
            case Exception():
                problem = f"{type(result).__name__}: {result}"
    outcome.tags = {url: to_tags(scores) for url, scores in outcome.scores.items()}
    outcome.seconds = clock.seconds(unit)
    settled = outcome.tags.keys() | {failed.url for failed in outcome.failed}
    lost = [url for url in unit.unit.urls if url not in settled]
    outcome.failed += [Failure(url, kind, problem) for url in lost]
    return outcome
