"""Open a container that nobody vouches for: quickly, by its content, and nothing beside it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, cast

import av
import av.error
import av.logging
from av.container import InputContainer

from tasks.audio.extent import Readable, is_known
from tasks.errors import VideoError

EXACT_EDITS_SECONDS = 300.0

_MESSAGE_CHARACTERS = 200

# Formats that are lists of other files, network sessions, or pictures: never a video.
_REFUSED = {"concat", "dash", "hls", "image2", "image2pipe", "imf", "rtp", "rtsp", "sap", "sdp"}
_FORMATS = {name for name in av.formats_available if not name.endswith("_pipe")} - _REFUSED

_OPTIONS = {
    "format_whitelist": ",".join(sorted(_FORMATS)),
    "protocol_whitelist": "",
    # Else FFmpeg visits every fragment of an MP4 before the first packet: 2 s for an hour.
    "fflags": "+ignidx",
    # Else it reads the end of a transport stream just to tell its length.
    "skip_estimate_duration_from_pts": "1",
}

# FFmpeg's last error message travels with the exception; none goes to a terminal.
logging.getLogger("libav").addHandler(logging.NullHandler())
logging.getLogger("libav").propagate = False


@contextmanager
def open_container(file: Readable) -> Iterator[InputContainer]:
    """The container in ``file``, with at least one stream of pictures or sound.

    Raises:
        VideoError: ``not-media``, or ``corrupt`` where it begins as media do.
        MemoryError: its header wants more than the process may have.
    """
    try:
        container = _open(file)
    except av.error.FFmpegError as error:
        _refuse(error, file)
    with container:
        if not len(container.streams) and is_known(file):
            raise VideoError("corrupt", "cut off, or broken, before its first stream")
        if not container.streams.audio and not container.streams.video:
            raise VideoError("not-media", f"no pictures nor sound, but {container.format.name}")
        yield container


def _open(file: Readable) -> InputContainer:
    """Open a file so that the length of the video costs next to nothing."""
    # PyAV's log callback sees every message before it drops it, some for each entry of an index:
    # 40 ms for an hour of MP4. So it is there for what failed, and once the header is read.
    av.logging.set_level(None)
    try:
        container = _open_with(file, {"advanced_editlist": "0"})
        if _deserves_exact_edits(container):
            container.close()
            container = _open_with(file, {})
    except av.error.FFmpegError:
        av.logging.set_level(av.logging.ERROR)
        container = _open_with(file, {})
    av.logging.set_level(av.logging.ERROR)
    return container


def _deserves_exact_edits(container: InputContainer) -> bool:
    # To apply an edit list sample by sample takes FFmpeg 15 ms for an hour. Without, it still
    # leaves out what the codec needs to start, all that most lists say; but not the filling at
    # the end, nor what was cut out in between.
    seconds = (container.duration or 0) / av.time_base
    return "mp4" in container.format.name and 0 < seconds < EXACT_EDITS_SECONDS


def _open_with(file: Readable, options: dict[str, str]) -> InputContainer:
    # Always through a file object, so that no name or URL is FFmpeg's to open. A playlist or a
    # script renamed .mp4 is stopped three times: its format is not on the list, no protocol is,
    # and whatever still asks for another file is refused.
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
    raise VideoError("not-media", "a playlist or script that names other files, not a video")


def _refuse(error: av.error.FFmpegError, file: Readable) -> NoReturn:
    if isinstance(error, MemoryError):
        raise error
    message = explain(error)
    if "not on whitelist" in message:
        raise VideoError("not-media", "a playlist, script or picture, not a video") from error
    # A demuxer that took the file signs what it says is wrong with it; what is unsigned comes from
    # one that passed (hls).
    if (error.log and error.log[1]) or is_known(file):
        raise VideoError("corrupt", f"cannot be opened: {message}") from error
    raise VideoError("not-media", "no known media format") from error


def explain(error: av.error.FFmpegError) -> str:
    """FFmpeg's last message about ``error``, or else what its number means."""
    if not error.log:
        return str(error.strerror)
    _, name, message = cast("tuple[int, str, str]", error.log)  # not as its stub has it
    return f"{name}: {message.strip()}"[:_MESSAGE_CHARACTERS]
