"""The window: length, sampling rate and channels of a model's input."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]
Segment = tuple[int, Waveform]  # sampling rate in Hz; mono samples, shape (n,)

Channels = Literal["mix", "first"]

Windows = Literal["start", "all"] | int
"""How much of a video is heard: the window at its start; so many windows (at least 1) spread evenly
over it; all of it, window by window."""

# A feature extractor frames the sound by 25 ms: with less than one frame there is nothing to hear.
FRAME_SECONDS = 0.025


@dataclass(frozen=True)
class Window:
    """How much sound a model wants to hear, and how.

    Attributes:
        sampling_rate: in Hz.
        num_samples: the most samples that the model looks at.
        channels: ``mix`` hears all channels, ``first`` only the first (as the reference operator).
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
