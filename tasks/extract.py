"""Audio extraction: from the videos of a unit to clips in the cache."""

import atexit
import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from prefect import State, task

from tasks.audio.clip import Clip
from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tasks.cache import Cache, entry_key
from tasks.errors import Failure, StorageError, TransientError, VideoError
from tasks.storage import Identity, identify
from tasks.units import UNIT_TASK, finish_unit

# Asking for the identity of a video is one request: waiting, not work.
_IDENTIFIERS = 32


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
    """What came of the videos of one unit."""

    extracted: list[ClipHandle] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


def identify_videos(urls: Sequence[str]) -> list[Video | Failure]:
    """Size and etag (or modification time) of each video, in order."""
    with ThreadPoolExecutor(_IDENTIFIERS, thread_name_prefix="identify") as threads:
        return list(threads.map(_identify, urls))


def _identify(url: str) -> Video | Failure:
    try:
        return Video(url, identify(url))
    except StorageError as error:
        return Failure(url, error.kind, error.reason)


def clip_key(video: Video, window: Window) -> str:
    """The cache entry of a video's clip: the video as it is, and what was asked of it."""
    return entry_key("clips-2", asdict(video), asdict(window))


def load_clip(video: Video, window: Window, cache: Cache) -> tuple[Clip, ClipHandle]:
    """The video's clip out of the cache; where it is not there (any more), out of the video.

    Raises:
        VideoError: the video has none.
        TransientError: the storage did not answer.
    """
    key = clip_key(video, window)
    clip = _from_cache(key, cache)
    if clip is not None:
        return clip, ClipHandle(video, clip.is_empty, cached=True)
    result = decoders().extract(video.url, window, video.identity)
    cache.put(key, result.clip)
    return Clip.from_bytes(result.clip), ClipHandle(
        video, result.empty, cached=False, bytes_read=result.bytes_read, note=result.notes
    )


def _from_cache(key: str, cache: Cache) -> Clip | None:
    content = cache.get(key)
    try:
        return None if content is None else Clip.from_bytes(content)
    except ValueError:
        return None


def extract_unit(videos: Sequence[Video], window: Window, cache: Cache) -> ExtractedUnit:
    """Extract every video of a unit; one that fails costs none of the others."""
    unit = ExtractedUnit()

    def extract(video: Video) -> ClipHandle | Failure:
        try:
            return load_clip(video, window, cache)[1]
        except (VideoError, TransientError) as error:
            return Failure(video.url, error.kind, error.reason)

    for outcome in _extractors().map(extract, videos):
        if isinstance(outcome, Failure):
            unit.failed.append(outcome)
        else:
            unit.extracted.append(outcome)
    return unit


def forget_clips(handles: Sequence[ClipHandle], window: Window, cache: str) -> None:
    """Remove clips that nobody will ask for again."""
    entries = Cache(cache)
    for handle in handles:
        entries.remove(clip_key(handle.video, window))


@functools.cache
def decoders() -> DecoderPool:
    """The process's pool of decoder processes; they end with it."""
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


@task(name="extract-audio", task_run_name="extract unit {number}", **UNIT_TASK)
def extract_audio(number: int, videos: list[Video], window: Window, cache: str) -> State[Any]:
    """Extract a unit of videos, as an :class:`ExtractedUnit`: see :func:`extract_unit`."""
    unit = extract_unit(videos, window, Cache(cache))
    return finish_unit(unit, unit.failed, cached=all(clip.cached for clip in unit.extracted))
