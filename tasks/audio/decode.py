"""Decode the start of a video's first audio stream: as much as the window needs, and no more.

Runs in the child processes of the pool and imports only av and numpy.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, groupby
from typing import cast

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.codec.context import ThreadType
from av.container import InputContainer

from tasks.audio.container import open_container
from tasks.audio.downmix import downmix
from tasks.audio.extent import Readable, is_whole
from tasks.audio.index import with_short_index
from tasks.audio.progress import Progress
from tasks.audio.window import FRAME_SECONDS, Segment, Window
from tasks.errors import VideoError

Planar = npt.NDArray[np.float32]  # shape (channels, n)

# Decoded beyond the window, so that the resampler's filter has sound on both sides of the cut.
MARGIN_SECONDS = 0.05

# Bounds against files that lie. DSD512 has the highest rate in use; 22.2 is the largest layout
# with a name. A stream of real sound does not change its format this often, nor break so often.
MIN_SAMPLING_RATE = 1_000
MAX_SAMPLING_RATE = 2_822_400
MAX_LEVEL = 2.0**31  # 32-bit integers that somebody wrote as float
MAX_CHANNELS = 24
MAX_SEGMENTS = 64
MAX_BROKEN_READS = 64
MAX_CORRUPT_PACKETS = 2_000

# Headers round, and the last picture may have no duration.
GRACE_SECONDS = 1.0

_FULL_SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31}


@dataclass(frozen=True)
class Decoded:
    """What was heard of a video.

    Attributes:
        segments: native-rate mono sound in order, one segment for each stretch of one format.
            None at all means that the video has no sound.
        corrupt_packets: packets that could not be read or decoded before the window was full.
        notes: what a person should know of the sound, or None when all is well.
    """

    segments: list[Segment]
    corrupt_packets: int = 0
    notes: str | None = None


def decode(file: Readable, window: Window) -> Decoded:
    """The sound at the start of ``file``.

    Raises:
        VideoError: ``not-media``; ``corrupt`` (no sound although the file promises some);
            ``unsupported`` (no decoder for its audio).
        MemoryError: the file wants more than the process may have.
    """
    return _decode_start(file, window) or _decode(file, window)


def _decode_start(file: Readable, window: Window) -> Decoded | None:
    """The sound of a long MP4 by the start of its index; None where that does not do."""
    start = with_short_index(file)
    if start is None:
        return None
    with suppress(VideoError), open_container(start) as container:
        segments, progress = _hear(container, window)
        if progress.heard >= window.seconds:
            return Decoded(segments, progress.corrupt, progress.notes())
    return None


def _decode(file: Readable, window: Window) -> Decoded:
    with open_container(file) as container:
        if not container.streams.audio:
            return Decoded([])
        segments, progress = _hear(container, window)
        return _judge(file, container, segments, window, progress)


def _hear(container: InputContainer, window: Window) -> tuple[list[Segment], Progress]:
    """The first audio stream until the window is full."""
    stream, progress = container.streams.audio[0], Progress()
    if stream.codec_context is None:
        raise VideoError("unsupported", "there is no decoder for its audio stream")
    packets = _packets(container, stream, progress)
    frames = _until_full(_frames(packets, progress), window.seconds, progress)
    segments = [
        (rate, _to_mono(planar, names, window)) for rate, names, planar in _segments(frames)
    ]
    return segments, progress


def _packets(
    container: InputContainer, stream: AudioStream, progress: Progress
) -> Iterator["av.Packet[AudioStream]"]:
    """The packets of ``stream``; those of the others only tell how far the file goes."""
    # FFmpeg's own threads under ours deadlock and run out (PyAV#1962, torchcodec#1253).
    stream.codec_context.thread_type = ThreadType.NONE
    stream.codec_context.thread_count = 1
    start = (container.start_time or 0) / av.time_base
    ticks: dict[
        int, float
    ] = {}  # by stream: a Fraction for each packet costs more than decoding it
    for _ in range(MAX_BROKEN_READS):
        try:
            for packet in container.demux():
                number, pts = packet.stream_index, packet.pts
                if pts is not None:
                    if number not in ticks:
                        ticks[number] = float(packet.time_base or 0)
                    end = (pts + (packet.duration or 0)) * ticks[number]
                    progress.reached = max(progress.reached, end - start)
                if number == stream.index:
                    yield cast("av.Packet[AudioStream]", packet)
            return
        except av.error.FFmpegError as error:
            progress.lose(error)  # a broken read costs itself: go on behind it
        except IndexError:
            return  # the end: PyAV's flush stumbles over a stream that appeared on the way


def _frames(
    packets: Iterable["av.Packet[AudioStream]"], progress: Progress
) -> Iterator[av.AudioFrame]:
    """The decoded frames; a corrupt packet costs itself, not what follows."""
    for packet in packets:
        if progress.corrupt >= MAX_CORRUPT_PACKETS:
            return
        try:
            frames = packet.decode()
        except av.error.EOFError:
            continue  # a second flush, after a broken read at the end
        except av.error.FFmpegError as error:
            progress.lose(error)
            continue
        yield from (frame for frame in frames if frame.samples and frame.sample_rate)


def _until_full(
    frames: Iterable[av.AudioFrame], seconds: float, progress: Progress
) -> Iterator[av.AudioFrame]:
    """The frames up to a little beyond the window: the cost does not grow with the video."""
    for frame in frames:
        if not MIN_SAMPLING_RATE <= frame.sample_rate <= MAX_SAMPLING_RATE:
            raise VideoError("corrupt", f"claims a sampling rate of {frame.sample_rate:,} Hz")
        length = frame.samples / frame.sample_rate
        if frame.time is not None and frame.time + length <= 0:
            continue  # before the start, by the edit list
        yield frame
        progress.hear(frame.time, length)
        if progress.heard >= seconds + MARGIN_SECONDS:
            return


def _segments(frames: Iterable[av.AudioFrame]) -> Iterator[tuple[int, tuple[str, ...], Planar]]:
    """Join frames of one rate and layout; a change on the way starts anew (faster-whisper#1451)."""
    by_format = groupby(frames, key=lambda frame: (frame.sample_rate, frame.layout.name))
    for count, ((rate, _), group) in enumerate(by_format):
        if count == MAX_SEGMENTS:
            raise VideoError("corrupt", f"changes its audio format more than {MAX_SEGMENTS} times")
        first = next(group)
        names = tuple(channel.name for channel in first.layout.channels[:MAX_CHANNELS])
        planar = np.concatenate([_planar(f) for f in chain([first], group)], axis=1)
        # Float codecs can carry NaN, infinity and 1e38: in the resampler one spoils all near it.
        planar[~(np.abs(planar) <= MAX_LEVEL)] = 0.0
        yield rate, names, planar


def _planar(frame: av.AudioFrame) -> Planar:
    """The samples of a frame as float32 in [-1, 1], shape ``(channels, n)``.

    Integers are scaled by the range of their width, as libswresample does.
    """
    format_name = frame.format.name.removesuffix("p")
    if format_name not in ("u8", "s16", "s32", "flt", "dbl"):  # s64, which PyAV hands out to nobody
        return _planar(av.AudioResampler(format="dblp").resample(frame)[0])
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(frame.samples, frame.layout.nb_channels).T
    samples = samples[:MAX_CHANNELS].astype(np.float32, copy=False)
    if format_name == "u8":
        samples -= 128
    if format_name in _FULL_SCALE:
        samples /= np.float32(_FULL_SCALE[format_name])
    return samples


def _to_mono(planar: Planar, names: tuple[str, ...], window: Window) -> npt.NDArray[np.float32]:
    return planar[0] if window.channels == "first" else downmix(planar, names)


def _judge(
    file: Readable,
    container: InputContainer,
    segments: list[Segment],
    window: Window,
    progress: Progress,
) -> Decoded:
    """Tell no sound from sound that was lost: an error must never look like silence."""
    if progress.heard >= window.seconds:
        return Decoded(segments, progress.corrupt, progress.notes())
    promised = (container.duration or 0) / av.time_base
    breaks_off = progress.reached < promised - GRACE_SECONDS
    whole = is_whole(file)
    if progress.heard >= FRAME_SECONDS:
        cut_off = breaks_off or whole is False
        return Decoded(segments, progress.corrupt, progress.notes(cut_off))
    # Of a format that does not tell where it ends, only a very short sound file is believed.
    alone = progress.heard > 0 and not container.streams.video
    if progress.corrupt or breaks_off or not (alone if whole is None else whole):
        reason = progress.last_error or "it is cut off, or broken from its start"
        raise VideoError("corrupt", f"promises sound, of which nothing can be decoded: {reason}")
    return Decoded([])
