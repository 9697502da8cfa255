"""Compute the tags of a video from its logits, as the user requests them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.errors import ConfigurationError
from tasks.labels.label_map import LabelMap
from tasks.labels.timeline import timeline
from tasks.model.activation import Probabilities, probabilities
from tasks.scores import Activation, VideoScores
from tasks.tags import EMPTY, Score, VideoTags

Aggregate = Literal["mean", "max"]

SCORE_DIGITS = 3


@dataclass(frozen=True)
class TagOptions:
    """What the user requests for each video.

    Attributes:
        aggregate: how the windows become one score for each label. ``mean`` ranks a label by how
            much of the video it fills; ``max`` by whether it occurs at all, and grows with the
            number of windows.
        top_k: the maximum number of labels in the scores.
        min_score: the lowest score of a label among them; the top label is kept at any score.
        groups: turns labels into groups, for the tag, the scores and the timeline.
        scores: whether scores are requested.
        timeline: whether a timeline is requested.
    """

    aggregate: Aggregate = "mean"
    top_k: int = 5
    min_score: float = 0.1
    groups: LabelMap | None = None
    scores: bool = False
    timeline: bool = False

    def __post_init__(self) -> None:
        if self.aggregate not in ("mean", "max"):
            raise ConfigurationError(f"There is no aggregate {self.aggregate!r}: use mean or max.")
        if self.top_k < 1:
            raise ConfigurationError(f"Top-k must be 1 or more, not {self.top_k}.")
        if not 0 <= self.min_score <= 1:
            raise ConfigurationError(
                f"The lowest score must be between 0 and 1, not {self.min_score}."
            )


def video_tags(
    scores: VideoScores,
    labels: Sequence[str],
    activation: Activation,
    window_seconds: float,
    options: TagOptions,
) -> VideoTags:
    """Return the tags of a video: EMPTY when it has no window.

    Probabilities are aggregated, never logits. The tag is the label with the highest aggregate; of
    equal ones the top label of more windows, then the first in the model's order. So the tag of one
    window without a label map is the label of its highest logit.

    Args:
        scores: the model's logits for each window.
        labels: the model's, one for each column of its logits.
        activation: the one that the logits are made for.
        window_seconds: length of a whole window.
        options: what the user requests.
    """
    if not len(scores):
        return VideoTags(EMPTY, [] if options.scores else None, [] if options.timeline else None)
    names, rolled, tops = roll_up(scores, labels, activation, options.groups)
    totals = rolled.mean(0) if options.aggregate == "mean" else rolled.max(0)
    wins = np.bincount(tops, minlength=len(names))
    seconds = np.minimum(scores.seconds, window_seconds)
    order = np.lexsort((-wins, -totals))  # stable: then by the model's order
    return VideoTags(
        names[order[0]],
        _scores(names, totals, rolled.max(0), order, options) if options.scores else None,
        timeline(scores.starts, seconds, rolled, tops, names) if options.timeline else None,
    )


class Rolled(NamedTuple):
    """Probabilities by window and name, and the column of each window's top name."""

    names: Sequence[str]
    probabilities: Probabilities
    tops: npt.NDArray[np.integer]


def roll_up(
    scores: VideoScores, labels: Sequence[str], activation: Activation, groups: LabelMap | None
) -> Rolled:
    """Return the probabilities of the groups, or of the labels if there are no groups."""
    by_label = probabilities(scores.logits, activation)
    if groups is None:
        return Rolled(labels, by_label, scores.top)
    members = _members(groups, tuple(labels))
    # The highest, not the sum: sixty unlikely labels do not make their group likely.
    rolled = np.maximum.reduceat(by_label[:, members.columns], members.offsets, axis=1)
    return Rolled(members.names, rolled, members.group_of[scores.top])


class _Members(NamedTuple):
    """The labels of each group: their columns, group by group, and where each group begins."""

    names: Sequence[str]
    columns: npt.NDArray[np.integer]
    offsets: npt.NDArray[np.integer]
    group_of: npt.NDArray[np.integer]


@lru_cache(maxsize=4)  # a run has one map, and millions of videos
def _members(groups: LabelMap, labels: tuple[str, ...]) -> _Members:
    names = list(dict.fromkeys(map(groups.group, labels)))
    group_of = np.array([names.index(groups.group(label)) for label in labels])
    columns = group_of.argsort(kind="stable")
    return _Members(names, columns, np.searchsorted(group_of[columns], range(len(names))), group_of)


def _scores(
    names: Sequence[str],
    totals: npt.NDArray[np.float64],
    peaks: npt.NDArray[np.float64],
    order: npt.NDArray[np.integer],
    options: TagOptions,
) -> list[Score]:
    listed = [
        Score(label=names[row], score=_rounded(totals[row]), peak=_rounded(peaks[row]))
        for row in order[: options.top_k]
    ]
    return listed[:1] + [score for score in listed[1:] if score["score"] >= options.min_score]


def _rounded(value: float) -> float:
    return round(float(value), SCORE_DIGITS)
