"""What is said of a video: the tag, and what else was asked for."""

from dataclasses import dataclass
from typing import TypedDict

EMPTY = "EMPTY"
"""The tag of a video without sound, as in the reference operator."""


class Score(TypedDict):
    """A label, or a group of labels, with its probability.

    Attributes:
        score: of the whole video, 0 to 1.
        peak: the highest of a window.
    """

    label: str
    score: float
    peak: float


class Span(TypedDict):
    """A stretch of a video in which one label comes first; times in seconds from its start."""

    start: float
    end: float
    label: str
    score: float


@dataclass(frozen=True)
class VideoTags:
    """What is said of one video.

    Attributes:
        label: the tag.
        scores: the best labels, the best first; None where scores are not requested.
        timeline: in order; None where it is not requested.
    """

    label: str
    scores: list[Score] | None = None
    timeline: list[Span] | None = None
