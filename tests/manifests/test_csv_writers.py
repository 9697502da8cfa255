"""CSV and TSV as other tools write them: read as they were meant, or refused in clear words.

Where a tool is installed it writes the manifest itself.
"""

import io
import json
import re
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
from tasks.manifests import Fields, Sample
from tests.manifests.strategies import TEXT, UNTAGGED, read, refusal, rewritten

pytestmark = pytest.mark.long


PATHS = ["v/a.mp4", "it's.mp4", 'the "one".mp4', "a, b.mp4", "C:\\v.mp4", "[x].mp4", "ü 漢.mp4"]


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
