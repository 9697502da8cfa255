"""Real media for tests, encoded by PyAV: known sound in, files of any container and codec out."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle, repeat, zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Planar = npt.NDArray[np.float32]  # shape (channels, n)

PICTURES_A_SECOND = 25
_PICTURES = {".webm": "libvpx", ".flv": "flv1"} | dict.fromkeys(
    (".aac", ".flac", ".m4a", ".mp3", ".ogg", ".wav", ".caf"), None
)


def melody(seconds: float, rate: int, level: float = 0.5, seed: int = 0) -> Planar:
    """A tone that glides from 200 to 3,000 Hz, unlike itself at any delay; shape (1, n)."""
    rng = np.random.default_rng(seed)
    knots = np.arange(0, seconds + 0.2, 0.1)
    time = np.arange(round(seconds * rate)) / rate
    frequency = np.interp(time, knots, rng.uniform(200, 3000, knots.size))
    loudness = np.interp(time, knots, rng.uniform(0.5, 1, knots.size))
    sound = loudness * np.sin(2 * np.pi * np.cumsum(frequency) / rate)
    return np.asarray(level * sound / np.abs(sound).max(), np.float32)[None]


def tone(seconds: float, rate: int, frequency: float = 440.0, level: float = 0.5) -> Planar:
    """A sine; shape (1, n)."""
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(level * np.sin(2 * np.pi * frequency * time), np.float32)[None]


def write_media(
    path: Path,
    sound: Planar | None,
    rate: int = 44_100,
    codec: str = "aac",
    *,
    layout: str = "",
    pictures: str | None = "",
    seconds: float | None = None,
    sound_starts: float = 0.0,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    muxer: str | None = None,
    codec_options: dict[str, str] | None = None,
    still: bool = False,
) -> Path:
    """Encode ``sound``, shape ``(channels, n)``, interleaved with pictures, into ``path``.

    Args:
        sound: None writes a video without an audio stream.
        layout: FFmpeg's name for the channels; mono, stereo or 5.1 by their number unless given.
        pictures: the video codec, None for none; by default what suits the container.
        seconds: of pictures; by default as long as the sound.
        sound_starts: seconds of pictures before the first sound.
        options: for the muxer.
        muxer: FFmpeg's name for the container; by default what suits the suffix.
        codec_options: for the encoders; of those that one does not know it takes no notice.
        still: one grey picture over and over, quick to encode and small; else noise.
    """
    if pictures == "":
        pictures = _PICTURES.get(path.suffix, "mpeg4")
    if seconds is None:
        seconds = sound_starts + (0.0 if sound is None else sound.shape[1] / rate)
    streams: list[tuple[Any, Iterator[Any]]] = []
    with av.open(str(path), "w", muxer, options=options or {}) as container:
        container.metadata.update(metadata or {})
        if pictures:
            video = container.add_stream(pictures, PICTURES_A_SECOND, options=codec_options)
            assert isinstance(video, av.VideoStream)
            formats = video.codec.video_formats
            video.width, video.height = 64, 64
            video.pix_fmt = formats[0].name if formats else "yuv420p"
            streams.append((video, _pictures(seconds, still)))
        if sound is not None:
            layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
            audio = container.add_stream(codec, rate, options=codec_options, layout=layout)
            streams.append((audio, _frames(sound, rate, layout, sound_starts)))
        for frames in zip_longest(*(frames for _, frames in streams)):
            for (stream, _), frame in zip(streams, frames, strict=True):
                if frame is not None:
                    container.mux(stream.encode(frame))
        for stream, _ in streams:
            container.mux(stream.encode(None))
    return path


def _pictures(seconds: float, still: bool) -> Iterator[av.VideoFrame]:
    grey = np.full((96, 64), 128, np.uint8)
    for number in range(round(seconds * PICTURES_A_SECOND)):
        noise = np.random.default_rng(number).integers(0, 255, grey.shape, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey if still else noise, "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, PICTURES_A_SECOND)
        yield frame


def _frames(sound: Planar, rate: int, layout: str, starts: float) -> Iterator[av.AudioFrame | None]:
    """One frame a picture, so that the muxer can interleave; None before the sound starts."""
    yield from repeat(None, round(starts * PICTURES_A_SECOND))
    step = max(1, rate // PICTURES_A_SECOND)
    for start in range(0, sound.shape[1], step):
        # Packed: PyAV counts one plane too many of eight channels and more.
        part = np.ascontiguousarray(sound[:, start : start + step].T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, "flt", layout)
        frame.rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(starts * rate) + start
        yield frame


def write_long_media(
    path: Path, seconds: float, size: int, options: dict[str, str] | None = None
) -> Path:
    """A video of any length in a moment: one second of sound over and over, and large pictures.

    The pictures are padded or cut to size: who only wants the sound never looks at them.

    Args:
        size: of the pictures, in bytes.
        options: for the muxer.
    """
    sound = np.concatenate([melody(1, 44_100), melody(1, 44_100, seed=1)])
    second = write_media(path.with_name(f"second{path.suffix}"), sound)
    with av.open(str(second)) as source, av.open(str(path), "w", options=options or {}) as target:
        packets = [packet for packet in source.demux() if packet.size]
        streams = [target.add_stream_from_template(stream) for stream in source.streams]
        sounds = cycle([bytes(packet) for packet in packets if packet.stream.type == "audio"])
        picture = next(bytes(packet) for packet in packets if packet.stream.type == "video")
        picture_size = round(size / seconds / PICTURES_A_SECOND)
        picture = picture[:picture_size].ljust(picture_size, b"\0")
        heard = 0
        for number in range(round(seconds * PICTURES_A_SECOND)):
            target.mux(_packet(picture, streams[0], number, PICTURES_A_SECOND))
            while heard / 44_100 < (number + 1) / PICTURES_A_SECOND:
                target.mux(_packet(next(sounds), streams[1], heard, 44_100))
                heard += 1_024
    second.unlink()
    return path


def _packet(data: bytes, stream: Any, time: int, rate: int) -> "av.Packet[Any]":
    packet: av.Packet[Any] = av.Packet(data)
    packet.pts = packet.dts = time
    packet.time_base, packet.is_keyframe, packet.stream = Fraction(1, rate), True, stream
    return packet
