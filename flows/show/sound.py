"""Encode a clip for a page: Opus to play, and a mel spectrogram to look at."""

import io
from fractions import Fraction
from typing import Any

import av
import librosa
import numpy as np
import numpy.typing as npt

from tasks.audio.clip import Clip

# Enough to recognise speech and music; ten seconds take 30 kB.
BITS_PER_SECOND = 24_000
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)

MEL_BINS = 64
_COLUMNS_A_SECOND = 25
_DECIBELS = 80.0
_SHADES = 48
# From silence to the loudest, after matplotlib's magma.
_COLORS = ((0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191))


def encode(clip: Clip) -> bytes:
    """Return the clip as Opus in WebM, which every browser plays."""
    rate = next((rate for rate in _OPUS_RATES if rate >= clip.sampling_rate), _OPUS_RATES[-1])
    sound = np.round(clip.waveform.clip(-1, 1) * np.iinfo(np.int16).max).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
    frame.sample_rate = clip.sampling_rate
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=rate, layout="mono")
        stream.bit_rate = BITS_PER_SECOND
        stream.options = {"vbr": "constrained"}  # else music takes twice that
        resampler = av.AudioResampler("s16", "mono", rate)
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return file.getvalue()


def spectrogram(clip: Clip) -> bytes:
    """Return the clip's mel spectrogram as PNG, 80 dB from its loudest."""
    power = librosa.feature.melspectrogram(
        y=clip.waveform,
        sr=clip.sampling_rate,
        n_fft=1024,
        hop_length=clip.sampling_rate // _COLUMNS_A_SECOND,
        n_mels=MEL_BINS,
    )
    loudest = max(float(power.max()), 1e-6)  # so silence is dark
    decibels = librosa.power_to_db(power, ref=loudest, amin=1e-16, top_db=None)
    shades = (1 + decibels / _DECIBELS).clip(0, 1) * (_SHADES - 1)
    return png(np.round(shades).astype(np.uint8)[::-1])


def png(shades: npt.NDArray[np.uint8]) -> bytes:
    """Return an image of shades, shape (rows, columns), with a palette from dark to light."""
    at = np.linspace(0, len(_COLORS) - 1, _SHADES)
    channels = np.array(_COLORS, float).T
    colors = np.stack([np.interp(at, range(len(_COLORS)), channel) for channel in channels], -1)
    palette = np.zeros((256, 4), np.uint8)  # opaque, red, green, blue
    palette[:, 0], palette[:_SHADES, 1:] = 255, np.round(colors)
    picture: Any = (np.ascontiguousarray(shades), palette)  # not in PyAV's types
    frame = av.VideoFrame.from_ndarray(picture, format="pal8")
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = shades.shape
    encoder.pix_fmt, encoder.time_base = "pal8", Fraction(1)
    encoder.options = {"compression_level": "9"}
    return b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))
