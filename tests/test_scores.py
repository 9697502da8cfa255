"""Scores come back as they were kept, and damaged ones do not come back."""

import numpy as np
import pytest

from tasks.scores import VideoScores


def scores(windows: int = 3, labels: int = 527) -> VideoScores:
    logits = np.random.default_rng(0).normal(-6, 3, (windows, labels)).astype(np.float32)
    return VideoScores.of(np.arange(windows) * 10.24, logits, 10.24)


@pytest.mark.parametrize("windows", [0, 1, 3])
def test_they_come_back_as_they_were(windows: int) -> None:
    before = scores(windows) if windows else VideoScores.empty()
    after = VideoScores.from_bytes(before.to_bytes())
    assert len(after) == windows
    for name in ("starts", "seconds", "top", "logits"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_a_window_is_about_a_kilobyte() -> None:
    assert len(scores(1).to_bytes()) < 1_100


def test_the_top_label_survives_rounding() -> None:
    logits = np.zeros((1, 4), np.float32)
    logits[0, 2], logits[0, 3] = 8.0, 8.0001
    assert VideoScores.of([0.0], logits).top.tolist() == [3]


def test_a_huge_logit_stays_finite() -> None:
    kept = VideoScores.of([0.0], np.array([[1e30, -1e30]], np.float32))
    assert np.isfinite(VideoScores.from_bytes(kept.to_bytes()).logits).all()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SCR1",
        scores().to_bytes()[:-1],
        b"XXXX" + scores().to_bytes()[4:],
        scores(1, 2).to_bytes()[:-2] + b"\xff\x7f",  # a NaN
        scores(1, 2).to_bytes()[:12] + b"\0\0\xc0\x7f" + scores(1, 2).to_bytes()[16:],  # no start
        scores(1, 2).to_bytes()[:20] + b"\x09\0\0\0" + scores(1, 2).to_bytes()[24:],  # no such top
    ],
)
def test_what_is_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="scores"):
        VideoScores.from_bytes(data)
