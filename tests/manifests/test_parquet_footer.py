"""How a footer learns of the tags: what survives in it, what moves, what is superseded."""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.manifests import Fields, format_of
from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_footer import Footer
from tasks.manifests.thrift_compact import BINARY, STRUCT, Field, Struct, structs
from tests.manifests.parquet_files import (
    FILES,
    SPARK,
    VIDEOS,
    arrow_schema,
    by_duckdb,
    by_pandas,
    by_spark,
    edited,
    metadata,
    packed,
    table,
    without_groups,
)
from tests.manifests.strategies import read, rewritten, tags_of

META = Fields(meta="meta")
TAGS = {1: ["A"], 2: ["B", "C"]}
UNKNOWN = Field(STRUCT, Struct({1: Field(BINARY, b"of a version to come")}))


def tree(content: bytes) -> Footer:
    return Footer.read(io.BytesIO(content))


def column(content: bytes, name: str) -> list[Any]:
    values: list[Any] = pq.read_table(io.BytesIO(content), columns=[name])[name].to_pylist()
    return values


def paths(content: bytes) -> list[str]:
    """The leaves in the order of the chunks of a row group."""
    group = metadata(content).row_group(0)
    return [group.column(number).path_in_schema for number in range(group.num_columns)]


def with_unknown_fields(content: bytes) -> bytes:
    """The file with a field 99 in each structure of its footer."""

    def edit(found: Struct) -> Struct:
        groups = []
        for group in found.structs(ids.GROUPS):
            chunks = [
                chunk.changed({ids.META: Struct({**chunk.struct(ids.META), 99: UNKNOWN})})
                for chunk in group.structs(ids.COLUMNS)
            ]
            chunks = [Struct({**chunk, 99: UNKNOWN}) for chunk in chunks]
            groups.append(Struct({**group.changed({ids.COLUMNS: structs(chunks)}), 99: UNKNOWN}))
        elements = [Struct({**item, 99: UNKNOWN}) for item in found.structs(ids.SCHEMA)]
        changes = {ids.SCHEMA: structs(elements), ids.GROUPS: structs(groups)}
        return Struct({**found.changed(dict(changes)), 99: UNKNOWN})

    return edited(content, edit)


@pytest.mark.parametrize("fields", [Fields(), META], ids=["top", "in a struct"])
def test_fields_that_nobody_here_knows_survive(fields: Fields) -> None:
    content = with_unknown_fields(FILES["row groups"]())
    old, new = tree(content), tree(rewritten("m.parquet", content, TAGS, fields))
    assert new.tree[99] == UNKNOWN
    assert [e for e in new.root.elements() if 99 in e][1:] != []
    unchanged = [element[99] for element in old.root.elements()]
    assert [e[99] for e in new.root.elements() if 99 in e] == unchanged
    for before, after in zip(old.groups, new.groups, strict=True):
        assert after[99] == UNKNOWN
        chunks = after.structs(ids.COLUMNS)
        assert [c for c in chunks if 99 in c] == before.structs(ids.COLUMNS)


def test_a_new_field_of_a_struct_follows_its_other_leaves() -> None:
    old = packed(table())
    assert paths(rewritten("m.parquet", old, TAGS, META)) == [
        *paths(old), "meta.video_audio_tags.list.element"]  # fmt: skip
    first = packed(table().select(["meta", "videos", "id"]))
    assert paths(rewritten("m.parquet", first, TAGS, META)) == [
        "meta.lang", "meta.n", "meta.video_audio_tags.list.element", "videos.list.element", "id",
    ]  # fmt: skip


def test_sorted_columns_are_still_those_that_are_sorted() -> None:
    rows = table().select(["meta", "id", "videos", "text"])
    content = packed(rows, sorting_columns=[pq.SortingColumn(2), pq.SortingColumn(4)])
    new = metadata(rewritten("m.parquet", content, TAGS, META)).row_group(0)
    sorted_by = [new.column(item.column_index).path_in_schema for item in new.sorting_columns]
    assert sorted_by == ["id", "text"]
    top = metadata(rewritten("m.parquet", content, TAGS)).row_group(0)
    assert [item.column_index for item in top.sorting_columns] == [2, 4]


def test_rows_are_no_longer_sorted_by_tags_that_were_replaced() -> None:
    rows = pa.table({"id": [1, 2], "video_audio_tags": [["x"], ["y"]], "videos": ["a", "b"]})
    order = [pq.SortingColumn(0), pq.SortingColumn(1), pq.SortingColumn(2)]
    content = packed(rows, sorting_columns=order)
    new = metadata(rewritten("m.parquet", content, TAGS)).row_group(0)
    assert [item.column_index for item in new.sorting_columns] == [0]


@pytest.mark.parametrize("fields", [Fields(), META], ids=["top", "in a struct"])
def test_each_leaf_has_its_order(fields: Fields) -> None:
    for content in (packed(table()), packed(table(), row_group_size=2)):
        new = tree(rewritten("m.parquet", content, TAGS, fields))
        assert len(new.tree.structs(ids.COLUMN_ORDERS)) == new.root.leaves


def test_no_row_groups_stay_as_they_are() -> None:
    content = without_groups(table().schema)
    assert rewritten("m.parquet", content, {}) == content


def test_row_groups_without_rows() -> None:
    sink = io.BytesIO()
    rows = table().select(["videos", "id"])
    with pq.ParquetWriter(sink, rows.schema) as writer:
        for size in (0, 2, 0, 3, 0):
            writer.write_table(rows.slice(0, size))
    result = rewritten("m.parquet", sink.getvalue(), {1: ["A"], 5: ["B"]})
    assert column(result, "video_audio_tags") == [["A"], None, None, None, ["B"]]
    new = metadata(result)
    groups = [new.row_group(number).num_rows for number in range(new.num_row_groups)]
    assert groups == [0, 2, 0, 3, 0]


@pytest.mark.long
@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.parametrize("name", ["pyarrow", "row groups", "page index", "polars", "spark"])
def test_night_after_night_a_file_does_not_grow(name: str, codec: str) -> None:
    content = FILES[name]()
    once = rewritten("m.parquet", content, {1: ["A"]})
    for night in range(5):
        again = rewritten("m.parquet", once, {1: [f"night {night}"], 2: ["B", "C"]})
        assert column(again, "video_audio_tags")[:3] == [[f"night {night}"], ["B", "C"], None]
        assert len(again) < len(once) + 200
    assert again.startswith(content[: tree(content).start])


def test_tags_of_another_program_are_superseded_and_their_bytes_stay() -> None:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE rows AS SELECT i, ['v.mp4'] AS videos, CASE WHEN i % 2 = 0 THEN"
            " ['old ' || i] END AS video_audio_tags, 'text ' || i AS text FROM range(5000) t(i)"
        )
        connection.execute(f"COPY rows TO '{folder}/m.parquet' (ROW_GROUP_SIZE 2048)")
        content = Path(folder, "m.parquet").read_bytes()
        result = rewritten("m.parquet", content, {2: ["new"], 3: ["other"]})
        Path(folder, "m.parquet").write_bytes(result)
        found = connection.execute(f"SELECT * FROM '{folder}/m.parquet' ORDER BY i").fetchall()
    assert [row[2] for row in found[:4]] == [["old 0"], ["new"], ["other"], None]
    assert [(row[0], row[3]) for row in found] == [(n, f"text {n}") for n in range(5000)]
    assert result.startswith(content[: tree(content).start])
    # The names that DuckDB gave to the levels of its list stay too.
    assert [*tree(result).root.elements()] == [*tree(content).root.elements()]


def test_required_tags_stay_required() -> None:
    kind = pa.list_(pa.field("element", pa.string(), nullable=False))
    schema = pa.schema(
        [("videos", pa.string()), pa.field("video_audio_tags", kind, nullable=False)]
    )
    rows = pa.table({"videos": ["a", "b"], "video_audio_tags": [["x"], ["y"]]}, schema)
    result = rewritten("m.parquet", packed(rows), {1: ["T"]})
    new = pq.read_table(io.BytesIO(result))
    assert new.schema == schema
    assert new["video_audio_tags"].to_pylist() == [["T"], ["y"]]


def test_names_with_dots() -> None:
    fields = Fields("my.videos", "t.tags", "the.meta")
    rows = pa.table({"my": [{"videos": 1}], "my.videos": [["a"]], "the": [{"meta": 2}],
                     "the.meta": [{"t": {"tags": 3}}]})  # fmt: skip
    result = rewritten("m.parquet", packed(rows), {1: ["T"]}, fields)
    assert pq.read_table(io.BytesIO(result)).to_pylist() == [
        {"my": {"videos": 1}, "my.videos": ["a"], "the": {"meta": 2},
         "the.meta": {"t": {"tags": 3}, "t.tags": ["T"]}}
    ]  # fmt: skip
    assert not read("m.parquet", result, fields)[0].missing


def test_the_arrow_schema_has_the_tags_where_the_file_has_them() -> None:
    for fields in (Fields(), META, Fields(meta="new")):
        result = rewritten("m.parquet", packed(table()), TAGS, fields)
        # One that disagrees is ignored: what only Arrow knows would be lost.
        assert pa.types.is_dictionary(pq.read_schema(io.BytesIO(result)).field("word").type)
        assert arrow_schema(result).names == pq.read_schema(io.BytesIO(result)).names


def test_spark_is_told_of_the_tags() -> None:
    tags = {"type": "array", "elementType": "string", "containsNull": True}
    content = by_spark()

    def fields_of(result: bytes) -> dict[str, Any]:
        fields = json.loads(metadata(result).metadata[SPARK])["fields"]
        assert [item["metadata"] for item in fields[:4]] == [{"comment": "ünï"}] * 4
        return {item["name"]: item["type"] for item in fields}

    top = fields_of(rewritten("m.parquet", content, TAGS))
    assert top == {**fields_of(content), "video_audio_tags": tags}
    inside = fields_of(rewritten("m.parquet", content, TAGS, META))["meta"]["fields"]
    assert [item["name"] for item in inside] == ["lang", "n", "video_audio_tags"]
    assert inside[-1]["type"] == tags
    new = fields_of(rewritten("m.parquet", content, TAGS, Fields(meta="new")))["new"]
    assert new["fields"][0]["type"] == tags
    twice = rewritten("m.parquet", rewritten("m.parquet", content, TAGS), {3: ["Z"]})
    assert fields_of(twice) == top


def test_pandas_is_told_of_the_tags() -> None:
    def columns(content: bytes) -> list[str]:
        found = json.loads(metadata(content).metadata[b"pandas"])["columns"]
        return [item["field_name"] for item in found]

    assert set(columns(rewritten("m.parquet", by_pandas(), TAGS))) == {
        *columns(by_pandas()), "video_audio_tags"}  # fmt: skip


class Counted(io.BytesIO):
    """Counts the bytes that are read."""

    given = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.given += len(data)
        return data


def test_only_the_videos_and_the_tags_are_read() -> None:
    rows = 20_000
    content = packed(
        pa.table({"videos": [[f"{n}.mp4"] for n in range(rows)],
                  "text": [f"{n:x}" * 300 for n in range(rows)]}),
        compression="none", use_dictionary=False, row_group_size=5000,
    )  # fmt: skip
    source, end = Counted(content), io.BytesIO()
    layout = format_of("m.parquet")
    assert len(list(layout.read(source, Fields()))) == rows
    assert source.given < len(content) / 10
    source.given = 0
    keep = layout.extend(source, end, Fields(), tags_of(["Music"]))  # type: ignore[attr-defined]
    assert source.given < len(content) / 10
    assert len(end.getvalue()) < len(content) / 50
    result = content[:keep] + end.getvalue()
    assert column(result, "video_audio_tags") == [["Music"]] * rows
    assert column(result, "text") == column(content, "text")


def test_a_null_column_becomes_one_of_tags_in_every_copy_of_the_schema() -> None:
    rows = pa.table({"videos": VIDEOS, "video_audio_tags": pa.nulls(5), "n": range(5)})
    result = rewritten("m.parquet", packed(rows), TAGS)
    assert arrow_schema(result).field("video_audio_tags").type == pa.list_(pa.string())
    assert column(result, "video_audio_tags") == [["A"], ["B", "C"], None, None, None]
    assert paths(result)[1] == "video_audio_tags.list.element"


def test_duckdb_sees_the_struct_grow() -> None:
    content = by_duckdb()
    assert not read("m.parquet", rewritten("m.parquet", content, TAGS, META), META)[0].missing
