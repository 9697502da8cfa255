"""The summary, as tables, charts, a page, and on the terminal."""

import io
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from flows.pipeline import UnitOutcome
from flows.show import charts, tables
from flows.show.report import Background, page, write_report
from flows.show.terminal import show
from flows.summary import ManifestRow, Summary, Tally
from tasks.errors import Failure, FailureKind
from tasks.tags import VideoTags
from tests.conftest import S3Server


@pytest.fixture
def summary() -> Summary:
    summary = Summary(manifests=3, samples=9, tagged=6, skipped=2, failed=1, videos=7, seconds=8.5)
    summary.count_unit(
        UnitOutcome(
            tags={
                "a": VideoTags("Music"),
                "b": VideoTags("Music"),
                "c": VideoTags("EMPTY"),
                "d": VideoTags("<b>Bold & | co</b>"),
            },
            failed=[Failure("s3://key:secret@b/e.mp4", FailureKind.MISSING, "no such file")],
            seconds={"extract": 2.0, "tag": 5.0},
        )
    )
    summary.rows = [
        ManifestRow("s3://b/1.jsonl", 4, 4, 0, 0),
        ManifestRow("s3://b/2.jsonl", 5, 2, 2, 1, "s3://b/2.jsonl: <broken>"),
    ]
    return summary


def test_survives_json(summary: Summary) -> None:
    again = Summary.from_dict(summary.as_dict())
    assert (again.tags, again.failures, str(again)) == (
        summary.tags,
        summary.failures,
        str(summary),
    )


def test_failures_are_grouped_with_a_few_examples() -> None:
    failed = [Failure(f"{number}.mp4", FailureKind.CORRUPT, "no frame") for number in range(1000)]
    summary = Summary()
    summary.count_unit(UnitOutcome(failed=[*failed, Failure("x.mp4", FailureKind.MISSING, "gone")]))
    assert summary.failures == {
        "corrupt": Tally(1000, ["0.mp4: no frame", "1.mp4: no frame", "2.mp4: no frame"]),
        "missing": Tally(1, ["x.mp4: gone"]),
    }
    assert list(tables.failures(summary)["error"]) == ["corrupt", "missing"]


def test_many_tags_become_twenty_and_the_others() -> None:
    summary = Summary()
    tags = {
        f"{tag}-{video}": VideoTags(f"tag {tag}") for tag in range(50) for video in range(50 - tag)
    }
    summary.count_unit(UnitOutcome(tags=tags))
    table = tables.tags(summary)
    assert len(table) == 21
    assert table["videos"].sum() == len(tags)
    assert table["tag"].iloc[-1] == "30 others"
    assert table["percent"].sum() == pytest.approx(100)


def test_manifests_are_bounded_and_failures_come_first(summary: Summary) -> None:
    assert list(tables.manifests(summary, 1)["manifest"]) == ["s3://b/2.jsonl"]
    assert len(tables.manifests(summary, 500)) == 2


def test_charts_are_valid_svg(summary: Summary) -> None:
    root = ElementTree.fromstring(tables.tag_chart(summary))
    texts = {text.text for text in root.findall(".//{*}text")}
    assert {"Music", "EMPTY", "<b>Bold & | co</b>"} < texts
    lengths = [float(bar.get("width", "0").rstrip("%")) for bar in root.findall(".//{*}rect")]
    assert [round(length / lengths[-1]) for length in lengths[-3:]] == [2, 1, 1]
    assert ElementTree.fromstring(charts.bars("nothing", []))


def test_page_escapes_and_hides(summary: Summary) -> None:
    text = page(summary, "Partial", datetime(2026, 1, 31, tzinfo=UTC), Background())
    assert "&lt;b&gt;Bold &amp; | co&lt;/b&gt;" in text
    assert "<b>Bold" not in text
    assert "<broken>" not in text
    assert "secret" not in text
    assert "s3://b/<wbr>e.mp4: no such file" in text


@pytest.mark.parametrize("name", ["", "/night.html"])
def test_report_is_written_where_asked(
    summary: Summary, s3: S3Server, tmp_path: Path, name: str
) -> None:
    for root in (str(tmp_path / "new" / "folder"), f"{s3.bucket()}/reports"):
        url = write_report(summary, "Completed", root + name, Background())
        assert url.startswith(root)
        content = s3.get(url) if url.startswith("s3:") else Path(url).read_bytes()
        assert content.startswith(b"<!DOCTYPE html>")


def test_terminal_shows_the_same(summary: Summary) -> None:
    console = Console(file=io.StringIO(), width=100)
    show(summary, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    text = file.getvalue()
    for said in ("samples tagged", "tag, 5.0 s", "Music", "50.0", "missing", "no such file"):
        assert said in text


@pytest.mark.parametrize("width", [40, 60, 79])
def test_a_narrow_terminal_is_enough(summary: Summary, width: int) -> None:
    """No line is longer, no word of a table is torn, all numbers are there."""
    file = io.StringIO()
    show(summary, Console(file=file, width=width))
    lines = file.getvalue().splitlines()
    assert [line for line in lines if len(line) > width and ".failures" not in line] == []
    words = set(" ".join(lines).split())
    assert {"samples", "EMPTY,", "percent", "Music", "50.0", "missing", "file"} <= words


def test_a_quiet_night_is_short() -> None:
    console = Console(file=io.StringIO(), width=100)
    show(Summary(manifests=100, samples=1000, skipped=1000), console)
    file = console.file
    assert isinstance(file, io.StringIO)
    assert len(file.getvalue().splitlines()) < 15
