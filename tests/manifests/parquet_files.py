"""Parquet as different programs write it, and what the tests know of it besides."""

import base64
import io
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_footer import Footer, closed
from tasks.manifests.thrift_compact import BINARY, LIST, Field, Struct, structs

VIDEOS = [["a.mp4"], ["b.mp4", "c.mp4"], [], ["d.mp4"], ["e.mp4"]]
SPARK = b"org.apache.spark.sql.parquet.row.metadata"


def packed(table: pa.Table, **options: Any) -> bytes:
    """As pyarrow writes it."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def table(**more: Any) -> pa.Table:
    """Five samples with columns of many types, and others."""
    moment = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    return pa.table(
        {
            "id": pa.array([1, 2, 3, 4, 5], pa.uint32()),
            "videos": VIDEOS,
            "text": ["a", None, "ünïcode", "", "e" * 500],
            "score": pa.array([0.5, None, float("inf"), -0.0, 1e-300]),
            "price": pa.array([Decimal("1.10"), None, Decimal("-9.99"), None, Decimal(0)]),
            "time": pa.array([moment, None, moment, moment, moment], pa.timestamp("us", "UTC")),
            "nanos": pa.array([1704164645123456789, None, 1, 2, 3], pa.timestamp("ns")),
            "flag": pa.array([True, None, False, True, False]),
            "blob": pa.array([b"\0\xff", None, b"", b"x", b"y"]),
            "fixed": pa.array([b"1234"] * 5, pa.binary(4)),
            "half": pa.array([1.5] * 5, pa.float16()),
            "nested": [{"a": [{"b": 1}, None], "c": {"d": "x"}}, None, {"a": None, "c": None}] + [
                {"a": [], "c": {"d": None}}] * 2,
            "map": pa.array([[("k", 1)], None, [], [("l", None)], []],
                            pa.map_(pa.string(), pa.int64())),
            "word": pa.array(["x", "y", "x", None, "x"]).dictionary_encode(),
            "meta": [{"lang": "en", "n": n} for n in range(5)],
        }
        | more
    )  # fmt: skip


def by_duckdb(options: str = "", more: str = "") -> bytes:
    """As DuckDB writes it, with types that are its own."""
    query = f"""
        SELECT id, videos, text, id::UINTEGER AS u32, {more}
               make_timestamp_ns(1704164645123456789 + id) AS nanos, id::UTINYINT AS u8,
               id::HUGEINT AS huge, uuid() AS key, {{'lang': 'en', 'n': id}} AS meta,
               MAP {{'k': id}} AS map, DATE '9999-12-31' AS until, TIME '01:02:03.5' AS clock
        FROM rows"""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.register("rows", table().select(["id", "videos", "text"]))
        connection.execute(f"COPY ({query}) TO '{folder}/m.parquet' (FORMAT parquet {options})")
        return Path(folder, "m.parquet").read_bytes()


def by_polars(**options: Any) -> bytes:
    """As Polars writes it."""
    rows = table().drop_columns(["half", "map", "fixed"])
    sink = io.BytesIO()
    frame = pl.DataFrame(rows).with_columns(
        pl.Series("u8", [1, 2, 3, 4, 5], pl.UInt8), pl.Series("gap", [1, None, 3, 4, 5], pl.UInt32)
    )
    frame.write_parquet(sink, **options)
    return sink.getvalue()


def by_pandas() -> bytes:
    """As pandas writes it, with an index of its own."""
    rows = {"videos": VIDEOS, "kind": pd.Categorical(list("ababa")), "n": [1, None, 3, 4, 5]}
    frame = pd.DataFrame(rows, index=pd.Index(list("vwxyz"), name="key"))
    sink = io.BytesIO()
    frame.to_parquet(sink)
    return sink.getvalue()


def by_spark() -> bytes:
    """As Spark writes it: INT96, no Arrow schema, its own copy of the schema with comments."""
    rows = table().select(["id", "videos", "nanos", "meta"])
    meta = {
        "type": "struct",
        "fields": [
            {"name": "lang", "type": "string", "nullable": True, "metadata": {}},
            {"name": "n", "type": "long", "nullable": True, "metadata": {}},
        ],
    }
    types: dict[str, Any] = {
        "id": "long",
        "videos": {"type": "array", "elementType": "string", "containsNull": True},
        "nanos": "timestamp",
        "meta": meta,
    }
    fields = [
        {"name": name, "type": kind, "nullable": True, "metadata": {"comment": "ünï"}}
        for name, kind in types.items()
    ]
    schema = json.dumps({"type": "struct", "fields": fields}, ensure_ascii=False)
    content = packed(rows, use_deprecated_int96_timestamps=True, store_schema=False)
    metadata = {b"org.apache.spark.version": b"4.0.1", SPARK: schema.encode()}
    pairs = [
        Struct({1: Field(BINARY, key), 2: Field(BINARY, value)}) for key, value in metadata.items()
    ]
    return edited(
        content, lambda tree: Struct({**tree, ids.KEY_VALUES: Field(LIST, structs(pairs))})
    )


FILES: dict[str, Callable[[], bytes]] = {
    "pyarrow": lambda: packed(table()),
    "pages of version 2": lambda: packed(table(), data_page_version="2.0", data_page_size=64),
    "row groups": lambda: packed(table(), row_group_size=2),
    "snappy": lambda: packed(table(), compression="snappy"),
    "gzip": lambda: packed(table(), compression="gzip"),
    "brotli": lambda: packed(table(), compression="brotli"),
    "zstd": lambda: packed(table(), compression="zstd"),
    "lz4": lambda: packed(table(), compression="lz4"),
    "not compressed": lambda: packed(table(), compression="none"),
    "no dictionaries": lambda: packed(table(), use_dictionary=False),
    "no statistics": lambda: packed(table(), write_statistics=False),
    "no Arrow schema": lambda: packed(table(), store_schema=False),
    "version 1": lambda: packed(table().drop_columns(["nanos"]), version="1.0"),
    "page index": lambda: packed(table(), write_page_index=True, row_group_size=2),
    "bloom filters": lambda: packed(table(), bloom_filter_options={"text": {"ndv": 10}}),
    "checksums": lambda: packed(table(), write_page_checksum=True),
    "old lists": lambda: packed(table(), use_compliant_nested_type=False),
    "no rows": lambda: packed(table().slice(0, 0)),
    "no row groups": lambda: without_groups(table().schema),
    "key-value metadata": lambda: packed(table().replace_schema_metadata({"owner": "ünï"})),
    "duckdb": by_duckdb,
    "duckdb intervals": lambda: by_duckdb(more="INTERVAL 1 MONTH * id AS span,"),
    "duckdb version 2": lambda: by_duckdb(", PARQUET_VERSION v2, CODEC 'zstd'"),
    "polars": by_polars,
    "polars row groups": lambda: by_polars(row_group_size=2, statistics="full"),
    "pandas": by_pandas,
    "spark": by_spark,
}


def without_groups(schema: pa.Schema) -> bytes:
    sink = io.BytesIO()
    pq.ParquetWriter(sink, schema).close()
    return sink.getvalue()


def edited(content: bytes, edit: Callable[[Struct], Struct]) -> bytes:
    """The file with another footer."""
    footer = Footer.read(io.BytesIO(content))
    return content[: footer.start] + closed(edit(footer.tree))


def metadata(content: bytes) -> pq.FileMetaData:
    return pq.read_metadata(io.BytesIO(content))


def arrow_schema(content: bytes) -> pa.Schema:
    """The copy of the schema that Arrow keeps."""
    value = metadata(content).metadata[b"ARROW:schema"]
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value)))


class _Keys(pe.KmsClient):  # type: ignore[misc]
    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return base64.b64decode(wrapped_key)


def encrypted(rows: pa.Table, *, plain_footer: bool, columns: list[str]) -> bytes:
    """As pyarrow encrypts it."""
    configuration = pe.EncryptionConfiguration(
        footer_key="f", column_keys={"c": columns}, plaintext_footer=plain_footer
    )
    factory = pe.CryptoFactory(lambda _: _Keys())
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), configuration)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, rows.schema, encryption_properties=properties) as writer:
        writer.write_table(rows)
    return sink.getvalue()
