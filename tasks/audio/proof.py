"""Prove that a video has no sound: an error must never look like silence."""

import re
from contextlib import suppress
from typing import Any, cast

import av.error
import av.logging
from av.container import InputContainer

from tasks.audio.announced import FORMATS, doubt, joined
from tasks.audio.extent import Readable, bytes_at, is_whole
from tasks.audio.mp4 import absence
from tasks.errors import FailureKind, VideoError

# Formats that carry nothing but pictures.
_PICTURES_ONLY = {"gif", "apng", "ivf", "yuv4mpegpipe"}

# Formats that announce a stream anywhere, not only in a header.
LATE_FORMATS = {"mpegts", "mpeg", "flv"}
_TS_HEAD_SIZE = 2**20


def format_name(container: InputContainer) -> str:
    """Return FFmpeg's first name of the container's format."""
    return str(container.format.name.split(",")[0])


def prove_no_audio_stream(file: Readable, container: InputContainer) -> None:
    """Prove that a file in which FFmpeg lists no audio stream has none.

    Raises:
        VideoError: it may have one.
    """
    name = format_name(container)
    if name in _PICTURES_ONLY and not joined(file, name):
        return
    if name not in FORMATS:
        reason = f"has no audio stream, but the format {name} does not tell whether it is complete"
        raise VideoError(FailureKind.CORRUPT, reason)
    # This comes first, since it goes on where FFmpeg has stopped reading: the checks below seek.
    gains_a_stream = name in LATE_FORMATS and _gains_a_stream(container)
    if error := absence(file) or (encryption(file) if name == "mpegts" else None):
        raise error
    if is_whole(file) is False:
        raise VideoError(FailureKind.CORRUPT, "cut off, and what is left has no audio stream")
    found = "a stream begins within it" if gains_a_stream else doubt(file, name)
    if found:
        reason = f"no audio stream is found, but there may be one: {found}"
        raise VideoError(FailureKind.CORRUPT, reason)


def encryption(file: Readable) -> VideoError | None:
    """Return an error for a transport stream whose packets are scrambled (ISO/IEC 13818-1)."""
    head = bytes_at(file, 0, _TS_HEAD_SIZE)
    start = re.search(
        rb"\x47(?=.{187}\x47.{187}\x47)|\x47(?=.{191}\x47.{191}\x47)", head, re.DOTALL
    )
    if start is None:
        return None
    size = 188 if head[start.start() + 188 : start.start() + 189] == b"\x47" else 192
    scrambled = [flags & 0xC0 != 0 for flags in head[start.start() + 3 :: size]]
    if sum(scrambled) <= len(scrambled) / 100:  # a few are damage
        return None
    return VideoError(FailureKind.ENCRYPTED, "its packets are scrambled")


def _gains_a_stream(container: InputContainer) -> bool:
    """Tell whether another stream appears on the way to the end of the file."""
    known = len(container.streams)
    try:
        # At the end PyAV flushes all streams. Whether it fails for one that it does not know
        # depends on memory that it never set.
        with suppress(IndexError):
            for _ in container.demux():
                pass
    except av.error.FFmpegError:
        return True  # what follows is unknown
    return count_streams(container) > known


def count_streams(container: InputContainer) -> int:
    """Return the number of streams in FFmpeg's own list: PyAV's stays as it was at the start."""
    av.logging.set_level(av.logging.INFO)
    listed: str = cast(Any, container).dumps_format()  # not in its stub
    av.logging.set_level(av.logging.ERROR)
    return len(re.findall(r"^  Stream #", listed, re.MULTILINE))
