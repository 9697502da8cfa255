"""CSV keeps its dialect: every cell comes back as it was written."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample
from tests.manifests.strategies import LABELS, UNTAGGED, Record, read, rewritten, written

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)
PATHS = st.text("abc/.-_ ,\"'éß", min_size=1, max_size=8).filter(
    lambda path: path.strip() and path.strip()[0] != "["
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, list[list[str]], int]:
    """The bytes, the rows with their header, and which column holds the videos."""
    width, place = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    place = min(place, width - 1)
    header = [f"column {number}" for number in range(width)]
    header[place] = "videos"
    table = [header]
    for _ in range(draw(st.integers(0, 4))):
        row = [draw(CELLS) for _ in range(width)]
        row[place] = draw(PATHS | st.lists(PATHS, min_size=1, max_size=2).map(json.dumps))
        table.append(row)
    buffer = io.StringIO()
    writer = csv.writer(
        buffer,
        # Of one column nobody can tell what would part two.
        delimiter=draw(st.sampled_from([",", ";", "\t", "|"][: 4 if width > 1 else 1])),
        lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    writer.writerows(table)
    text = buffer.getvalue()
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode(), table, place


def parsed(content: bytes, delimiter: str) -> list[list[str]]:
    text = content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def delimiter_of(content: bytes, width: int) -> str:
    header = content.decode("utf-8-sig").splitlines()[0]
    return next((mark for mark in ",;\t|" if header.count(mark) == width - 1 > 0), ",")


@given(tables(), st.data())
@pytest.mark.long
def test_every_cell_survives(
    table: tuple[bytes, list[list[str]], int], data: st.DataObject
) -> None:
    content, cells, place = table
    found = read("m.csv", content)
    assert len(found) == len(cells) - 1
    for sample, row in zip(found, cells[1:], strict=True):
        cell = row[place]
        assert sample.videos == (json.loads(cell) if cell.startswith("[") else [cell])
    tags = {sample.line: data.draw(LABELS) for sample in found if data.draw(st.booleans())}
    result = rewritten("m.csv", content, tags)
    new = parsed(result, delimiter_of(content, len(cells[0])))
    assert [row[:-1] for row in new] == cells
    assert new[0][-1] == "video_audio_tags"
    for sample, row in zip(found, new[1:], strict=True):
        expected = tags.get(sample.line)
        assert row[-1] == "" if expected is None else json.loads(row[-1]) == expected
    again = rewritten("m.csv", result, {})
    assert again == result, "with its column there, an untouched table is the same bytes"


def test_the_dialect_is_followed() -> None:
    content = b'"id";"videos"\r\n"1";"a.mp4"\r\n"2";"b, c.mp4"'
    assert rewritten("m.csv", content, {2: ["A", "B"]}) == (
        b'"id";"videos";"video_audio_tags"\r\n"1";"a.mp4";"[""A"", ""B""]"\r\n"2";"b, c.mp4";""'
    )


def test_several_columns_are_added_and_filled() -> None:
    fields = Fields(tags="t", scores="s", provenance="p")
    values: Record = {"t": ["T"], "s": [[{"label": "T"}]], "p": "m@1, float32"}
    content = b"p,videos,n\r\n,a,1\r\nold,b,2\r\n,c,3\r\n"
    found = read("m.csv", content, fields)
    assert [(s.missing, s.provenance) for s in found] == [
        (("t", "s", "p"), None), (("t", "s"), "old"), (("t", "s", "p"), None)]  # fmt: skip
    given = {2: values, 3: {"t": [], "s": []}}
    assert written("m.csv", content, given, fields) == (
        b'p,videos,n,t,s\r\n"m@1, float32",a,1,"[""T""]","[[{""label"": ""T""}]]"\r\n'
        b"old,b,2,[],[]\r\n,c,3,,\r\n"
    )


def test_other_cells_are_the_same_bytes() -> None:
    content = 'n,videos,text\n007,a.mp4,"a ""q"",\nx"\n1e5,b.mp4,\xe9 5" disk\n'.encode("latin-1")
    assert read("m.csv", content) == [
        Sample(2, ["a.mp4"], UNTAGGED),
        Sample(4, ["b.mp4"], UNTAGGED),
    ]
    result = rewritten("m.csv", content, {4: []})
    assert result == content.replace(b"text\n", b"text,video_audio_tags\n").replace(
        b'x"\n', b'x",\n').replace(b"disk\n", b"disk,[]\n")  # fmt: skip


def test_a_column_that_is_there_is_filled() -> None:
    content = b"video_audio_tags,videos\n,a\nnull,b\n[],c\n"
    assert [not sample.missing for sample in read("m.csv", content)] == [False, False, True]
    result = rewritten("m.csv", content, {2: ["T"], 3: []})
    assert result == b'video_audio_tags,videos\n"[""T""]",a\n[],b\n[],c\n'


MISSING = ["NA", "NULL", "None", "nan", "<NA>", "N/A", "#N/A", "\\N"]


@pytest.mark.parametrize("cell", MISSING)
def test_a_cell_without_a_value_is_no_tag(cell: str) -> None:
    """R writes NA where there was nothing: such a row would never be tagged, in silence."""
    content = f"videos,c\na,{cell}\nb,[]\n".encode()
    for fields, tags in (
        (Fields(tags="c"), b'"[""T""]"'),
        (Fields(tags="t", meta="c"), b'"{""t"": [""T""]}"'),
    ):
        found = read("m.csv", content, fields)
        assert (bool(found[0].missing), found[0].fault) == (True, None)
        assert rewritten("m.csv", content, {2: ["T"]}, fields) == (
            b"videos,c\na," + tags + b"\nb,[]\n"
        )


def test_tags_inside_a_json_cell() -> None:
    fields = Fields(tags="t", meta="meta")
    content = b'videos,meta\na,"{""n"": 1.0}"\nb,\nc,"{""t"": []}"\nd,x\n'
    found = read("m.csv", content, fields)
    assert [(not sample.missing, bool(sample.fault)) for sample in found] == [
        (False, False), (False, False), (True, False), (False, True)]  # fmt: skip
    assert rewritten("m.csv", content, {2: ["T"], 3: ["U"], 5: ["V"]}, fields) == (
        b'videos,meta\na,"{""n"": 1.0, ""t"": [""T""]}"\nb,"{""t"": [""U""]}"\n'
        b'c,"{""t"": []}"\nd,x\n'
    )


@pytest.mark.parametrize(
    ("cell", "videos"),
    [
        ("", []),
        ("a b.mp4", ["a b.mp4"]),
        ('"[""a"", ""b""]"', ["a", "b"]),
        ("\"['a', 'b']\"", ["a", "b"]),
        ("[x].mp4", ["[x].mp4"]),
        ("[]", []),
    ],
)
def test_the_videos_cell(cell: str, videos: list[str]) -> None:
    assert read("m.csv", f"videos,n\n{cell},1\n".encode()) == [Sample(2, videos, UNTAGGED)]


def test_ragged_and_blank_rows_stay() -> None:
    content = b"videos,n\na\n\nb,1\nc,1,2\n"
    short, sound, long = read("m.csv", content)
    assert (short.fault, long.fault) == (
        "it has 1 cell, the header 2", "it has 3 cells, the header 2")  # fmt: skip
    assert rewritten("m.csv", content, {2: [], sound.line: [], 5: []}) == (
        b"videos,n,video_audio_tags\na\n\nb,1,[]\nc,1,2\n"
    )


def test_lines_of_old_macs() -> None:
    content = b"videos,n\ra,1\rb,2\r"
    assert [sample.videos for sample in read("m.csv", content)] == [["a"], ["b"]]
    assert rewritten("m.csv", content, {}) == b"videos,n,video_audio_tags\ra,1,\rb,2,\r"


def test_tabs() -> None:
    content = b"id\tvideos\n1\ta,b.mp4\n"
    assert rewritten("m.tsv", content, {2: ["T"]}) == (
        b'id\tvideos\tvideo_audio_tags\n1\ta,b.mp4\t"[""T""]"\n'
    )


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"id,clips\n1,a\n", 1, "has no column 'videos'"),
        (b"\n", 1, "has no column 'videos'"),
        (b"videos,n,videos\na,1,b\n", 1, "has 2 columns 'videos'"),
        (b"sep=;\nvideos;video_audio_tags;video_audio_tags\na;;[]\n", 2, "2 columns 'video_a"),
        (b'videos,n\na,"open\nb,1\n', 2, "never closed"),
    ],
)
def test_what_is_broken_is_refused(content: bytes, line: int, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason) as refused:
        read("m.csv", content)
    assert refused.value.line == line
