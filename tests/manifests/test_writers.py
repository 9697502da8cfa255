"""Manifests as other tools write them: read as they were meant, or refused in clear words.

Where a tool is installed it writes the manifest itself.
"""

import csv
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from tasks.manifests import Fields, Sample
from tests.manifests.strategies import UNTAGGED, read, refusal, rewritten

pytestmark = pytest.mark.long


# Nothing at all


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_table_or_array_is_told_so(content: bytes) -> None:
    for name in ("m.csv", "m.tsv", "m.json"):
        assert refusal(name, content).reason.startswith("is empty: ")
    for name in ("m.csv.gz", "m.json.gz"):
        assert refusal(name, gzip.compress(content)).reason.startswith("is empty: ")
    assert refusal("m.csv", b"sep=;\n").reason.startswith("is empty: ")
    assert refusal("m.json", b" \n").reason.startswith("is empty: ")


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
