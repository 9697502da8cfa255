"""Open an untrusted container by its content, without opening any other file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, cast

import av
import av.error
import av.logging
from av.audio.stream import AudioStream
from av.codec.context import ThreadType
from av.container import InputContainer

from tasks.audio.extent import Readable, is_known
from tasks.audio.mp4 import absence
from tasks.errors import FailureKind, VideoError

_MESSAGE_CHARACTERS = 200

# Formats that are lists of other files, network sessions, or pictures: never a video.
_REFUSED = {"concat", "dash", "hls", "image2", "image2pipe", "imf", "rtp", "rtsp", "sap", "sdp"}
_FORMATS = {name for name in av.formats_available if not name.endswith("_pipe")} - _REFUSED

_OPTIONS = {
    "format_whitelist": ",".join(sorted(_FORMATS)),
    "protocol_whitelist": "",
    # Otherwise FFmpeg visits every fragment of an MP4 before the first packet: 2 s for an hour.
    "fflags": "+ignidx",
}

# FFmpeg's last error message travels with the exception; none goes to a terminal.
logging.getLogger("libav").addHandler(logging.NullHandler())
logging.getLogger("libav").propagate = False


@contextmanager
def open_container(
    file: Readable,
    *,
    exact_edits: bool = True,
    thorough: bool = False,
    index: bool = False,
) -> Iterator[InputContainer]:
    """Open the container in ``file``, which has at least one audio or video stream.

    Args:
        exact_edits: apply an MP4's edit list sample by sample, which takes FFmpeg 15 ms for an
            hour. Even without it FFmpeg leaves out the priming of a codec.
        thorough: let FFmpeg read the end of a transport or program stream too, where it may find
            more streams.
        index: read the index of the container, which seeking needs.

    Raises:
        VideoError: ``not-media``, or ``corrupt`` where it begins like a media file.
        MemoryError: its header needs more memory than the process may use.
    """
    options = {} if exact_edits else {"advanced_editlist": "0"}
    if index:
        options["fflags"] = "-ignidx"
    if not thorough:
        # FFmpeg reads the end of a transport stream to tell its length: another request.
        options["skip_estimate_duration_from_pts"] = "1"
    try:
        container = _open(file, options)
    except av.error.FFmpegError as error:
        _refuse(error, file)
    with container:
        if not len(container.streams) and is_known(file):
            raise VideoError(FailureKind.CORRUPT, "cut off or damaged before its first stream")
        if not container.streams.audio and not container.streams.video:
            raise VideoError(
                FailureKind.NOT_MEDIA, f"no audio or video stream (format {container.format.name})"
            )
        yield container


def _open(file: Readable, options: dict[str, str]) -> InputContainer:
    # PyAV's log callback receives even the messages that it drops, some for each entry of an index:
    # 40 ms for an hour of MP4. So it is off while the header is read. A file that fails is opened
    # again with it, for the message; it is on for what follows.
    av.logging.set_level(None)
    try:
        container = _open_with(file, options)
    except av.error.FFmpegError:
        av.logging.set_level(av.logging.ERROR)
        container = _open_with(file, options)
    av.logging.set_level(av.logging.ERROR)
    return container


def _open_with(file: Readable, options: dict[str, str]) -> InputContainer:
    # Always through a file object, so that FFmpeg itself opens no name or URL. A playlist or script
    # renamed .mp4 is stopped in three ways: its format is not allowed, no protocol is allowed, and
    # every request for another file is refused.
    file.seek(0)
    return av.open(
        file,
        "r",
        # Latin-1 metadata in a valid file raises UnicodeDecodeError otherwise. The argument is
        # gone in PyAV 19, hence the cap in pyproject.toml (PyAV#2386).
        metadata_errors="ignore",
        options=_OPTIONS | options,
        io_open=_refuse_to_open,
    )


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise VideoError(
        FailureKind.NOT_MEDIA, "a playlist or script that names other files, not a video"
    )


def _refuse(error: av.error.FFmpegError, file: Readable) -> NoReturn:
    """Raise what a failure to open ``file`` says about the video."""
    if isinstance(error, MemoryError):
        raise error
    message = ffmpeg_message(error)
    if "not on whitelist" in message:
        raise VideoError(
            FailureKind.NOT_MEDIA, "a playlist, script or picture, not a video"
        ) from error
    if missing := absence(file):
        raise missing from error
    # Errors logged by the demuxer that was chosen carry its name; others come from one that passed
    # the file on (hls).
    if (error.log and error.log[1]) or is_known(file):
        raise VideoError(FailureKind.CORRUPT, f"cannot be opened: {message}") from error
    raise VideoError(FailureKind.NOT_MEDIA, "no known media format") from error


def decode_in_this_thread(stream: AudioStream) -> None:
    """Keep FFmpeg from threads of its own: under ours they deadlock and run out (PyAV#1962,
    torchcodec#1253)."""
    stream.codec_context.thread_type = ThreadType.NONE
    stream.codec_context.thread_count = 1


def ffmpeg_message(error: av.error.FFmpegError) -> str:
    """Return FFmpeg's last message about ``error``, or else the meaning of its number."""
    if not error.log:
        return str(error.strerror)
    _, name, message = cast("tuple[int, str, str]", error.log)  # its stub is wrong
    return f"{name}: {message.strip()}"[:_MESSAGE_CHARACTERS]
