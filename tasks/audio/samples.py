"""Collect the samples of decoded frames: float32, one row a channel, full scale 1."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import cast

import av
import numpy as np
import numpy.typing as npt

from tasks.errors import FailureKind, VideoError

Planar = npt.NDArray[np.float32]  # shape (channels, n)

# Limits for untrusted (corrupt or malicious) files: a stream of real sound does not change its
# format this often; its level is not above that of 32-bit integers that somebody wrote as float.
MAX_SEGMENTS = 64
MAX_LEVEL = 2.0**31

# By FFmpeg's name of the format, packed or planar: the type in memory and the full scale.
_TYPES: dict[str, tuple[np.dtype[np.generic], float]] = {
    "u8": (np.dtype("u1"), 2.0**7),
    "s16": (np.dtype("i2"), 2.0**15),
    "s32": (np.dtype("i4"), 2.0**31),
    "flt": (np.dtype("f4"), 1.0),
    "dbl": (np.dtype("f8"), 1.0),
}
# With eight planes PyAV 18.1 looks for the end of the list beyond FFmpeg's array of eight pointers.
_MAX_PLANES = 7


def collect(
    frames: Iterable[av.AudioFrame], seconds: float
) -> Iterator[tuple[int, tuple[str, ...], Planar]]:
    """Join frames of one format: the rate, FFmpeg's names of the channels, the samples.

    A change of format on the way begins a new stretch (faster-whisper#1451).

    Args:
        seconds: the most that is kept of one format.

    Raises:
        VideoError: ``corrupt``; the format changes too often, or most samples are damaged.
    """
    by_format = groupby(frames, lambda f: (f.sample_rate, f.layout.name, f.format.name))
    for count, ((rate, _, _), group) in enumerate(by_format):
        if count == MAX_SEGMENTS:
            reason = f"changes its audio format more than {MAX_SEGMENTS} times"
            raise VideoError(FailureKind.CORRUPT, reason)
        first = next(group)
        planar = _join(first, group, math.ceil(seconds * rate))
        _silence_damage(planar)
        yield rate, tuple(channel.name for channel in first.layout.channels), planar


def _join(first: av.AudioFrame, others: Iterator[av.AudioFrame], max_samples: int) -> Planar:
    """Copy the samples of frames of one format into one array."""
    frames: Iterable[av.AudioFrame] = chain([first], others)
    channels, name = first.layout.nb_channels, first.format.name
    planes = channels if first.format.is_planar else 1
    if planes > _MAX_PLANES or name.removesuffix("p") not in _TYPES:  # s64: no type of PyAV's
        resampler = av.AudioResampler(format="flt")
        frames = (packed for frame in frames for packed in resampler.resample(frame))
        name, planes = "flt", 1
    dtype, full_scale = _TYPES[name.removesuffix("p")]
    # Copied at once: FFmpeg uses a frame's memory again for the next one, while it is warm.
    planar, end = np.empty((planes, max_samples * (channels // planes)), np.float32), 0
    rows = list(planar)
    with np.errstate(over="ignore", invalid="ignore"):  # doubles of a damaged file
        for frame in frames:
            count = min(frame.samples * (channels // planes), planar.shape[1] - end)
            for row, plane in zip(rows, cast("tuple[memoryview, ...]", frame.planes), strict=False):
                row[end : end + count] = np.frombuffer(plane, dtype, count)
            end += count
    planar = planar[:, :end]
    if planes < channels:
        planar = planar.reshape(-1, channels).T
    if name.startswith("u8"):
        planar -= np.float32(full_scale)
    if full_scale != 1:
        planar *= np.float32(1 / full_scale)
    return planar


def _silence_damage(planar: Planar) -> None:
    """Set damaged samples (NaN, infinity, 1e38) to 0, in place.

    The resampler would spread each of them over its neighbours.
    """
    # One sample above the limit makes the energy larger than the limit's square, or NaN.
    with np.errstate(over="ignore", invalid="ignore"):
        energies = [np.dot(channel, channel) for channel in planar]
    if all(energy < MAX_LEVEL**2 for energy in energies):
        return
    damaged = ~(np.abs(planar) <= MAX_LEVEL)
    if damaged.mean() > 0.5:
        raise VideoError(
            FailureKind.CORRUPT, "most of its audio samples are NaN, infinite or far too large"
        )
    planar[damaged] = 0.0
