"""The tags of a video: its label and, if requested, its scores and timeline."""

from dataclasses import dataclass
from typing import TypedDict

EMPTY = "EMPTY"
"""The tag of a video without sound, as in the reference operator."""


class Score(TypedDict):
    """A label, or a group of labels, with its probability.

    Attributes:
        score: of the whole video, 0 to 1.
        peak: of the window in which it is highest, 0 to 1.
    """

    label: str
    score: float
    peak: float


class Span(TypedDict):
    """A stretch of a video with one top label; times in seconds from the start of the video."""

    start: float
    end: float
    label: str
    score: float


@dataclass(frozen=True)
class VideoTags:
    """The tags of one video.

    Attributes:
        label: the tag.
        scores: the best labels, the best first; None where scores are not requested.
        timeline: in order; None where it is not requested.
    """

    label: str
    scores: list[Score] | None = None
    timeline: list[Span] | None = None
