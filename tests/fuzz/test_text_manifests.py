"""Damaged text manifests: refused or tagged, and never is anything lost.

Judges are Python's json and csv, DuckDB and Polars; what was not tagged must be the same bytes.
"""

import bz2
import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
import zstandard

from tasks.manifests import Fields, Sample
from tests.fuzz.frame import hunt
from tests.fuzz.mutations import mutated
from tests.fuzz.text_manifests import (
    FIELDS,
    check_csv,
    check_json_array,
    check_json_lines,
    delimiter_of,
    insert_token,
    loads,
    manifest,
    outcome,
    value_in,
    values_for,
    with_values,
)

pytestmark = pytest.mark.long


CHECKS: dict[str, Callable[[bytes, bytes, list[Sample], Fields], None]] = {
    "m.jsonl": check_json_lines,
    "m.json": check_json_array,
    "m.csv": check_csv,
    "m.tsv": partial(check_csv, delimiters="\t"),
}


@pytest.mark.parametrize("url", sorted(CHECKS))
def test_mutants_lose_nothing(url: str) -> None:
    def check(seed: int) -> str | None:
        chance = Random(f"{url} {seed}")
        fields = chance.choice(FIELDS)
        whole = manifest(chance, url, fields)
        content = mutated(whole, chance, [manifest(chance, url, fields)], [insert_token])
        result = outcome(url, content, fields)
        if result is not None:
            CHECKS[url](content, result[1], result[0], fields)
        return None

    hunt(check, 300)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "m.jsonl.gz": gzip.compress,
    "m.jsonl.bz2": bz2.compress,
    "m.jsonl.zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


@pytest.mark.parametrize("url", sorted(PACKERS))
def test_compressed_mutants_are_whole_or_refused(url: str) -> None:
    """They have two streams, so that there is something to lose behind the first."""

    def check(seed: int) -> str | None:
        chance = Random(f"{url} {seed}")
        lines = [json.dumps({"id": n, "videos": [f"{n}.mp4"]}).encode() + b"\n" for n in range(4)]
        streams = [PACKERS[url](b"".join(lines[:2])), PACKERS[url](b"".join(lines[2:]))]
        mutant = mutated(b"".join(streams), chance, streams)
        result = outcome(url, mutant, Fields())
        if result is None:
            return None
        paths = [path for sample in result[0] for path in sample.videos]
        # Whole streams that are gone or come again are nobody's to notice.
        halves = list(zip(paths[::2], paths[1::2], strict=True))
        whole = set(halves) <= {("0.mp4", "1.mp4"), ("2.mp4", "3.mp4")}
        return None if whole else f"{paths} of {mutant!r}"

    hunt(check, 300)


@pytest.mark.parametrize("url", ["m.jsonl", "m.json", "m.csv"])
def test_what_duckdb_read_before_it_reads_after(url: str, tmp_path: Path) -> None:
    def check(seed: int) -> str | None:
        chance = Random(f"{url} {seed}")
        fields = chance.choice(FIELDS)
        content = manifest(chance, url, fields)
        result = outcome(url, content, fields)
        if result is None:
            return "a whole manifest is refused"
        samples, new = result
        values = [values_for(s, fields) if s.fault is None else None for s in samples]
        if url == "m.csv":
            return compare_tables(content, new, values, fields, tmp_path / url)
        return compare_objects(content, new, values, fields, tmp_path / url)

    hunt(check, 100)


def compare_objects(
    old: bytes, new: bytes, values: list[dict[str, Any] | None], fields: Fields, file: Path
) -> str | None:
    query = OBJECTS.format("array" if file.suffix == ".json" else "newline_delimited")
    before, after = ([loads(text) for (text,) in queried(query, c, file)] for c in (old, new))
    expected = [
        with_values(sample, given, fields) for sample, given in zip(before, values, strict=True)
    ]
    return None if after == expected else f"{expected} became {after}"


def compare_tables(
    old: bytes, new: bytes, values: list[dict[str, Any] | None], fields: Fields, file: Path
) -> str | None:
    table = TABLE.format(delimiter_of(old, fields))
    names = [name for name, *_ in queried(f"DESCRIBE {table}", old, file)]
    keys = [fields.meta] if fields.meta else [*fields.written]
    others = ", ".join(f'"{name}"' for name in names if name not in keys)
    rows = f"SELECT {others} FROM ({table})"
    before, after = (queried(rows, content, file) for content in (old, new))
    if before != after:
        return f"{before} became {after}"
    written = ", ".join(f'"{key}"' for key in keys)
    found = queried(f"SELECT {written} FROM ({table})", new, file)
    for cells, given in zip(found, values, strict=True):
        for name, value in (given or {}).items():
            assert value_in(cells[keys.index(fields.meta or name)], name, fields) == value
    return None


OBJECTS = "SELECT json FROM read_json_objects(?, format='{}')"
TABLE = """FROM read_csv(?, delim='{}', quote='"', escape='"', header=true, all_varchar=true)"""


def queried(query: str, content: bytes, file: Path) -> list[tuple[Any, ...]]:
    """What DuckDB answers about a file with this content."""
    file.write_bytes(content)
    return duckdb.execute(query, [str(file)]).fetchall()
