"""Prove that a video has no sound: an error must never look like silence."""

import re

import av.error
from av.container import InputContainer

from tasks.audio.extent import Readable, bytes_at, is_mp4, is_whole, matroska_tracks
from tasks.audio.mp4 import index_bytes
from tasks.errors import FailureKind, VideoError

# Formats that carry nothing but pictures.
_PICTURES_ONLY = {"gif", "apng", "ivf", "yuv4mpegpipe"}

# What announces sound in the bytes of a format, also where damage keeps FFmpeg from listing an
# audio stream. A format that is not here (a raw picture stream, above all) proves nothing.
_SOUND_MARKS = {
    "mov": rb"hdlr.{8}soun|smhd",  # the handler and the media header of a sound track
    # A track's codec ID, its type, its audio settings.
    "matroska": rb"\x86[\x81-\x90]A_|\x83\x81\x02|\xe1[\x80-\xbf].{0,3}\xb5[\x84\x88]",
    "avi": rb"auds|0[0-9]wb..[\x00-\x0f]\x00",  # a stream header, a chunk of wave data
    "asf": rb"\x40\x9e\x69\xf8\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b",  # stream type
    "ogg": rb"\x01vorbis|OpusHead|\x7fFLAC|Speex   ",
    "flv": rb"\AFLV.[\x04-\x07]",  # the flag in the header
    # A packetised stream of audio; one listed in the system header of a program stream.
    "mpegts": rb"\x00\x00\x01[\xc0-\xdf]",
    "mpeg": rb"\x00\x00\x01[\xc0-\xdf]|\x00\x00\x01\xbb.{8}(?:[\xb9-\xff]..)*[\xb8\xbd\xc0-\xdf]",
}
# Their streams are announced anywhere, not only in a header.
LATE_FORMATS = {"mpegts", "mpeg", "flv"}

_HEAD_SIZE = 2**20
_OVERLAP = 256  # the longest mark


def format_name(container: InputContainer) -> str:
    """FFmpeg's first name of the container's format."""
    return str(container.format.name.split(",")[0])


def prove_no_audio_stream(file: Readable, container: InputContainer) -> None:
    """Prove that a file in which FFmpeg lists no audio stream has none.

    Raises:
        VideoError: it may have one.
    """
    name = format_name(container)
    if name in _PICTURES_ONLY:
        return
    if name not in _SOUND_MARKS:
        reason = f"has no audio stream, but the format {name} does not tell whether it is complete"
        raise VideoError(FailureKind.CORRUPT, reason)
    # First, while the file stands where FFmpeg has read it up to: the rest moves it.
    gains_a_stream = name in LATE_FORMATS and _gains_a_stream(container)
    if is_whole(file) is False:
        raise VideoError(FailureKind.CORRUPT, "cut off, and no audio stream in what there is")
    if gains_a_stream or _announces_sound(file, name):
        reason = "announces sound, but FFmpeg finds no audio stream in it"
        raise VideoError(FailureKind.CORRUPT, reason)


def _announces_sound(file: Readable, name: str) -> bool:
    mark = re.compile(_SOUND_MARKS[name], re.DOTALL)
    if is_mp4(file):
        return bool(mark.search(index_bytes(file)))
    if name not in ("mpegts", "mpeg"):
        head = bytes_at(file, 0, _HEAD_SIZE)
        return bool(mark.search(matroska_tracks(head) if name == "matroska" else head))
    offset, tail = 0, b""
    while data := bytes_at(file, offset, _HEAD_SIZE):
        if mark.search(tail + data):
            return True
        offset, tail = offset + len(data), data[-_OVERLAP:]
    return False


def _gains_a_stream(container: InputContainer) -> bool:
    """Whether another stream appears on the way to the end of the file."""
    try:
        for _ in container.demux():
            pass
    except IndexError:
        return True  # PyAV flushes every stream, and knows only those of the start
    except av.error.FFmpegError:
        return True  # nobody knows what comes behind it
    return False
