"""What is said of a video: the tag, its scores and its groups never contradict each other."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from tasks.errors import ConfigurationError
from tasks.labels import Activation, LabelMap, TagOptions, video_tags
from tasks.labels.tagging import Aggregate
from tasks.scores import VideoScores
from tasks.tags import VideoTags

WINDOW = 10.0
LABELS = ("Speech", "Guitar", "Piano", "Rain")
EVERYTHING = TagOptions(scores=True, timeline=True)
LOGITS = st.floats(-50, 50, width=16)


def answered(
    logits: Sequence[Sequence[float]] | NDArray[np.float32],
    options: TagOptions = EVERYTHING,
    activation: Activation = "sigmoid",
    labels: Sequence[str] = LABELS,
) -> VideoTags:
    array = np.asarray(logits, np.float32)
    scores = VideoScores.of(np.arange(len(array)) * WINDOW, array)
    return video_tags(scores, labels, activation, WINDOW, options)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def sigmoids(*rows: Sequence[float]) -> list[list[float]]:
    """The logits of windows with these probabilities."""
    return [[logit(probability) for probability in row] for row in rows]


def test_a_video_without_sound_is_empty() -> None:
    empty = VideoScores.empty()
    asked = TagOptions(scores=True, timeline=True)
    assert video_tags(empty, LABELS, "sigmoid", WINDOW, asked) == VideoTags("EMPTY", [], [])
    assert video_tags(empty, LABELS, "sigmoid", WINDOW, TagOptions()) == VideoTags("EMPTY")


@given(
    arrays.arrays(np.float32, st.tuples(st.just(1), st.integers(1, 30)), elements=LOGITS),
    st.sampled_from(["sigmoid", "softmax", "none"]),
    st.sampled_from(["mean", "max"]),
)
def test_the_tag_of_one_window_is_its_highest_logit(
    logits: NDArray[np.float32], activation: Activation, aggregate: Aggregate
) -> None:
    labels = [f"label {column}" for column in range(logits.shape[1])]
    tags = answered(logits, TagOptions(aggregate), activation, labels)
    assert tags == VideoTags(labels[int(logits[0].argmax())])


def test_logits_that_float16_makes_equal_keep_their_order() -> None:
    assert answered([[8.0, 8.0001, -1, -1]], TagOptions()).label == "Guitar"


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 8), st.just(4)), elements=LOGITS),
    st.sampled_from(["sigmoid", "softmax"]),
    st.sampled_from(["mean", "max"]),
    st.sampled_from([None, LabelMap("m", {"Guitar": "Music", "Piano": "Music"})]),
    st.floats(0, 1),
)
def test_tag_scores_and_timeline_never_contradict(
    logits: NDArray[np.float32],
    activation: Activation,
    aggregate: Aggregate,
    groups: LabelMap | None,
    least: float,
) -> None:
    options = TagOptions(aggregate, 3, least, groups, scores=True, timeline=True)
    tags = answered(logits, options, activation)
    assert tags.scores is not None
    assert tags.timeline is not None
    assert tags.scores[0]["label"] == tags.label
    values = [score["score"] for score in tags.scores]
    assert values == sorted(values, reverse=True)
    assert len(values) <= 3
    assert all(value >= least for value in values[1:])
    for score in tags.scores:
        assert 0 <= score["score"] <= score["peak"] <= 1
    if len(logits) == 1:
        assert [span["label"] for span in tags.timeline] == [tags.label]
    ends = [time for span in tags.timeline for time in (span["start"], span["end"])]
    assert ends == sorted(ends)
    assert (ends[0], ends[-1]) == (0, len(logits) * WINDOW)


def test_probabilities_are_aggregated_and_not_logits() -> None:
    """Of logits the mean would be Guitar: one window that is beyond doubt outweighs three."""
    logits = [[1.0, -2, -9, -9], [1.0, -2, -9, -9], [1.0, -2, -9, -9], [-1.0, 20, -9, -9]]
    assert np.mean(logits, 0).argmax() == 1
    assert answered(logits, TagOptions("mean")).label == "Speech"
    assert answered(logits, TagOptions("max")).label == "Guitar"


def test_scores_are_the_means_with_their_peaks() -> None:
    tags = answered(sigmoids([0.9, 0.2, 0.01, 0.3], [0.1, 0.5, 0.01, 0.3]))
    assert tags.scores == [
        {"label": "Speech", "score": 0.5, "peak": 0.9},
        {"label": "Guitar", "score": 0.35, "peak": 0.5},
        {"label": "Rain", "score": 0.3, "peak": 0.3},
    ]


def test_softmax_adds_up_to_one() -> None:
    options = TagOptions(top_k=4, min_score=0, scores=True)
    scores = answered([[3.0, 2, 1, 0]], options, "softmax").scores
    assert scores is not None
    assert sum(score["score"] for score in scores) == pytest.approx(1, abs=2e-3)
    assert scores[0]["score"] == 0.644


def test_probabilities_stay_as_they_are() -> None:
    scores = answered([[0.75, 0.5, 0.25, 0]], activation="none").scores
    assert scores is not None
    assert [score["score"] for score in scores] == [0.75, 0.5, 0.25]


def test_the_tag_is_among_the_scores_whatever_its_score() -> None:
    tags = answered(sigmoids([0.04, 0.03, 0.02, 0.01]), TagOptions(min_score=0.5, scores=True))
    assert tags.scores == [{"label": "Speech", "score": 0.04, "peak": 0.04}]


def test_of_equal_labels_the_one_that_wins_more_windows() -> None:
    third, rest = sigmoids([0.5, 0.5, 0.5, 0.1], [0.1] * 4)
    starts, seconds = np.array([0, 10], np.float32), np.full(2, WINDOW, np.float32)
    tops, logits = np.array([2, 2], np.int32), np.array([third, rest], np.float16)
    scores = VideoScores(starts, seconds, tops, logits)
    assert video_tags(scores, LABELS, "sigmoid", WINDOW, TagOptions()).label == "Piano"
    assert answered([third, rest], TagOptions()).label == "Speech"


def test_a_group_is_as_likely_as_its_likeliest_label() -> None:
    """Sixty labels of .012 are no reason to hear any of them: noisy-or would make .5 of them."""
    labels = ("Speech", *(f"instrument {number}" for number in range(60)))
    groups = LabelMap("m", dict.fromkeys(labels[1:], "Music"))
    options = TagOptions(min_score=0, groups=groups, scores=True)
    tags = answered(sigmoids([0.2, *[0.012] * 60]), options, labels=labels)
    assert tags.scores == [
        {"label": "Speech", "score": 0.2, "peak": 0.2},
        {"label": "Music", "score": 0.012, "peak": 0.012},
    ]


def test_tag_and_timeline_are_of_groups() -> None:
    """Neither instrument comes first by itself; together they are half of the video."""
    groups = LabelMap("m", {"Guitar": "Music", "Piano": "Music"})
    rows = sigmoids([0.5, 0.9, 0.1, 0.1], [0.5, 0.1, 0.9, 0.1], [0.8, 0.1, 0.1, 0.1])
    options = TagOptions(groups=groups, timeline=True)
    assert answered(rows, TagOptions()).label == "Speech"
    tags = answered(rows, options)
    assert tags.label == "Music"
    assert tags.timeline == [
        {"start": 0.0, "end": 20.0, "label": "Music", "score": 0.9},
        {"start": 20.0, "end": 30.0, "label": "Speech", "score": 0.8},
    ]


def test_the_timeline_of_a_short_video_ends_with_it() -> None:
    scores = VideoScores.of([0.0], np.array([[1.0, -1, -1, -1]], np.float32), [3.2])
    tags = video_tags(scores, LABELS, "sigmoid", WINDOW, EVERYTHING)
    assert tags.timeline == [{"start": 0.0, "end": 3.2, "label": "Speech", "score": 0.731}]


@pytest.mark.parametrize(
    "wrong", [{"top_k": 0}, {"min_score": 1.1}, {"min_score": -0.1}, {"aggregate": "median"}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        TagOptions(**wrong)  # type: ignore[arg-type]
