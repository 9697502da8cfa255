"""Manifests as other tools write them: read as they were meant, or refused in clear words.

Where a tool is installed it writes the manifest itself.
"""

import csv
import gzip
import io
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, format_of
from tests.manifests.strategies import TEXT, UNTAGGED, read, rewritten, tags_of

pytestmark = pytest.mark.long

PATHS = ["v/a.mp4", "it's.mp4", 'the "one".mp4', "a, b.mp4", "C:\\v.mp4", "[x].mp4", "ü 漢.mp4"]


def refusal(url: str, content: bytes, fields: Fields | None = None) -> ManifestError:
    """Why it is refused, in the plan as in the merge."""
    with pytest.raises(ManifestError) as planned:
        read(url, content, fields)
    with pytest.raises(ManifestError) as merged:
        format_of(url).rewrite(
            io.BytesIO(content), io.BytesIO(), fields or Fields(), tags_of(["T"])
        )
    assert str(planned.value) == str(merged.value)
    return planned.value


# CSV of Spark: quotes are escaped by a backslash.

SPARK_CELL = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[,\n])|([^,\n]*)', re.DOTALL)
SPARK_VALUES = st.none() | st.text('ab"\\,\n', max_size=6) | st.text('a"', max_size=4)


def spark_cell(value: str | None) -> str:
    """As Spark 4 writes it by default."""
    if value is None:
        return ""
    if value and not any(mark in value for mark in '",\n'):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def spark_rows(text: str) -> list[list[str]]:
    """As Spark reads them."""
    found: list[list[str]] = [[]]
    position = 0
    while position < len(text):
        match = SPARK_CELL.match(text, position)
        assert match
        found[-1].append(match[0] if match[1] is None else re.sub(r"\\(.)", r"\1", match[1]))
        position = match.end() + 1
        if text[match.end()] == "\n":
            found.append([])
    return found[:-1]


@given(st.lists(st.tuples(SPARK_VALUES, SPARK_VALUES), min_size=1, max_size=4), st.integers(0, 2))
def test_spark_is_read_right_or_refused(rows: list[tuple[Any, ...]], column: int) -> None:
    table: list[list[Any]] = [["x", "y"], *map(list, rows)]
    for number, row in enumerate(table):
        row.insert(column, f"{number}.mp4" if number else "videos")
    text = "".join(",".join(map(spark_cell, row)) + "\n" for row in table)
    try:
        found = read("m.csv", text.encode())
        result = rewritten("m.csv", text.encode(), {sample.line: ["T"] for sample in found})
    except ManifestError:
        assert '\\"' in text, "only quotes in quotes are a reason"
        return
    assert [row[:3] for row in spark_rows(result.decode())] == spark_rows(text)
    videos = [path for sample in found for path in sample.videos]
    assert videos == [row[column] for row in table[1:]]


@pytest.mark.parametrize("row", ['1,"27\\"",a.mp4', '1,"a \\"b\\" c",a.mp4', '1,"\\"",a.mp4'])
def test_spark_is_told_what_to_do(row: str) -> None:
    error = refusal("m.csv", f"id,caption,videos\n{row}\n2,plain,b.mp4\n{row}\n".encode())
    assert "escaped by a backslash" in error.reason


JSON_CELLS = [{"a": 'b"c'}, {"path": 'C:\\"x"\\', "q": '\\"'}, {"end": "\\"}]


def test_backslashes_in_doubled_quotes_are_read() -> None:
    table = pd.DataFrame({"videos": ["a", "b", "c"], "meta": [json.dumps(c) for c in JSON_CELLS]})
    fields = Fields(tags="t", meta="meta")
    content = table.to_csv(index=False).encode()
    result = rewritten("m.csv", content, {2: ["T"], 3: ["T"], 4: ["T"]}, fields)
    cells = pd.read_csv(io.BytesIO(result))["meta"]
    assert [json.loads(cell) for cell in cells] == [cell | {"t": ["T"]} for cell in JSON_CELLS]


def test_spark_with_doubled_quotes_is_read() -> None:
    content = b'id,caption,videos\n1,"screen 27""",a.mp4\n2,"",b.mp4\n3,,c.mp4\n'
    assert [sample.videos for sample in read("m.csv", content)] == [["a.mp4"], ["b.mp4"], ["c.mp4"]]
    assert rewritten("m.csv", content, {3: ["T"]}) == (
        b'id,caption,videos,video_audio_tags\n1,"screen 27""",a.mp4,\n'
        b'2,"",b.mp4,"[""T""]"\n3,,c.mp4,\n'
    ), "an empty text stays one, and does not become a null"


# TSV, of which many writers know no quotes

TSV_TEXT = st.text('ab" ', min_size=1, max_size=4)


def as_others_read_tsv(content: bytes) -> list[list[str | None]]:
    """The videos as DuckDB, pandas and Polars read them; they may refuse."""
    found = []
    for reader in (
        lambda: duckdb.read_csv(io.StringIO(content.decode()), sep="\t", header=True).df(),
        lambda: pd.read_csv(io.BytesIO(content), sep="\t"),
        lambda: pl.read_csv(content, separator="\t").to_pandas(),
    ):
        with suppress(Exception):
            found.append(reader()["videos"].tolist())
    return found


def test_rows_that_a_quote_swallows_in_every_other_reader_are_refused() -> None:
    content = b'videos\tcaption\na.mp4\t"Hello\nb.mp4\tthere\nc.mp4\tworld"\nd.mp4\t\n'
    assert as_others_read_tsv(content) == [["a.mp4", "d.mp4"]] * 3
    error = refusal("m.tsv", content)
    assert (error.line, "each of which looks like a row" in error.reason) == (2, True)
    assert len(read("m.csv", content.replace(b"\t", b","))) == 2, "writers of CSV know quotes"


@given(st.lists(st.tuples(TSV_TEXT, TSV_TEXT), min_size=1, max_size=4))
def test_tsv_without_quotes_loses_no_row_in_silence(rows: list[tuple[str, str]]) -> None:
    lines = ["x\tvideos\ty", *(f"{x}\t{n}.mp4\t{y}" for n, (x, y) in enumerate(rows))]
    try:
        found = read("m.tsv", "".join(f"{line}\n" for line in lines).encode())
    except ManifestError:
        return
    if all(sample.fault is None for sample in found):
        assert [sample.videos for sample in found] == [[f"{n}.mp4"] for n in range(len(rows))]


@given(st.lists(st.tuples(st.text('a"\n ', max_size=6), TEXT), min_size=1, max_size=4))
def test_tsv_with_quotes_is_read_as_pandas_meant_it(rows: list[tuple[str, str]]) -> None:
    table = pd.DataFrame(
        {"x": [x for x, _ in rows], "videos": [f"{n}.mp4" for n in range(len(rows))],
         "y": [y.replace("\t", " ").replace("\r", "") for _, y in rows]}
    )  # fmt: skip
    content = table.to_csv(index=False, sep="\t").encode()
    assert [sample.videos for sample in read("m.tsv", content)] == [
        [path] for path in table["videos"]
    ]


# Nothing at all


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_table_or_array_is_told_so(content: bytes) -> None:
    for name in ("m.csv", "m.tsv", "m.json"):
        assert refusal(name, content).reason.startswith("is empty: ")
    for name in ("m.csv.gz", "m.json.gz"):
        assert refusal(name, gzip.compress(content)).reason.startswith("is empty: ")
    assert refusal("m.csv", b"sep=;\n").reason.startswith("is empty: ")
    assert refusal("m.json", b" \n").reason.startswith("is empty: ")


# Lists in the cells of CSV

LISTS = st.lists(
    st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=8), max_size=3
)


@given(LISTS)
def test_lists_as_python_prints_them(paths: list[str]) -> None:
    content = pd.DataFrame({"id": [1], "videos": [paths]}).to_csv(index=False).encode()
    assert read("m.csv", content) == [Sample(2, paths, UNTAGGED)]


@given(LISTS)
def test_lists_as_numpy_prints_them(paths: list[str]) -> None:
    buffer = io.BytesIO()
    pq.write_table(
        pa.table({"id": [1], "videos": pa.array([paths], pa.list_(pa.string()))}), buffer
    )
    content = pd.read_parquet(buffer).to_csv(index=False).encode()
    assert [sample.videos for sample in read("m.csv", content)] == [paths]


def test_a_long_list_that_numpy_cut_short_is_a_fault() -> None:
    table = pd.DataFrame({"id": [1, 2], "videos": [np.array(["a"] * 2000), np.array(["b"])]})
    long, short = read("m.csv", table.to_csv(index=False).encode())
    assert long.fault == "its videos look like a list that cannot be read: write it as JSON"
    assert short.videos == ["b"]


def test_lists_as_duckdb_prints_them(tmp_path: Path) -> None:
    lists: list[list[str | None]] = [[path] for path in PATHS]
    lists += [[*PATHS], [], ["a.mp4", None], ["v/a.mp4", "v/b c.mp4"]]
    duckdb.execute("CREATE TEMP TABLE t AS SELECT unnest(?::VARCHAR[][]) AS videos", [lists])
    duckdb.execute(f"COPY t TO '{tmp_path}/m.csv'")
    found = read("m.csv", (tmp_path / "m.csv").read_bytes())
    assert len(found) == len(lists)
    for sample, paths in zip(found, lists, strict=True):
        assert sample.videos == paths or sample.fault is not None, paths
    assert sum(sample.fault is not None for sample in found) <= 2


@pytest.mark.parametrize(
    ("cell", "videos"),
    [
        ("['a' 'b']", ["a", "b"]),
        ("['a'\n 'b']", ["a", "b"]),
        ("[a.mp4, b.mp4]", ["a.mp4", "b.mp4"]),
        ("['a', \"it's\"]", ["a", "it's"]),
        ("('a', 'b')", ["('a', 'b')"]),
        ("[x].mp4", ["[x].mp4"]),
        ("['a' 'b'", ["['a' 'b'"]),
    ],
)
def test_a_printed_list(cell: str, videos: list[str]) -> None:
    assert read("m.csv", f'videos,n\n"{cell.replace(chr(34), chr(34) * 2)}",1\n'.encode()) == [
        Sample(2, videos, UNTAGGED)
    ]


@pytest.mark.parametrize(
    "cell",
    [
        "['a' ... 'b']",
        "['a', None]",
        "[a, NULL]",
        "['a' nan]",
        "[{[]: 1}]",
        "[['a'], ['b']]",
        "['a' 'b', 'c']",
        "[,]",
        "['\\x']",
        "[" * 100_000 + "]",
        "[a" + " " * 100_000 + "'a]",
    ],
)
def test_a_list_that_cannot_be_read_is_a_fault(cell: str) -> None:
    content = f'videos,n\n"{cell}",1\n'.encode()
    (sample,) = read("m.csv", content)
    assert sample.fault is not None
    assert "cannot be read" in sample.fault
    assert rewritten("m.csv", content, {2: ["T"]}).endswith(f'"{cell}",1,\n'.encode())


# Character sets

TEXTS = {
    "m.jsonl": '{"videos": ["v.mp4"]}\n',
    "m.json": '[{"videos": ["v.mp4"]}]',
    "m.csv": "id,videos\r\n1,v.mp4\r\n",
    "m.tsv": "id\tvideos\r\n1\tv.mp4\r\n",
}


@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("url", sorted(TEXTS))
def test_other_unicode_than_utf_8_is_named(url: str, mark: str, bits: int, order: str) -> None:
    error = refusal(url, (mark + TEXTS[url]).encode(f"utf-{bits}-{order}"))
    assert error.reason == f"is UTF-{bits} text: save it as UTF-8"


@pytest.mark.parametrize("url", sorted(TEXTS))
def test_a_byte_order_mark_stays(url: str) -> None:
    content = TEXTS[url].encode("utf-8-sig")
    (sample,) = read(url, content)
    assert sample.videos == ["v.mp4"]
    result = rewritten(url, content, {sample.line: ["T"]})
    assert result.startswith(b"\xef\xbb\xbf")
    assert result.count(b"\xef\xbb\xbf") == 1


def test_a_path_that_is_not_utf_8_is_a_fault_of_its_row() -> None:
    content = "id,videos\n1,é.mp4\n2,b.mp4\n".encode("latin-1")
    odd, valid = read("m.csv", content)
    assert (odd.fault, valid.videos) == ("a video path is not valid Unicode", ["b.mp4"])
    assert rewritten("m.csv", content, {3: ["T"]}) == (
        b'id,videos,video_audio_tags\n1,\xe9.mp4,\n2,b.mp4,"[""T""]"\n'
    )


# Excel


def test_the_line_that_tells_excel_the_delimiter() -> None:
    content = b"\xef\xbb\xbfsep=;\r\nid;videos\r\n1;a.mp4\r\n"
    assert read("m.csv", content) == [Sample(3, ["a.mp4"], UNTAGGED)]
    assert rewritten("m.csv", content, {3: ["T"]}) == (
        b'\xef\xbb\xbfsep=;\r\nid;videos;video_audio_tags\r\n1;a.mp4;"[""T""]"\r\n'
    )


@pytest.mark.parametrize("mark", "^|:")
def test_any_delimiter_that_excel_is_told(mark: str) -> None:
    content = f"sep={mark}\nid{mark}videos\n1{mark}a.mp4\n".encode()
    assert [sample.videos for sample in read("m.csv", content)] == [["a.mp4"]]


def test_a_comma_separated_file_with_semicolons_in_its_header() -> None:
    content = b'"a;b","videos"\n"x;y","v.mp4"\n'
    assert [sample.videos for sample in read("m.csv", content)] == [["v.mp4"]]


# Odd text

LONE_CR = b'id,videos\r1,a.mp4\r2,"b\r.mp4"\r'


def test_lines_that_end_as_on_old_macs() -> None:
    assert read("m.csv", LONE_CR) == [
        Sample(2, ["a.mp4"], UNTAGGED),
        Sample(3, ["b\r.mp4"], UNTAGGED),
    ]
    assert rewritten("m.csv", LONE_CR, {2: []}) == (
        b'id,videos,video_audio_tags\r1,a.mp4,[]\r2,"b\r.mp4",\r'
    )
    assert "is not JSON" in refusal("m.jsonl", b'{"videos": []}\r{"videos": []}\r').reason


def test_nul_characters() -> None:
    content = b"id,videos\n\0,a.mp4\n1,b\0.mp4\n"
    fine, odd = read("m.csv", content)
    assert (fine.videos, odd.fault is None) == (["a.mp4"], False)
    assert rewritten("m.csv", content, {2: ["T"]}).startswith(
        b'id,videos,video_audio_tags\n\0,a.mp4,"[""T""]"\n'
    )
    assert "is not JSON" in refusal("m.jsonl", b'{"videos": []}\n\0\0\0\0').reason


@pytest.mark.parametrize("number", ["9" * 5000, "-0", "1E400", "0.10", "1e-5", "NaN", "-Infinity"])
def test_numbers_stay_as_they_are_written(number: str) -> None:
    line = f'{{"videos": ["a"], "n": {number}}}'.encode()
    expected = line[:-1] + b', "video_audio_tags": ["T"]}'
    assert rewritten("m.jsonl", line, {1: ["T"]}) == expected
    assert rewritten("m.json", b"[" + line + b"]", {1: ["T"]}) == b"[" + expected + b"]"


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    content = b'{"videos": ["a"], "videos": ["b"]}\n'
    assert read("m.jsonl", content) == [Sample(1, ["b"], UNTAGGED)]


@pytest.mark.parametrize("value", ["NaN", "null"])
def test_nan_is_how_pandas_writes_null(value: str) -> None:
    content = f'{{"videos": ["a"], "video_audio_tags": {value}}}\n{{"videos": {value}}}\n'.encode()
    assert read("m.jsonl", content) == [Sample(1, ["a"], UNTAGGED), Sample(2, [], UNTAGGED)]
    assert rewritten("m.jsonl", content, {1: ["T"]}).startswith(
        b'{"videos": ["a"], "video_audio_tags": ["T"]}\n'
    )


@pytest.mark.parametrize("value", ["0", '""', "[]", "false", '"x"', "1.5"])
@pytest.mark.parametrize("url", ["m.jsonl", "m.json", "m.csv"])
def test_a_meta_field_that_is_no_object_is_a_fault_of_its_sample(url: str, value: str) -> None:
    """What Python takes for false, too: none of it may be replaced, and none ends the merge."""
    samples = f'{{"videos": ["a"], "meta": {value}}}', '{"videos": ["b"], "meta": {"n": 1}}'
    write: dict[str, Callable[[], str]] = {
        "m.jsonl": lambda: "\n".join(samples),
        "m.json": lambda: f"[{samples[0]},\n{samples[1]}]",
        "m.csv": lambda: pd.DataFrame(
            {"videos": ["a", "b"], "meta": [value, '{"n": 1}']}
        ).to_csv(index=False),
    }  # fmt: skip
    content, fields = write[url]().encode(), Fields(tags="t", meta="meta")
    odd, valid = read(url, content, fields)
    assert (odd.fault, valid.fault) == ("'meta' is not an object", None)
    result = rewritten(url, content, {odd.line: ["T"], valid.line: ["T"]}, fields)
    lines, before = result.splitlines(), content.splitlines()
    assert lines[:-1] == before[:-1]
    assert lines[-1] != before[-1]


@pytest.mark.parametrize("value", ["NaN", "null", ""])
def test_a_meta_cell_without_a_value_is_made(value: str) -> None:
    fields = Fields(tags="t", meta="meta")
    content = f"videos,meta\na,{value}\n".encode()
    assert read("m.csv", content, fields) == [Sample(2, ["a"], ("t",))]
    assert rewritten("m.csv", content, {2: ["T"]}, fields) == (
        b'videos,meta\na,"{""t"": [""T""]}"\n'
    )


def test_paths_that_look_like_urls_come_as_they_stand() -> None:
    paths = ["clip::001.mp4", "./clip::001.mp4", "zip://a.mp4::b.zip", "C:\\v.mp4", "a?b#c.mp4"]
    content = json.dumps({"videos": paths}).encode()
    assert read("m.jsonl", content) == [Sample(1, paths, UNTAGGED)]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_cells_of_tagged_rows_keep_their_quotes(quoting: Any, ending: str) -> None:
    table = pd.DataFrame({"id": [1, 2], "text": ["", "a b"], "videos": ["a", "b"]})
    text = table.to_csv(index=False, quoting=quoting, lineterminator=ending)
    result = rewritten("m.csv", text.encode(), {2: ["T"], 3: ["T"]}).decode()
    for old, new in zip(text.splitlines()[1:], result.splitlines()[1:], strict=True):
        assert new == old + ',"[""T""]"'


def test_polars_writes_and_reads() -> None:
    table = pl.DataFrame({"id": ["007", "x"], "videos": ["a.mp4", "b, c.mp4"], "e": ["", None]})
    result = rewritten("m.csv", table.write_csv().encode(), {2: ["T"], 3: ["U"]})
    back = pl.read_csv(result, infer_schema=False)
    assert back.drop("video_audio_tags").equals(table)
    assert back["video_audio_tags"].to_list() == ['["T"]', '["U"]']


# The files that were found wrong

EXPECTED: dict[str, tuple[Fields, list[list[str] | str]] | str] = {
    "colon.jsonl": (Fields(), [["clip::001.mp4"], ["./clip::001.mp4"], ["v/clip::001.mp4"]]),
    "csv_meta_falsy.csv": (
        Fields(meta="__dj__meta__"), [["v/speech.mp4"], "'__dj__meta__' is not an object"]),
    "llava.jsonl": "no sample has the key 'videos'",
    "nan_tag.jsonl": (Fields(), [["v/speech.mp4"]]),
    "pandas_csv_of_parquet_lists.csv": (Fields(), [["v/speech.mp4", "v/music.webm"]]),
    "spark_written.csv": "escaped by a backslash",
    "utf16.csv": "is UTF-16 text: save it as UTF-8",
}  # fmt: skip


@pytest.mark.skipif("SHARED" not in os.environ, reason="the files are kept elsewhere")
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_file_that_was_found_wrong(name: str) -> None:
    content, expected = (
        Path(os.environ["SHARED"], "faults/manifests", name).read_bytes(),
        EXPECTED[name],
    )
    if isinstance(expected, str):
        assert expected in refusal(name, content).reason
    else:
        fields, samples = expected
        found = read(name, content, fields)
        assert [sample.fault or sample.videos for sample in found] == samples
        assert all(sample.missing for sample in found)
