"""What a model said of a video, small enough to keep: its logits for each window."""

import struct
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

_MAGIC = b"SCR1"
_HEAD = struct.Struct("<4sII")  # magic, windows, labels


@dataclass(frozen=True, eq=False)
class VideoScores:
    """The logits of a video's windows. A video without sound has no window.

    Attributes:
        starts: seconds into the video, float32, shape ``(windows,)``.
        top: index of the top label of each window, int32, shape ``(windows,)``. Kept beside the
            logits, since two that differ may be equal when they are rounded.
        logits: float16, shape ``(windows, labels)``.
    """

    starts: npt.NDArray[np.float32] = field(repr=False)
    top: npt.NDArray[np.int32] = field(repr=False)
    logits: npt.NDArray[np.float16] = field(repr=False)

    @classmethod
    def of(cls, starts: npt.ArrayLike, logits: npt.NDArray[np.float32]) -> Self:
        """Take the logits of a video's windows, float32, shape ``(windows, labels)``."""
        return cls(
            np.asarray(starts, np.float32),
            logits.argmax(-1).astype(np.int32),
            # Nothing is rounded to infinity.
            np.clip(logits, -6e4, 6e4).astype(np.float16),
        )

    @classmethod
    def empty(cls) -> Self:
        """The scores of a video without sound."""
        return cls(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros((0, 0), np.float16))

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.starts)

    def to_bytes(self) -> bytes:
        """A head, then the three arrays, little-endian: never a pickle."""
        head = _HEAD.pack(_MAGIC, *self.logits.shape)
        parts = (self.starts.astype("<f4"), self.top.astype("<i4"), self.logits.astype("<f2"))
        return head + b"".join(part.tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The scores that :meth:`to_bytes` wrote.

        Raises:
            ValueError: the bytes are of another kind, or cut short.
        """
        if len(data) < _HEAD.size:
            raise ValueError("scores are cut short in their head")
        magic, windows, labels = _HEAD.unpack_from(data)
        if magic != _MAGIC or len(data) != _HEAD.size + windows * (8 + 2 * labels):
            raise ValueError("these are no scores")
        starts = np.frombuffer(data, "<f4", windows, _HEAD.size)
        top = np.frombuffer(data, "<i4", windows, _HEAD.size + 4 * windows)
        logits = np.frombuffer(data, "<f2", windows * labels, _HEAD.size + 8 * windows)
        if windows and not (np.isfinite(logits).all() and 0 <= top.min() <= top.max() < labels):
            raise ValueError("these scores are damaged")
        return cls(starts, top, logits.reshape(windows, labels))
