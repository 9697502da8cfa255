"""The scores of a video: the model's logits for each window, in a form small enough to keep."""

import struct
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

Activation = Literal["sigmoid", "softmax", "none"]
"""The function from logits to probabilities. ``sigmoid``: any number of labels may apply;
``softmax``: exactly one does; ``none``: they are probabilities already."""

_MAGIC = b"SCR1"
_HEAD = struct.Struct("<4sII")  # magic, windows, labels


@dataclass(frozen=True, eq=False)
class VideoScores:
    """The logits of a video's windows. A video without sound has no window.

    Attributes:
        starts: in seconds from the start of the video, float32, shape ``(windows,)``.
        seconds: the length of each, float32, shape ``(windows,)``: a video may be shorter than a
            window, or end in it.
        top: index of the top label of each window, int32, shape ``(windows,)``. Kept beside the
            logits, since two that differ may become equal when they are rounded.
        logits: float16, shape ``(windows, labels)``.
    """

    starts: npt.NDArray[np.float32] = field(repr=False)
    seconds: npt.NDArray[np.float32] = field(repr=False)
    top: npt.NDArray[np.int32] = field(repr=False)
    logits: npt.NDArray[np.float16] = field(repr=False)

    @classmethod
    def of(
        cls,
        starts: npt.ArrayLike,
        logits: npt.NDArray[np.float32],
        seconds: npt.ArrayLike = np.inf,
    ) -> Self:
        """Take the logits of a video's windows, float32, shape ``(windows, labels)``.

        Args:
            starts: of the windows, in seconds.
            logits: of each window.
            seconds: how long the windows are; infinity stands for a whole one.
        """
        begun = np.asarray(starts, np.float32)
        return cls(
            begun,
            np.broadcast_to(np.asarray(seconds, np.float32), begun.shape),
            logits.argmax(-1).astype(np.int32),
            # So that none is rounded to infinity.
            np.clip(logits, -6e4, 6e4).astype(np.float16),
        )

    @classmethod
    def empty(cls) -> Self:
        """Return the scores of a video without sound."""
        none = np.zeros(0, np.float32)
        return cls(none, none, np.zeros(0, np.int32), np.zeros((0, 0), np.float16))

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.starts)

    def to_bytes(self) -> bytes:
        """Pack a head, then the arrays, little-endian: never a pickle."""
        head = _HEAD.pack(_MAGIC, *self.logits.shape)
        times = (self.starts.astype("<f4"), self.seconds.astype("<f4"))
        parts = (*times, self.top.astype("<i4"), self.logits.astype("<f2"))
        return head + b"".join(part.tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the scores that :meth:`to_bytes` wrote.

        Raises:
            ValueError: the bytes are of another format, cut short, or damaged.
        """
        if len(data) < _HEAD.size:
            raise ValueError("scores are cut short in their head")
        magic, windows, labels = _HEAD.unpack_from(data)
        if magic != _MAGIC or len(data) != _HEAD.size + windows * (12 + 2 * labels):
            raise ValueError("this is not an entry of scores")
        starts, seconds = np.frombuffer(data, "<f4", 2 * windows, _HEAD.size).reshape(2, windows)
        top = np.frombuffer(data, "<i4", windows, _HEAD.size + 8 * windows)
        logits = np.frombuffer(data, "<f2", windows * labels, _HEAD.size + 12 * windows)
        finite = np.isfinite(logits).all() and np.isfinite(starts).all() and (seconds > 0).all()
        if windows and not (finite and 0 <= top.min() <= top.max() < labels):
            raise ValueError("these scores are damaged")
        return cls(starts, seconds, top, logits.reshape(windows, labels))
