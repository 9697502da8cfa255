"""What the UI is given."""

import io
import re
from collections import Counter

import pytest
from rich.console import Console

from flows.show.artifacts import markdown
from flows.show.progress import Pace, track
from flows.show.terminal import show
from flows.summary import Summary, Tally


def test_markdown_keeps_names_as_they_are() -> None:
    group = Tally(2, ["s3://b/a|b_c*d*.mp4: <gone>", "[x](y)"])
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


def test_the_ledgers_of_what_failed_are_named() -> None:
    text = markdown(Summary(ledgers=Counter({f"{n}.jsonl.failures": n for n in range(1, 8)})))
    named = ", ".join(f"{n}.jsonl.failures" for n in (7, 6, 5, 4, 3))
    assert text.endswith(f"reasons: {named}, 2 more")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_cuts_no_word(width: int) -> None:
    summary = Summary(tagged=9, ledgers=Counter({"m.jsonl.failures": 1}))
    summary.tags.update({"Music": 8, "Narration, monologue": 1})
    summary.failures["not-media"] = Tally(1, ["videos/a.mp4: no audio or video stream"])
    with io.StringIO() as file:
        show(summary, Console(file=file, width=width))
        shown = file.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    for word in ("samples skipped", "Narration", "monologue", "not-media", "stream", "percent"):
        assert word in shown
    assert "All failures: m.jsonl.failures" in shown


def test_a_terminal_tells_why_manifests_were_left_as_they_are() -> None:
    problems = [f"{number}.jsonl: no such file" for number in range(7)]
    with io.StringIO() as file:
        show(Summary(problems=problems), Console(file=file))
        shown = file.getvalue().splitlines()
    assert shown[-6:] == [
        *(f"Problem: {problem}" for problem in problems[:5]),
        "2 more problems, in the ledgers",
    ]


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
    assert str(Pace(9, 9, 3.0, "2 GPUs")) == "9 of 9 videos, 3.0/s; 2 GPUs"
