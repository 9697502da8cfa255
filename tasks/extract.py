"""Audio extraction: from the videos of a unit to clips in the cache."""

import atexit
import functools
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace

from prefect import State, task
from prefect.runtime import task_run

from tasks.audio.clip import Clip, make_clip
from tasks.audio.pool import DecoderPool, Extracted
from tasks.audio.window import Window
from tasks.cache import Cache, entry_key
from tasks.errors import Failure, TransientError
from tasks.storage import Identity, identify
from tasks.units import UNIT_TASK, attempt, failure, finish_unit

IDENTIFY_SECONDS = 60.0
"""Limit for the identities of a unit's videos: one request each, all at the same time."""

_MAX_REQUESTS = 512
_requests = threading.BoundedSemaphore(_MAX_REQUESTS)


@dataclass(frozen=True)
class Video:
    """A video as it is now: its identity is part of every cache key."""

    url: str
    identity: Identity


@dataclass(frozen=True)
class ClipHandle:
    """A small handle on a clip in the cache: what a task gives to the next one.

    Attributes:
        video: whose clip it is.
        empty: there is no sound in it.
        cached: the clip was in the cache, nothing was read of the video.
        bytes_read: what was read of the video.
        note: what had to be left out of a damaged video.
    """

    video: Video
    empty: bool
    cached: bool
    bytes_read: int = 0
    note: str | None = None


@dataclass
class ExtractedUnit:
    """What came of the videos of one unit.

    Attributes:
        extracted: the videos with a clip.
        failed: the others.
        unkept: why clips could not be written to the cache, if some could not.
    """

    extracted: list[ClipHandle] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    unkept: str | None = None


def extract_unit(urls: Sequence[str], window: Window, cache: Cache) -> ExtractedUnit:
    """Extract every video of a unit; one that fails costs none of the others.

    Raises:
        ConfigurationError: no decoder process starts.
    """
    unit = ExtractedUnit()

    def extract(video: Video | Failure) -> ClipHandle | Failure:
        if isinstance(video, Failure):
            return video
        outcome = attempt(video.url, lambda: _find_or_extract(video, window, cache))
        if isinstance(outcome, Failure):  # the ledger says of which content
            outcome = replace(outcome, content=str(video.identity))
        return outcome

    for outcome in _extractors().map(extract, identify_videos(urls)):
        if isinstance(outcome, Failure):
            unit.failed.append(outcome)
        else:
            unit.extracted.append(outcome)
    unit.unkept = cache.trouble
    return unit


def identify_videos(urls: Sequence[str]) -> list[Video | Failure]:
    """Return size and etag (or modification time) of each video, in order."""
    deadline = time.monotonic() + IDENTIFY_SECONDS
    answers = [_ask(url, deadline) for url in urls]
    return [_identified(url, answer, deadline) for url, answer in zip(urls, answers, strict=True)]


def _ask(url: str, deadline: float) -> Future[Identity] | None:
    """Ask for an identity on a thread of its own; None when too many do not answer.

    Nothing can stop a thread in a store that hangs. It is a daemon, so that the process ends in
    spite of it, and does not come out of a pool, so that no other video waits for it.
    """
    if not _requests.acquire(timeout=max(0.0, deadline - time.monotonic())):
        return None
    answer: Future[Identity] = Future()

    def ask() -> None:
        try:
            answer.set_result(identify(url))
        except BaseException as error:  # noqa: BLE001 - raised again, or recorded, by the reader
            answer.set_exception(error)
        finally:
            _requests.release()

    threading.Thread(target=ask, name="identify", daemon=True).start()
    return answer


def _identified(url: str, answer: Future[Identity] | None, deadline: float) -> Video | Failure:
    try:
        if answer is None:
            raise TimeoutError
        error = answer.exception(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        reason = f"the store did not answer within {IDENTIFY_SECONDS:g} seconds"
        return failure(url, TransientError(reason))
    return Video(url, answer.result()) if error is None else failure(url, error)


def clip_key(video: Video, window: Window) -> str:
    """Return the cache key of a video's clip: the video as it is, and what was asked of it."""
    return entry_key("clips-2", asdict(video), asdict(window))


def _find_or_extract(video: Video, window: Window, cache: Cache) -> ClipHandle:
    clip = cached_clip(video, window, cache)
    if clip is not None:
        return ClipHandle(video, clip.is_empty, cached=True)
    new, _ = extract_clip(video, window, cache)
    return ClipHandle(video, new.empty, False, new.bytes_read, new.notes)


def cached_clip(video: Video, window: Window, cache: Cache) -> Clip | None:
    """Return the video's clip from the cache; None when it is not there, or damaged.

    Raises:
        TransientError: the cache's store did not answer.
    """
    content = cache.get(clip_key(video, window))
    try:
        return None if content is None else Clip.from_bytes(content)
    except Exception:  # noqa: BLE001 - whatever is wrong with an entry, the video has it right
        return None


def extract_clip(video: Video, window: Window, cache: Cache) -> tuple[Extracted, bytes]:
    """Extract the video's clip, and put it into the cache.

    Raises:
        VideoError: the video has none.
        TransientError: its store did not answer.
        ConfigurationError: no decoder process starts.
    """
    extracted = decoders().extract(video.url, window, video.identity)
    with extracted.clips as clips:
        content = next((clip for _, clip in clips), make_clip([], window).to_bytes())
    cache.put(clip_key(video, window), content)
    return extracted, content


def forget_clips(handles: Sequence[ClipHandle], window: Window, cache: str) -> None:
    """Remove clips that nobody will ask for again."""
    entries = Cache(cache)
    for handle in handles:
        entries.remove(clip_key(handle.video, window))


@functools.cache
def decoders() -> DecoderPool:
    """Return the process's pool of decoder processes; they end with it."""
    # macOS tells of all cores only, Linux of those that this process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Two for each core: half of them wait for the storage.
    pool = DecoderPool(2 * (cores or 1))
    atexit.register(pool.close)
    return pool


@functools.cache
def _extractors() -> ThreadPoolExecutor:
    """One thread for each decoder process, shared by all units so that the first comes first."""
    return ThreadPoolExecutor(decoders().size, thread_name_prefix="extract")


_earlier: dict[str, list[ClipHandle]] = {}
"""By task run: the clips of a unit that is tried again, since a store did not answer."""


@task(name="extract-audio", task_run_name="extract unit {number}", **UNIT_TASK)
def extract_audio(number: int, urls: list[str], window: Window, cache: str) -> State[ExtractedUnit]:
    """Extract a unit of videos: see :func:`extract_unit`."""
    # What an earlier try has done is not done again, nor counted as known before.
    earlier = _earlier.pop(task_run.id, [])
    done = {clip.video.url for clip in earlier}
    unit = extract_unit([url for url in urls if url not in done], window, Cache(cache))
    unit.extracted += earlier
    if any(video.is_transient for video in unit.failed):
        _earlier[task_run.id] = unit.extracted
    return finish_unit(unit, unit.failed, cached=all(clip.cached for clip in unit.extracted))
