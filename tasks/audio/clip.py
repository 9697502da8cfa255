"""The clip: the part of a video's sound that a model takes, at its rate, small enough to keep."""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
import soxr

from tasks.audio.window import FRAME_SECONDS, Segment, Waveform, Window

__all__ = ["Clip", "Window", "make_clip"]

_FULL_SCALE = 32_767
_MIN_PEAK = 1e-30  # -600 dB is silence; below 1e-34 the scale overflows float32
_HEADER = struct.Struct("<4sIIf")  # magic, sampling rate, samples, peak
_MAGIC = b"CLP2"


@dataclass(frozen=True, eq=False)
class Clip:
    """Mono sound as 16-bit integers scaled by its peak, so that quiet sound keeps its precision.

    Attributes:
        samples: int16, shape ``(n,)``; ``n == 0`` means that the video has no sound.
        peak: the level that the largest integer stands for; float sound may exceed 1 (0 dBFS).
        sampling_rate: in Hz.
    """

    samples: npt.NDArray[np.int16] = field(repr=False)
    peak: float
    sampling_rate: int

    @classmethod
    def empty(cls, sampling_rate: int) -> Self:
        """Return the clip of a video without sound."""
        return cls(np.zeros(0, np.int16), 0.0, sampling_rate)

    @property
    def is_empty(self) -> bool:
        return self.samples.size == 0

    @property
    def waveform(self) -> Waveform:
        """The sound as float32, shape ``(n,)``; full scale is 1."""
        return self.samples.astype(np.float32) * np.float32(self.peak / _FULL_SCALE)

    def to_bytes(self) -> bytes:
        """Return a header, then the samples, little-endian: never pickle. The cache adds its
        checksum."""
        header = _HEADER.pack(_MAGIC, self.sampling_rate, self.samples.size, self.peak)
        return header + self.samples.astype("<i2", copy=False).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the clip that :meth:`to_bytes` wrote.

        Raises:
            ValueError: the bytes are cut short, of another format, or damaged.
        """
        header, sound = data[: _HEADER.size], data[_HEADER.size :]
        if len(header) < _HEADER.size:
            raise ValueError("a clip is cut short in its header")
        magic, sampling_rate, count, peak = _HEADER.unpack(header)
        if magic != _MAGIC or len(sound) != 2 * count:
            raise ValueError("a clip is damaged: its header does not match its sound")
        if not (math.isfinite(peak) and peak >= 0):
            raise ValueError("a clip is damaged: its peak is not a level")
        return cls(np.frombuffer(sound, "<i2").astype(np.int16), peak, sampling_rate)


def make_clip(segments: Iterable[Segment], window: Window, lead_seconds: float = 0.0) -> Clip:
    """Resample segments to the window's rate, join them, cut the window out, and quantise it.

    Each segment is resampled on its own, since a stream may change its rate on the way.
    Less sound than one 25 ms frame gives an empty clip.

    Args:
        segments: mono, at their own rates, all samples finite.
        lead_seconds: how much of their start lies before the window: only the resampler uses it.
    """
    parts: list[Waveform] = []
    for rate, waveform in segments:
        if rate != window.sampling_rate and waveform.size:
            waveform = soxr.resample(waveform, rate, window.sampling_rate, quality="HQ")
        parts.append(waveform)
    sound = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    sound = sound[round(lead_seconds * window.sampling_rate) :][: window.num_samples]
    if sound.size < int(FRAME_SECONDS * window.sampling_rate):
        sound = sound[:0]
    # float32, as in the header, so that storing a clip changes nothing.
    peak = float(np.float32(np.max(np.abs(sound), initial=0.0)))
    if peak < _MIN_PEAK:
        sound, peak = np.zeros_like(sound), 0.0
    scale = _FULL_SCALE / peak if peak else 0.0
    return Clip(np.round(sound * scale).astype(np.int16), peak, window.sampling_rate)
