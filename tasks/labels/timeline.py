"""The timeline of a video: when which label is the top one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tasks.tags import Span

_DIGITS = 3

# Windows closer than this are neighbours: their starts are float32, and a decoder may lose a frame
# at a seek.
_TOUCHING_SECONDS = 0.1


@dataclass
class _Stretch:
    start: float
    end: float
    top: int
    windows: list[int] = field(default_factory=list)


def timeline(
    starts: npt.NDArray[np.floating],
    seconds: npt.NDArray[np.floating],
    probabilities: npt.NDArray[np.floating],
    tops: npt.NDArray[np.integer],
    names: Sequence[str],
) -> list[Span]:
    """Return the spans of a video: neighbouring windows with the same top label are one.

    Spans do not overlap: where windows do, the border is the middle of what they share::

        windows   |----Music----|
                            |----Speech---|
        spans     |---Music---|---Speech--|

    A gap between two windows was not decoded, so it is in no span.

    Args:
        starts: of the windows in seconds, in order.
        seconds: the length of each window.
        probabilities: shape (windows, names).
        tops: the column of each window's top name.
        names: the labels or groups.
    """
    spans: list[Span] = []
    for stretch in _stretches(starts.tolist(), seconds.tolist(), tops.tolist()):
        if stretch.end <= stretch.start:  # a damaged window, whose neighbours cover it
            continue
        score = probabilities[stretch.windows, stretch.top].mean()
        start, end = round(stretch.start, _DIGITS), round(stretch.end, _DIGITS)
        spans.append(
            Span(start=start, end=end, label=names[stretch.top], score=round(float(score), _DIGITS))
        )
    return spans


def _stretches(
    starts: Sequence[float], seconds: Sequence[float], tops: Sequence[int]
) -> Iterator[_Stretch]:
    """Yield the stretches of neighbouring windows with the same top label."""
    stretch: _Stretch | None = None
    for window, (start, length, top) in enumerate(zip(starts, seconds, tops, strict=True)):
        end = start + length
        if stretch is not None and start - stretch.end > _TOUCHING_SECONDS:
            yield stretch
            stretch = None
        elif stretch is not None and stretch.top != top:
            stretch.end = start = min(end, (start + stretch.end) / 2)
            yield stretch
            stretch = None
        if stretch is None:
            stretch = _Stretch(start, end, top)
        stretch.end = max(stretch.end, end)
        stretch.windows.append(window)
    if stretch is not None:
        yield stretch
