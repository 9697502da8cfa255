"""Audio extraction: look up what is known of the videos of a unit, extract clips of the others."""

import atexit
import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from prefect import State, task
from prefect.runtime import task_run

from tasks.audio.pool import DecoderPool
from tasks.cache import Cache
from tasks.errors import Failure
from tasks.executor import Executor
from tasks.identify import Video, identify_videos
from tasks.kept import keep_clips, keep_failures, known_clips, known_failures, known_scores
from tasks.tagger import Tagger
from tasks.units import UNIT_TASK, ExtractedUnit, ExtractedVideo, attempt, finish_unit


def extract_unit(urls: Sequence[str], tagger: Tagger, cache: Cache | None) -> ExtractedUnit:
    """Extract the videos of a unit that have neither scores nor a failure in the cache; one that
    fails does not affect the others.

    Raises:
        TransientError: the cache's store did not answer.
        ConfigurationError: no decoder process starts.
    """
    decoders().renew()
    identified = identify_videos(urls)
    videos = [video for video in identified if isinstance(video, Video)]
    unit = ExtractedUnit(
        cached_scores=known_scores(videos, tagger, cache),
        failed=[failed for failed in identified if isinstance(failed, Failure)],
    )

    def extract(video: Video) -> ExtractedVideo | Failure:
        return attempt(video.url, lambda: _find_or_extract(video, tagger, cache))

    unknown = [video for video in videos if video.url not in unit.cached_scores]
    failures = known_failures(unknown, tagger, cache)
    unit.failed += failures.values()
    unknown = [video for video in unknown if video.url not in failures]
    failed: dict[Video, Failure] = {}
    for video, outcome in zip(unknown, _extractors().map(extract, unknown), strict=True):
        if isinstance(outcome, Failure):
            # The ledger names the content that failed.
            failed[video] = replace(outcome, content=str(video.identity))
        else:
            unit.extracted.append(outcome)
    unit.failed += failed.values()
    keep_failures(failed, tagger, cache)
    unit.unkept = cache.take_trouble() if cache else None
    return unit


def _find_or_extract(video: Video, tagger: Tagger, cache: Cache | None) -> ExtractedVideo:
    clips = known_clips(video, tagger, cache)
    if clips is not None:
        return ExtractedVideo(video, clips, cached=True)
    new = decoders().extract(video.url, tagger.window, video.identity, tagger.windows)
    keep_clips(video, tagger, new.clips, cache)
    return ExtractedVideo(video, new.clips, False, new.bytes_read, new.notes, new.read_through)


_given_cores: float | None = None


def use_cores(number: float) -> None:
    """Set on how many cores this process extracts; call it before the first extraction."""
    global _given_cores
    _given_cores = number


@functools.cache
def decoders() -> DecoderPool:
    """Return this process's pool of decoder processes, which end with it."""
    # Linux tells which cores this process may use, macOS only how many there are.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Two for each core: half of them wait for the storage.
    pool = DecoderPool(max(1, round(2 * (_given_cores or usable or 1))))
    atexit.register(pool.close)
    return pool


@functools.cache
def _extractors() -> ThreadPoolExecutor:
    """Return a thread for each decoder process, shared by all units: first come, first served."""
    return ThreadPoolExecutor(decoders().size, thread_name_prefix="extract")


_earlier: dict[str, ExtractedUnit] = {}
"""By task run: what earlier tries of a unit have done, when a store did not answer."""


@task(name="extract-audio", task_run_name="extract unit {number}", **UNIT_TASK)
def extract_audio(
    number: int, urls: list[str], tagger: Tagger, executor: Executor
) -> State[ExtractedUnit]:
    """Extract a unit of videos: see :func:`extract_unit`."""
    # What an earlier try has done is neither done again nor counted as cached.
    earlier = _earlier.pop(task_run.id, ExtractedUnit())
    done = earlier.urls()
    unit = executor.extract([url for url in urls if url not in done], tagger)
    unit.add(earlier)
    if any(video.is_transient for video in unit.failed):
        _earlier[task_run.id] = unit
    return finish_unit(unit, unit.failed, cached=all(one.cached for one in unit.extracted))
