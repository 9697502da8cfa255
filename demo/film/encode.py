"""Writes pictures and sound as a video file with PyAV."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from training.sound import SAMPLE_RATE, Signal, resample

from film.picture import FRAMES_PER_SECOND, HEIGHT, WIDTH, Image


@dataclass(frozen=True)
class Format:
    """How a video is encoded; the container follows from the file's suffix."""

    video_codec: str = "libx264"
    video_options: dict[str, str] = field(default_factory=lambda: {"crf": "30", "preset": "slow"})
    audio_codec: str = "aac"
    audio_rate: int = 44_100
    audio_bit_rate: int | None = 48_000
    audio_layout: str = "mono"


def write_video(path: Path, frames: Iterable[Image], sound: Signal | None, form: Format) -> None:
    """Encodes RGB frames and, unless it is None, a mono sound at 16 kHz."""
    with av.open(str(path), "w") as output:
        video = output.add_stream(form.video_codec, FRAMES_PER_SECOND, form.video_options)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = add_audio(output, form) if sound is not None else None
        for image in frames:
            pixels = np.rint(255 * image).astype(np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(video.encode(None))
        if audio is not None and sound is not None:
            output.mux(audio.encode(audio_frame(sound, form)))
            output.mux(audio.encode(None))


def add_audio(output: OutputContainer, form: Format) -> av.AudioStream:
    """Declares the audio stream, which all containers want before the first packet."""
    stream = output.add_stream(form.audio_codec, form.audio_rate, layout=form.audio_layout)
    assert isinstance(stream, av.AudioStream)
    if form.audio_bit_rate is not None:
        stream.bit_rate = form.audio_bit_rate
    return stream


def audio_frame(sound: Signal, form: Format) -> av.AudioFrame:
    """The whole sound in the stream's rate and layout; all channels are alike."""
    samples = resample(sound, SAMPLE_RATE, form.audio_rate).astype(np.float32)
    channels = av.AudioLayout(form.audio_layout).nb_channels
    planes = np.repeat(samples[None], channels, axis=0)
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=form.audio_layout)
    frame.sample_rate = form.audio_rate
    frame.time_base = Fraction(1, form.audio_rate)
    frame.pts = 0
    return frame
