"""Tags alone are written as they were before a sample could gain other fields, to the byte.

``same_bytes.json`` has digests of manifests and of what that version (commit a19351a) made of them.
A manifest that a library writes in another way than it did is not compared.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tasks.manifests import Fields
from tests.fuzz.text_manifests import manifest
from tests.manifests.parquet_files import FILES
from tests.manifests.strategies import read, rewritten

RECORD = Path(__file__).with_name("same_bytes.json")
FIELDS = {"top": Fields(), "in meta": Fields(meta="meta")}
TEXT = ["m.jsonl", "m.json", "m.csv", "m.tsv"]
# DuckDB's hold random keys.
NAMES = [*TEXT, *(name for name in FILES if "duckdb" not in name)]
CASES = [f"{name}, {where}" for name in NAMES for where in FIELDS]


def versions(case: str) -> Iterator[bytes]:
    """A manifest, and what becomes of it when it is tagged, and tagged again."""
    name, _, where = case.rpartition(", ")
    fields = FIELDS[where]
    for seed in range(30 if name in TEXT else 1):
        url = name if name in TEXT else "m.parquet"
        content = manifest(Random(seed), name, fields) if name in TEXT else FILES[name]()
        yield content
        lines = [sample.line for sample in read(url, content, fields)]
        once = rewritten(url, content, {n: [f"Ä, {n}"] for n in lines[::2]}, fields)
        yield once
        yield rewritten(url, once, {n: [f"B {n}", "C"] for n in lines[1:]}, fields)


def digests(case: str) -> tuple[str, str]:
    """Of the manifests, and of what they become."""
    before, after = hashlib.sha256(), hashlib.sha256()
    for number, content in enumerate(versions(case)):
        (after if number % 3 else before).update(content)
    return before.hexdigest(), after.hexdigest()


@pytest.mark.parametrize("case", CASES)
def test_the_bytes_are_those_of_the_version_before(case: str) -> None:
    recorded = json.loads(RECORD.read_text())[case]
    before, after = digests(case)
    if before == recorded[0] or case.startswith(tuple(TEXT)):
        assert [before, after] == recorded
