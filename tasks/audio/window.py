"""The window: length, sampling rate and channels of a model's input; how windows are spread."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]
Segment = tuple[int, Waveform]  # sampling rate in Hz; mono samples, shape (n,)

Channels = Literal["mix", "first"]

Windows = Literal["start", "all"] | int
"""Which parts of a video are decoded: the window at its start; a number of windows (at least 1)
spread evenly over it; or all of it, window by window."""

# Feature extractors cut sound into frames of 25 ms: less than one frame gives no feature.
FRAME_SECONDS = 0.025


@dataclass(frozen=True)
class Window:
    """The sound that a model takes: its length, rate and channels.

    Attributes:
        sampling_rate: in Hz.
        num_samples: the maximum length of the model's input.
        channels: ``mix`` uses all channels, ``first`` only the first (as the reference operator).
    """

    sampling_rate: int
    num_samples: int
    channels: Channels = "mix"

    def __post_init__(self) -> None:
        if self.sampling_rate < 1 or self.num_samples < 1 or self.channels not in ("mix", "first"):
            raise ValueError(f"no such window: {self}")

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sampling_rate


def parse_windows(text: str) -> Windows:
    """Parse ``start``, ``all`` or a number; one window is the start."""
    if text in ("start", "1"):
        return "start"
    return "all" if text == "all" else int(text)


def spread(start: float, end: float, seconds: float, count: int) -> list[float]:
    """Return the starts of at most ``count`` windows over the sound from ``start`` to ``end``.

    The first starts where the sound starts, the last ends where it ends, the others lie evenly in
    between. There are no more windows than cover all of the sound: those of a short video overlap,
    and sound that is no longer than a window is one window. A rest of less than a frame needs none.
    """
    needed = math.ceil((end - start - FRAME_SECONDS) / seconds)
    gaps = min(count, max(needed, 1)) - 1
    step = (end - start - seconds) / gaps if gaps else 0.0
    return [start + number * step for number in range(gaps + 1)]
