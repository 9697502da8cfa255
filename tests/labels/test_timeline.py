"""The timeline: what is next to each other and alike is one span; nothing unheard is in any."""

from collections.abc import Sequence

import numpy as np
import pytest

from tasks.labels.timeline import timeline

NAMES = ("Speech", "Music")


def spans(
    starts: Sequence[float], tops: Sequence[int], seconds: float | Sequence[float] = 10.0
) -> list[tuple[float, float, str]]:
    times = np.asarray(starts, np.float32)
    lengths = np.broadcast_to(np.asarray(seconds, np.float32), times.shape)
    rows = timeline(times, lengths, np.full((len(times), 2), 0.5), np.asarray(tops), NAMES)
    return [(span["start"], span["end"], span["label"]) for span in rows]


def test_neighbours_of_one_label_merge() -> None:
    assert spans([0, 10, 20, 30], [0, 0, 1, 0]) == [
        (0, 20, "Speech"),
        (20, 30, "Music"),
        (30, 40, "Speech"),
    ]


def test_overlapping_windows_part_in_the_middle() -> None:
    assert spans([0, 10, 16], [0, 0, 1]) == [(0, 18, "Speech"), (18, 26, "Music")]


def test_many_windows_on_each_other_stay_in_order() -> None:
    assert spans([0, 1, 2, 3], [0, 1, 0, 1], 8) == [
        (0, 4.5, "Speech"),
        (4.5, 5.5, "Music"),
        (5.5, 6.5, "Speech"),
        (6.5, 11, "Music"),
    ]


def test_what_lies_between_windows_is_in_no_span() -> None:
    assert spans([0, 100, 110], [0, 0, 0]) == [(0, 10, "Speech"), (100, 120, "Speech")]


def test_a_frame_lost_at_a_seek_parts_nothing() -> None:
    assert spans([0, 10.03, 20.06], [0, 0, 1]) == [(0, 20.045, "Speech"), (20.045, 30.06, "Music")]


def test_a_short_video_ends_where_it_ends() -> None:
    assert spans([0], [1], 3.25) == [(0, 3.25, "Music")]


def test_a_damaged_window_costs_no_order() -> None:
    assert spans([0, 8, 9], [0, 1, 0], [10, 0.5, 10]) == [(0, 8.5, "Speech"), (9, 19, "Speech")]


def test_the_score_is_the_mean_of_its_windows() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.2], [0.3, 0.4]])
    starts, seconds = np.array([0.0, 10, 20]), np.full(3, 10.0)
    rows = timeline(starts, seconds, probabilities, np.array([0, 0, 1]), NAMES)
    assert [span["score"] for span in rows] == [0.8, 0.4]


@pytest.mark.parametrize("hours", [1, 10])
def test_hours_of_back_to_back_windows_are_one_span(hours: int) -> None:
    """Their starts are float32: at ten hours to 4 ms."""
    starts = np.arange(0, hours * 3600, 10.24)
    (span,) = spans(list(starts), [0] * len(starts), 10.24)
    assert span[1] == pytest.approx(starts[-1] + 10.24, abs=0.01)
