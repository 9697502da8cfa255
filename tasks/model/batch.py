"""Batches of clips on their way to the device.

A clip is 16-bit integers and a peak, and stays so until it is on the device: that is half the bytes
of float32 to copy, and no arithmetic on samples in the main process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

Waveform = NDArray[np.float32]

FULL_SCALE = np.iinfo(np.int16).max


class Sound(Protocol):
    """What the model needs of a clip.

    Attributes:
        samples: int16, mono, at the checkpoint's sampling rate, shape ``(n,)``.
        peak: the level that the largest integer stands for; above 1 for sound above full scale.
    """

    @property
    def samples(self) -> NDArray[np.int16]: ...
    @property
    def peak(self) -> float: ...


def to_float(clip: Sound) -> Waveform:
    """Return the waveform of a clip, shape ``(n,)``."""
    return clip.samples.astype(np.float32) * np.float32(clip.peak / FULL_SCALE)


@dataclass(frozen=True)
class Batch:
    """Clips side by side, padded with zeros to the longest.

    Attributes:
        samples: int16, shape (clips, samples).
        scales: float32, shape (clips,): what a sample is multiplied by.
        lengths: int64, shape (clips,): samples of each clip without its padding.
    """

    samples: torch.Tensor
    scales: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def stack(cls, clips: Sequence[Sound], max_samples: int, device: torch.device) -> Self:
        """Copy the start of each clip into one array; for a GPU, in memory that it can read.

        Args:
            clips: at least one.
            max_samples: of each clip; the rest is left out.
            device: where the batch will be computed.
        """
        lengths = [min(len(clip.samples), max_samples) for clip in clips]
        pinned = device.type == "cuda"
        samples = torch.zeros(len(clips), max(lengths), dtype=torch.int16, pin_memory=pinned)
        for row, clip, length in zip(samples.numpy(), clips, lengths, strict=True):
            row[:length] = clip.samples[:length]
        scales = [clip.peak / FULL_SCALE for clip in clips]
        return cls(
            samples,
            torch.tensor(scales, dtype=torch.float32, pin_memory=pinned),
            torch.tensor(lengths, pin_memory=pinned),
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(self.samples[rows], self.scales[rows], self.lengths[rows])

    def upload(self, stream: torch.cuda.Stream) -> Self:
        """Start copying to the GPU of ``stream``, beside what the GPU is computing.

        The next computation on the current stream waits for the copy; the caller does not.
        """
        computing = torch.cuda.current_stream(stream.device)
        with torch.cuda.stream(stream):
            tensors = [
                tensor.to(stream.device, non_blocking=True)
                for tensor in (self.samples, self.scales, self.lengths)
            ]
        computing.wait_stream(stream)
        for tensor in tensors:
            tensor.record_stream(computing)  # otherwise the next copy might overwrite it too early
        return type(self)(*tensors)

    def waveforms(self) -> torch.Tensor:
        """Return float32, shape (clips, samples), on the batch's device."""
        return self.samples.to(torch.float32) * self.scales[:, None]
