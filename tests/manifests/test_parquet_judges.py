"""What other programs wrote as Parquet they read as before, with the tags."""

import io
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from tasks.manifests import Fields
from tests.manifests.parquet_files import FILES, metadata
from tests.manifests.strategies import read, rewritten

pytestmark = pytest.mark.long

TOP = Fields()
IN_STRUCT = Fields(meta="meta")
IN_NEW_STRUCT = Fields(meta="__dj__meta__")
PLACES = {"top": TOP, "in a struct": IN_STRUCT, "in a new struct": IN_NEW_STRUCT}
LABELS = {1: ["A"], 2: ["B", "C"], 4: ["D"]}


@pytest.fixture(scope="module", params=FILES)
def content(request: pytest.FixtureRequest) -> bytes:
    """A file of each kind."""
    return FILES[request.param]()


@pytest.fixture(params=PLACES)
def fields(request: pytest.FixtureRequest) -> Fields:
    return PLACES[request.param]


@pytest.fixture
def result(content: bytes, fields: Fields) -> bytes:
    """The same file with tags."""
    rows = metadata(content).num_rows
    return rewritten("m.parquet", content, {k: v for k, v in LABELS.items() if k <= rows}, fields)


def queried(content: bytes, query: str) -> tuple[list[Any], list[tuple[Any, ...]]]:
    """Columns with their types, and rows, as DuckDB reads them."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        Path(folder, "m.parquet").write_bytes(content)
        found = connection.execute(query.replace("FILE", f"'{folder}/m.parquet'"))
        return [column[:2] for column in found.description], found.fetchall()


def expression(fields: Fields) -> str:
    return f'"{fields.meta}".{fields.tags}' if fields.meta else fields.tags


def test_duckdb_reads_every_other_value_and_the_tags(
    content: bytes, result: bytes, fields: Fields
) -> None:
    if not metadata(content).num_rows:
        assert result == content  # nothing was added
        return
    columns, before = queried(content, "SELECT * FROM FILE")
    names = [name for name, _ in columns if name != fields.meta]
    others = ", ".join(f'"{name}"' for name in names)
    assert repr(queried(result, f"SELECT {others} FROM FILE")) == repr(
        queried(content, f"SELECT {others} FROM FILE")
    )
    _, tags = queried(result, f"SELECT {expression(fields)} FROM FILE")
    assert tags == [(LABELS.get(row),) for row in range(1, len(before) + 1)]
    if fields.meta in dict(columns):
        inside = "SELECT meta.lang, meta.n FROM FILE"
        assert queried(result, inside) == queried(content, inside)


def test_polars_reads_every_other_value_and_the_tags(
    content: bytes, result: bytes, fields: Fields
) -> None:
    if "Interval" in str(metadata(content).schema):
        return  # Polars panics, as it did before
    try:
        before = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        with pytest.raises(type(error)):  # maps and the like, as before
            pl.read_parquet(io.BytesIO(result))
        return
    after = pl.read_parquet(io.BytesIO(result))
    if not before.height:
        assert before.equals(after)
        return
    holder = after if fields.meta is None else after[fields.meta].struct.unnest()
    tags = holder[fields.tags].to_list()
    assert tags == [LABELS.get(row) for row in range(1, before.height + 1)]
    if fields.meta in before.columns:
        rest = [name for name in holder.columns if name != fields.tags]
        after = after.with_columns(holder.select(rest).to_struct(fields.meta))
    else:
        after = after.drop(fields.meta or fields.tags)
    assert after.schema == before.schema
    assert after.equals(before)


def test_pyarrow_reads_the_same_types_and_values(
    content: bytes, result: bytes, fields: Fields
) -> None:
    before, after = (pq.read_table(io.BytesIO(data)) for data in (content, result))
    key = fields.meta or fields.tags
    names = [name for name in before.column_names if name != key]
    assert after.column_names[: before.num_columns] == before.column_names
    assert after.select(names).schema.equals(before.select(names).schema)
    assert after.select(names).equals(before.select(names))
    if fields.meta in before.column_names:
        old, new = before[fields.meta].type, after[fields.meta].type
        assert [*new][: old.num_fields] == [*old]


def test_pages_and_what_is_known_of_them_stay_where_they_are(
    content: bytes, result: bytes, fields: Fields
) -> None:
    old, new = metadata(content), metadata(result)
    key = ".".join(filter(None, [fields.meta, fields.tags]))
    for number in range(old.num_row_groups):
        before, after = old.row_group(number), new.row_group(number)
        others = [after.column(index) for index in range(after.num_columns)]
        others = [chunk for chunk in others if not chunk.path_in_schema.startswith(key)]
        assert others == [before.column(index) for index in range(before.num_columns)]
        assert after.num_rows == before.num_rows
    end = int.from_bytes(content[-8:-4], "little")
    assert result.startswith(content[: -8 - end])
    assert new.created_by == old.created_by


def test_key_value_metadata_stays_but_for_the_copies_of_the_schema(
    content: bytes, result: bytes
) -> None:
    old, new = metadata(content).metadata or {}, metadata(result).metadata or {}
    copies = {b"ARROW:schema", b"org.apache.spark.sql.parquet.row.metadata", b"pandas"}
    assert [*new] == [*old]
    assert all(new[key] == old[key] for key in old if key not in copies)


def test_they_are_found_to_be_tagged(content: bytes, result: bytes, fields: Fields) -> None:
    samples = read("m.parquet", result, fields)
    assert [s.videos for s in samples] == [s.videos for s in read("m.parquet", content, fields)]
    assert {s.line for s in samples if not s.missing} == {n for n in LABELS if n <= len(samples)}


def test_bloom_filters_are_still_used() -> None:
    result = rewritten("m.parquet", FILES["bloom filters"](), LABELS)
    _, probed = queried(result, "SELECT * FROM parquet_bloom_probe(FILE, 'text', 'not there')")
    assert [row[-1] for row in probed] == [True]


def test_pandas_finds_its_index() -> None:
    result = rewritten("m.parquet", FILES["pandas"](), LABELS)
    before, after = (pd.read_parquet(io.BytesIO(f)) for f in (FILES["pandas"](), result))
    tags = after.pop("video_audio_tags")
    pd.testing.assert_frame_equal(before, after)
    assert [None if tag is None else list(tag) for tag in tags] == [
        LABELS.get(row) for row in range(1, 6)]  # fmt: skip


def test_every_codec_that_pyarrow_writes_is_tried() -> None:
    codecs = {metadata(file()).row_group(0).column(0).compression
              for name, file in FILES.items() if name != "no row groups"}  # fmt: skip
    assert {"SNAPPY", "GZIP", "BROTLI", "ZSTD", "LZ4", "UNCOMPRESSED"} <= codecs
    assert all(pa.Codec.is_available(codec) for codec in ("snappy", "gzip", "brotli", "zstd"))


def test_a_folder_of_footers_from_before_still_leads_to_every_other_value(tmp_path: Path) -> None:
    """A ``_metadata`` of Spark or pyarrow is not written anew. Nothing that it points to moves, but
    it knows no tags; what does not ask for it (pandas, DuckDB, Polars ...) finds them."""
    files = [tmp_path / f"{number}.parquet" for number in range(2)]
    footers = []
    for number, file in enumerate(files):
        videos = [[f"{number}-{row}.mp4"] for row in range(100)]
        pq.write_table(pa.table({"n": [number] * 100, "videos": videos}), file)
        footers.append(pq.read_metadata(file))
        footers[-1].set_file_path(file.name)
    footers[0].append_row_groups(footers[1])
    footers[0].write_metadata_file(tmp_path / "_metadata")
    before = pa.dataset.parquet_dataset(tmp_path / "_metadata").to_table()
    for file in files:
        file.write_bytes(rewritten("m.parquet", file.read_bytes(), {7: ["T"]}))
    assert pa.dataset.parquet_dataset(tmp_path / "_metadata").to_table() == before
    for found in (
        pd.read_parquet(tmp_path),
        pl.read_parquet(tmp_path / "*.parquet").to_pandas(),
        duckdb.read_parquet(f"{tmp_path}/*.parquet").df(),
    ):
        assert found["video_audio_tags"].notna().sum() == 2
