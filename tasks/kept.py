"""What is kept of a video between runs: its scores, or how it failed, and its clip where that costs
little.

Scores are small (1 kB a window), and those of a unit are one object. So are its failures, but only
those that the same bytes have again: a video that was decoded in vain is not decoded again until it
changes, or the decoder does. A clip is 0.33 MB and an
object of its own: on a local disk it spares the next model the decoding; in a remote store it would
cost more than decoding again.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict

from tasks.audio.clip import Clip
from tasks.audio.clips import Clips
from tasks.audio.version import decoder_version
from tasks.audio.window import Window
from tasks.cache import Cache, entry_key
from tasks.errors import OF_CONTENT, Failure, FailureKind
from tasks.identify import Video
from tasks.scores import VideoScores
from tasks.tagger import Tagger


def known_scores(
    videos: Sequence[Video], tagger: Tagger, cache: Cache | None
) -> dict[str, VideoScores]:
    """Return what is known of some videos, by URL.

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
    """Write the scores of a unit as one object, if the store takes it."""
    if cache is not None and scores:
        cache.put_packed({tagger.score_key(video): one.to_bytes() for video, one in scores.items()})


def known_failures(
    videos: Sequence[Video], tagger: Tagger, cache: Cache | None
) -> dict[str, Failure]:
    """Return how some videos have failed before, by URL, unless they are to be tried again.

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
    """Write the failures of a unit as one object, if the store takes it."""
    contents = {
        failure_key(video, tagger): json.dumps([failed.kind, failed.reason]).encode()
        for video, failed in failures.items()
        if failed.kind in OF_CONTENT
    }
    if cache is not None and contents:
        cache.put_packed(contents)


def failure_key(video: Video, tagger: Tagger) -> str:
    """Name a video's failure: what its clips would be, and the decoder that failed."""
    clip = clip_key(video, tagger.window)
    return entry_key("failures-1", clip, tagger.windows, decoder_version())


def clip_key(video: Video, window: Window) -> str:
    """Name a video's clip: the video as it is, and what is heard of it."""
    return entry_key("clips-2", asdict(video), asdict(window))


def known_clips(video: Video, window: Window, cache: Cache | None) -> Clips | None:
    """Return the video's clips; None when they are not there, or damaged.

    Raises:
        TransientError: the cache's store did not answer.
    """
    content = cache.get(clip_key(video, window)) if cache and cache.keeps_clips else None
    if content is None:
        return None
    try:
        clip = Clip.from_bytes(content)
    except ValueError:  # a damaged entry: the video has it right
        return None
    if clip.sampling_rate != window.sampling_rate:
        return None
    return Clips() if clip.is_empty else Clips([(0.0, content)])


def keep_clips(video: Video, window: Window, clips: Clips, cache: Cache | None) -> None:
    """Write a video's clip, where the cache is for that and its store takes it."""
    if cache is not None and cache.keeps_clips:
        silent = Clip.empty(window.sampling_rate).to_bytes()
        content = next((clip for _, clip in clips), silent)
        cache.put(clip_key(video, window), content)
