"""Every format keeps the contract, compressed or not. A new format is one class more here."""

import bz2
import csv
import gzip
import io
import json
import tempfile
from collections.abc import Sequence
from typing import Any, ClassVar

import duckdb
import pandas as pd
import polars as pl
import zstandard

from tasks.manifests import COMPRESSIONS, FORMATS, extensions
from tests.manifests.contract import FormatContract, StreamContract
from tests.manifests.format_under_test import Record


class JsonLines(StreamContract):
    """Written by Python, read by Polars."""

    url = "m.jsonl"

    def write(self, samples: Sequence[Record], columns: Sequence[str]) -> bytes:
        return "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples).encode()

    def read_back(self, content: bytes) -> list[Record]:
        if not content:
            return []
        return pl.read_ndjson(content, infer_schema_length=None).to_dicts()


class JsonArray(StreamContract):
    """Written by pandas, read by DuckDB."""

    url = "m.json"

    def write(self, samples: Sequence[Record], columns: Sequence[str]) -> bytes:
        table = pd.DataFrame(list(samples), columns=list(columns), dtype=object)
        return table.to_json(orient="records", indent=1).encode()

    def read_back(self, content: bytes) -> list[Record]:
        return queried("read_json(?, format='array', sample_size=-1)", content, ".json")


class Csv(StreamContract):
    """Written by Python in the style of pandas, read by DuckDB."""

    url = "m.csv"
    delimiter: ClassVar[str] = ","

    def write(self, samples: Sequence[Record], columns: Sequence[str]) -> bytes:
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, delimiter=self.delimiter, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell(sample[column]) for column in columns] for sample in samples)
        return buffer.getvalue().encode()

    def read_back(self, content: bytes) -> list[Record]:
        source = """read_csv(?, header=true, all_varchar=true, delim=',', quote='"', escape='"')"""
        return [value_of_cells(record) for record in queried(source, content, ".csv")]


class Tsv(Csv):
    """Written by Polars, read by pandas."""

    url = "m.tsv"
    delimiter = "\t"

    def write(self, samples: Sequence[Record], columns: Sequence[str]) -> bytes:
        cells = {column: [cell(sample[column]) for sample in samples] for column in columns}
        table = pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String))
        return table.write_csv(separator="\t").encode()

    def read_back(self, content: bytes) -> list[Record]:
        table = pd.read_csv(io.BytesIO(content), sep="\t", dtype=str, keep_default_na=False)
        rows = table.itertuples(index=False, name=None)
        return [value_of_cells(dict(zip(table.columns, row, strict=True))) for row in rows]


def cell(value: Any) -> str:
    """A value as people have it in a table."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def value_of_cells(record: dict[str, Any]) -> Record:
    """The record with its lists and dicts for their text."""
    structured = {key for key, text in record.items() if text and text[0] in "[{"}
    return {key: json.loads(t) if key in structured else t or None for key, t in record.items()}


class Parquet(FormatContract):
    """Written by Polars, read by DuckDB."""

    url = "m.parquet"
    same_bytes = False  # the text formats alone promise it

    def write(self, samples: Sequence[Record], columns: Sequence[str]) -> bytes:
        buffer = io.BytesIO()
        table = pl.DataFrame(samples, infer_schema_length=None) if samples else pl.DataFrame(
            schema=dict.fromkeys(columns, pl.String)
        )  # fmt: skip
        table.write_parquet(buffer)
        return buffer.getvalue()

    def read_back(self, content: bytes) -> list[Record]:
        return queried("read_parquet(?)", content, ".parquet")


def queried(source: str, content: bytes, suffix: str) -> list[Record]:
    """The rows that DuckDB reads."""
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(content)
        file.flush()
        found = duckdb.execute(f"SELECT * FROM {source}", [file.name])
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


class TestJsonLines(JsonLines):
    """``.jsonl``."""


class TestJsonArray(JsonArray):
    """``.json``."""


class TestCsv(Csv):
    """``.csv``."""


class TestTsv(Tsv):
    """``.tsv``."""


class TestParquet(Parquet):
    """``.parquet``."""


class TestGzip(JsonLines):
    """``.gz``."""

    url, same_bytes = "m.jsonl.gz", False

    def pack(self, content: bytes) -> bytes:
        return gzip.compress(content)

    def unpack(self, content: bytes) -> bytes:
        return gzip.decompress(content)


class TestBzip2(JsonArray):
    """``.bz2``."""

    url, same_bytes = "m.json.bz2", False

    def pack(self, content: bytes) -> bytes:
        return bz2.compress(content)

    def unpack(self, content: bytes) -> bytes:
        return bz2.decompress(content)


class TestZstandard(Csv):
    """``.zst``."""

    url, same_bytes = "m.csv.zst", False

    def pack(self, content: bytes) -> bytes:
        return zstandard.ZstdCompressor().compress(content)

    def unpack(self, content: bytes) -> bytes:
        return zstandard.ZstdDecompressor().stream_reader(content).read()


def test_every_format_and_every_compression_keeps_the_contract() -> None:
    tests = [value for name, value in globals().items() if name.startswith("Test")]
    formats, compressions = zip(*(extensions(test.url) for test in tests), strict=True)
    assert {FORMATS[extension] for extension in formats} == set(FORMATS.values())
    assert set(compressions) == {*COMPRESSIONS, ""}
