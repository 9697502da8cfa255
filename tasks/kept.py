"""Look up and keep the scores, the failures and the clips of videos in the cache.

Scores are small (1 kB a window); those of a unit are one object. Failures are another, but only
those that the same bytes would cause again: such a video is not decoded again until it or the
decoder changes. A clip has 0.33 MB and is an object of its own: on a local disk it saves the next
model the decoding; in a remote store it would cost more than decoding again.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from itertools import count
from typing import NamedTuple, Self

from tasks.audio.clip import Clip
from tasks.audio.clips import Clips
from tasks.audio.version import decoder_version
from tasks.cache import Cache, entry_key
from tasks.errors import OF_CONTENT, Failure, FailureKind
from tasks.identify import Video
from tasks.scores import VideoScores
from tasks.tagger import Tagger

_HEADER = struct.Struct("<d?")  # a clip's start in seconds, whether it is the last


def known_scores(
    videos: Sequence[Video], tagger: Tagger, cache: Cache | None
) -> dict[str, VideoScores]:
    """Return the scores of videos that are in the cache, by URL.

    Raises:
        TransientError: the cache's store did not answer.
    """
    if cache is None or not videos:
        return {}
    urls = {tagger.score_key(video): video.url for video in videos}
    known = {}
    for key, content in cache.find_packed(list(urls)).items():
        with suppress(ValueError):  # a damaged entry
            scores = VideoScores.from_bytes(content)
            if not len(scores) or scores.logits.shape[1] == len(tagger.labels):
                known[urls[key]] = scores
    return known


def keep_scores(scores: Mapping[Video, VideoScores], tagger: Tagger, cache: Cache | None) -> None:
    """Write the scores of a unit as one object, if the store accepts it."""
    contents = {
        tagger.score_key(video): one.to_bytes()
        for video, one in scores.items()
        if video.identity.is_known
    }
    if cache is not None and contents:
        cache.put_packed(contents)


def known_failures(
    videos: Sequence[Video], tagger: Tagger, cache: Cache | None
) -> dict[str, Failure]:
    """Return the failures of videos that are in the cache, by URL; none if they are retried.

    Raises:
        TransientError: the cache's store did not answer.
    """
    if cache is None or tagger.retry_failed or not videos:
        return {}
    by_key = {failure_key(video, tagger): video for video in videos}
    known = {}
    for key, content in cache.find_packed(list(by_key)).items():
        video = by_key[key]
        with suppress(ValueError, TypeError, RecursionError):  # a damaged entry
            kind, reason = json.loads(content)
            known[video.url] = Failure(video.url, FailureKind(kind), reason, str(video.identity))
    return known


def keep_failures(failures: Mapping[Video, Failure], tagger: Tagger, cache: Cache | None) -> None:
    """Write the failures of a unit as one object, if the store accepts it."""
    contents = {
        failure_key(video, tagger): json.dumps([failed.kind, failed.reason]).encode()
        for video, failed in failures.items()
        if failed.kind in OF_CONTENT and video.identity.is_known
    }
    if cache is not None and contents:
        cache.put_packed(contents)


def failure_key(video: Video, tagger: Tagger) -> str:
    """Return the key of a video's failure: the key of its clips, and the decoder that failed."""
    return entry_key("failures-1", clip_key(video, tagger), decoder_version())


def clip_key(video: Video, tagger: Tagger, number: int = 0) -> str:
    """Return the key of a clip: the video's identity, what is extracted of it, which window."""
    return entry_key("clips-3", asdict(video), asdict(tagger.window), tagger.windows, number)


def known_clips(video: Video, tagger: Tagger, cache: Cache | None) -> Clips | None:
    """Return the video's clips; None when one of them is missing or damaged.

    Raises:
        TransientError: the cache's store did not answer, or the temporary folder is full.
    """
    if cache is None or not cache.keeps_clips(tagger.windows):
        return None
    with ExitStack() as unused:
        clips = unused.enter_context(Clips())
        for number in count():
            try:
                entry = _Entry.from_bytes(cache.get(clip_key(video, tagger, number)) or b"")
                clip = Clip.from_bytes(entry.clip)
            except ValueError:  # extract it again
                return None
            if clip.sampling_rate != tagger.window.sampling_rate:
                return None
            if not clip.is_empty:
                clips.add(entry.start, entry.clip)
            if entry.is_last:
                break
        unused.pop_all()
        return clips


def keep_clips(video: Video, tagger: Tagger, clips: Clips, cache: Cache | None) -> None:
    """Write a video's clips, if the cache keeps clips and its store accepts them."""
    if cache is not None and cache.keeps_clips(tagger.windows) and video.identity.is_known:
        # One empty clip says that the video has no sound.
        silent = Clip.empty(tagger.window.sampling_rate).to_bytes()
        last = max(0, len(clips) - 1)
        for number, (start, clip) in enumerate(clips if len(clips) else [(0.0, silent)]):
            entry = _Entry(start, number == last, clip)
            cache.put(clip_key(video, tagger, number), entry.to_bytes())


class _Entry(NamedTuple):
    """A clip in the cache: its start in seconds, and whether it is the video's last one."""

    start: float
    is_last: bool
    clip: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what :meth:`to_bytes` wrote.

        Raises:
            ValueError: it is cut short, or its start is not a valid time.
        """
        if len(data) < _HEADER.size:
            raise ValueError("an entry is cut short in its header")
        start, is_last = _HEADER.unpack_from(data)
        if not (math.isfinite(start) and start >= 0):
            raise ValueError("the start of a clip is not a valid time")
        return cls(start, is_last, data[_HEADER.size :])

    def to_bytes(self) -> bytes:
        return _HEADER.pack(self.start, self.is_last) + self.clip
