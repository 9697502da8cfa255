"""What the UI is given."""

import re

from flows.show.artifacts import markdown
from flows.show.progress import Pace, track
from flows.summary import FailureGroup, Summary


def test_markdown_keeps_names_as_they_are() -> None:
    group = FailureGroup(2, ["s3://b/a|b_c*d*.mp4: <gone>", "[x](y)"])
    text = markdown(Summary(failures={"missing": group}))
    row = next(line for line in text.splitlines() if "missing" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert "<gone>" not in row
    assert r"a\|b\_c\*d\*.mp4" in row
    assert r"\[x\](y)" in row


def test_nothing_to_do_says_so_in_a_table() -> None:
    text = markdown(Summary(manifests=100, samples=1000, skipped=1000))
    assert "| samples skipped, tagged before | 1,000 |" in text
    assert "##" not in text
    assert "img" not in text


def test_the_picture_says_in_words_what_it_shows() -> None:
    summary = Summary()
    summary.tags.update({"Music": 3, "Speech": 1})
    assert "![Music 3, Speech 1](data:image/svg+xml;base64," in markdown(summary)


def test_pace_from_the_start_to_the_end() -> None:
    seen: list[Pace] = []
    batches = [["a", "b"], ["c"]]
    assert list(track(batches, 3, [seen.append])) == batches
    assert [(pace.done, pace.total) for pace in seen] == [(0, 3), (2, 3), (3, 3)]


def test_pace_in_words() -> None:
    assert str(Pace(0, 1000, 0.0)) == "0 of 1,000 videos"
    assert str(Pace(100, 1000, 50.0)) == "100 of 1,000 videos, 2.0/s, 7 min 30 s left"
    assert str(Pace(1, 10_000, 1.0)) == "1 of 10,000 videos, 1.0/s, 2 h 46 min left"
    assert str(Pace(9, 9, 3.0)) == "9 of 9 videos, 3.0/s"
