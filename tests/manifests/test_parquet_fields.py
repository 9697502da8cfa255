"""Parquet with scores, timelines and provenance: as every judge reads them, beside old columns."""

import io
import json
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import ManifestError
from tasks.manifests import Fields
from tasks.manifests.parquet_footer import Footer
from tests.manifests.format_under_test import SCORES, SPANS
from tests.manifests.parquet_files import (
    FILES,
    SPARK,
    arrow_schema,
    by_pandas,
    by_spark,
    metadata,
    packed,
    table,
)
from tests.manifests.strategies import read, written
from tests.manifests.test_parquet_judges import queried

FIELDS = {
    "top": Fields("videos", "tags", None, "scores", "timeline", "made.by"),
    "in a struct": Fields("videos", "tags", "meta", "scores", "timeline", "made.by"),
    "in a new struct": Fields("videos", "tags", "new", "scores", "timeline", "made.by"),
}
ALL: dict[int, dict[str, Any]] = {
    1: {"tags": ["A"], "scores": [SCORES], "timeline": [SPANS], "made.by": "this"},
    2: {"tags": ["B", "C"], "scores": [[], SCORES], "timeline": [[], []], "made.by": "this"},
    3: {"tags": [], "scores": [], "timeline": [], "made.by": "that"},
}
TYPES = {
    "tags": "VARCHAR[]",
    "scores": "STRUCT(label VARCHAR, score DOUBLE, peak DOUBLE)[][]",
    "timeline": "STRUCT(start DOUBLE, end DOUBLE, label VARCHAR, score DOUBLE)[][]",
    "made.by": "VARCHAR",
}


@pytest.mark.long
@pytest.mark.parametrize("where", FIELDS)
@pytest.mark.parametrize("name", FILES)
def test_every_judge_reads_all_fields(name: str, where: str) -> None:
    content, fields = FILES[name](), FIELDS[where]
    if fields.meta == "meta" and b"meta" not in content[Footer.read(io.BytesIO(content)).start :]:
        content = packed(table())
    rows = metadata(content).num_rows
    result = written("m.parquet", content, ALL if rows else {}, fields)
    if not rows:
        assert result == content
        return
    expected = [ALL.get(row, dict.fromkeys(fields.written)) for row in range(1, rows + 1)]
    meta = "" if fields.meta is None else f"{fields.meta}."
    columns = ", ".join(f'{meta}"{name}"' for name in fields.written)
    types, found = queried(result, f"SELECT {columns} FROM FILE")
    assert {name: str(kind).replace('"', "") for name, kind in types} == TYPES
    assert [dict(zip(fields.written, row, strict=True)) for row in found] == expected
    holder = pq.read_table(io.BytesIO(result))
    if fields.meta is not None:
        holder = pa.Table.from_pylist(holder[fields.meta].to_pylist())
    assert holder.select(list(fields.written)).to_pylist() == expected
    if "duckdb" not in name:  # types that Polars does not read
        old = [column.name for column in pq.ParquetFile(io.BytesIO(result)).schema_arrow]
        old = [fields.meta] if fields.meta else [key for key in old if key in fields.written]
        frame = pl.read_parquet(io.BytesIO(result), columns=old)
        frame = frame[fields.meta].struct.unnest() if fields.meta else frame
        assert frame.select(fields.written).to_dicts() == expected
    assert result.startswith(content[: Footer.read(io.BytesIO(content)).start])
    assert [s.missing for s in read("m.parquet", result, fields)] == [
        () if row in ALL else fields.written for row in range(1, rows + 1)
    ]


@pytest.mark.parametrize("where", FIELDS)
def test_other_columns_stay(where: str) -> None:
    content, fields = packed(table(), row_group_size=2), FIELDS[where]
    result = written("m.parquet", content, ALL, fields)
    old, new = (pq.read_table(io.BytesIO(data)) for data in (content, result))
    others = [name for name in old.column_names if name != fields.meta]
    assert new.select(others).equals(old.select(others))
    # A schema that disagrees is ignored: what only Arrow knows would be lost.
    assert pa.types.is_dictionary(new.schema.field("word").type)
    assert arrow_schema(result).names == new.schema.names
    before, after = metadata(content), metadata(result)
    for number in range(before.num_row_groups):
        group = after.row_group(number)
        chunks = [group.column(index) for index in range(group.num_columns)]
        assert chunks[: before.num_columns] == [
            before.row_group(number).column(index) for index in range(before.num_columns)
        ]
        sizes = [chunk.total_uncompressed_size for chunk in chunks]
        assert group.total_byte_size == sum(sizes)


@pytest.mark.parametrize("where", FIELDS)
def test_a_column_in_which_nothing_changes_stays_where_it_is(where: str) -> None:
    fields = FIELDS[where]
    first = written("m.parquet", packed(table()), {1: {"tags": ["A"], "made.by": "old"}}, fields)
    values = {"scores": [SCORES], "timeline": [SPANS]}
    second = written("m.parquet", first, {1: values}, fields)
    assert second.startswith(first[: Footer.read(io.BytesIO(first)).start])
    key = [fields.meta] if fields.meta else [*fields.written]
    (row, *_) = pq.read_table(io.BytesIO(second), columns=key).to_pylist()
    row = row[fields.meta] if fields.meta else row
    assert {name: row[name] for name in fields.written} == {
        "tags": ["A"], "made.by": "old", **values}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("where", FIELDS)
def test_night_after_night_a_file_does_not_grow(where: str) -> None:
    content, fields = FILES["row groups"](), FIELDS[where]
    once = written("m.parquet", content, {1: ALL[1]}, fields)
    for night in range(4):
        again = written("m.parquet", once, {2: ALL[2] | {"made.by": f"night {night}"}}, fields)
        assert len(again) < len(once) + 400
    assert again.startswith(content[: Footer.read(io.BytesIO(content)).start])


def test_a_struct_of_nothing_but_written_fields_gains_them_night_by_night() -> None:
    fields = FIELDS["in a struct"]
    rows = [{"videos": ["a"], "meta": None}, {"videos": ["b"], "meta": {"tags": None}}]
    kind = pa.schema(
        {"videos": pa.list_(pa.string()), "meta": pa.struct({"tags": pa.list_(pa.string())})}
    )
    content = packed(pa.Table.from_pylist(rows, kind))
    content = written("m.parquet", content, {2: ALL[2]}, fields)
    found = pq.read_table(io.BytesIO(content))["meta"].to_pylist()
    assert found == [None, ALL[2]]
    # A row whose struct is null gains one field: in each column the struct is there now.
    content = written("m.parquet", content, {1: {"scores": [SCORES]}}, fields)
    nothing = dict.fromkeys(fields.written)
    for reader in (lambda: pq.read_table(io.BytesIO(content)).to_pylist(),
                   lambda: pl.read_parquet(io.BytesIO(content)).to_dicts()):  # fmt: skip
        assert [row["meta"] for row in reader()] == [nothing | {"scores": [SCORES]}, ALL[2]]
    for name in fields.written:
        _, rows_ = queried(content, f'SELECT meta IS NULL, meta."{name}" FROM FILE')
        assert rows_ == [(False, [SCORES] if name == "scores" else None), (False, ALL[2][name])]


def rewritten_by_others(content: bytes) -> dict[str, bytes]:
    """The same table after other programs have written it: other names of levels, other types."""
    frame, sinks = pl.read_parquet(io.BytesIO(content)), [io.BytesIO(), io.BytesIO(), io.BytesIO()]
    frame.write_parquet(sinks[0])
    whole = pq.read_table(io.BytesIO(content))
    pq.write_table(whole, sinks[1], use_compliant_nested_type=False)
    pd.read_parquet(io.BytesIO(content)).to_parquet(sinks[2])
    return dict(zip(("polars", "old lists", "pandas"), (s.getvalue() for s in sinks), strict=True))


@pytest.mark.parametrize("where", ["top", "in a struct"])
@pytest.mark.parametrize("program", ["polars", "old lists", "pandas"])
def test_what_other_programs_wrote_anew_is_gone_on_with(program: str, where: str) -> None:
    fields = FIELDS[where]
    rows = table().select(["id", "videos", "text", "meta"])
    first = written("m.parquet", packed(rows), {1: ALL[1], 2: ALL[2]}, fields)
    second = rewritten_by_others(first)[program]
    assert [s.missing for s in read("m.parquet", second, fields)] == [(), ()] + [fields.written] * 3
    third = written("m.parquet", second, {2: ALL[1], 3: ALL[3]}, fields)
    key = [fields.meta] if fields.meta else [*fields.written]
    found = pq.read_table(io.BytesIO(third), columns=key).to_pylist()
    if fields.meta:
        found = [{name: row["meta"][name] for name in fields.written} for row in found]
    assert found[:4] == [ALL[1], ALL[1], ALL[3], dict.fromkeys(fields.written)]


def test_float_scores_become_double() -> None:
    score = pa.struct({"label": pa.string(), "score": pa.float32(), "peak": pa.float64()})
    kind = pa.large_list(pa.large_list(score))
    old = pa.array([[[{"label": "x", "score": 0.5, "peak": 1}]], None], kind)
    content = packed(pa.table({"videos": ["a", "b"], "scores": old}))
    result = written("m.parquet", content, {2: {"scores": [SCORES]}}, FIELDS["top"])
    found = pq.read_table(io.BytesIO(result))["scores"]
    assert found.to_pylist() == [[[{"label": "x", "score": 0.5, "peak": 1.0}]], [SCORES]]
    assert pa.types.is_float64(found.type.value_type.value_type.field("score").type)


@pytest.mark.parametrize(
    "empty",
    [
        pa.nulls(2),
        pa.array([None, None], pa.list_(pa.null())),
        pa.array([[], None], pa.list_(pa.list_(pa.null()))),
    ],
)
@pytest.mark.parametrize("name", ["scores", "timeline"])
def test_a_column_of_nothing_becomes_what_it_is_to_be(name: str, empty: pa.Array) -> None:
    content = packed(pa.table({"id": [1, 2], "videos": ["a", "b"], name: empty, "n": [3, 4]}))
    result = written("m.parquet", content, {2: {name: ALL[1][name]}}, FIELDS["top"])
    found = pq.read_table(io.BytesIO(result))
    assert found[name].to_pylist() == [empty[0].as_py(), ALL[1][name]]
    assert found.column_names[:4] == ["id", "videos", name, "n"]
    assert arrow_schema(result).field(name).type == found[name].type


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("scores", [["x"]], "lists of scores"),
        ("scores", [0.5], "lists of scores"),
        ("timeline", [[[{"label": "x", "score": 0.5}]]], "timelines"),
        ("made.by", [7], "text"),
        ("tags", ["text"], "lists of text"),
    ],
)
def test_columns_of_other_types_are_refused(name: str, values: list[Any], words: str) -> None:
    content = packed(pa.table({"videos": ["a"], name: values}))
    with pytest.raises(ManifestError, match=f"its column '{name}' is .*, not {words}"):
        read("m.parquet", content, FIELDS["top"])


def test_written_columns_are_never_the_first() -> None:
    # Spark would lose rows of a file whose first column is its last bytes.
    rows = pa.table({"made.by": ["x", None], "tags": [["T"], None], "videos": ["a", "b"]})
    result = written("m.parquet", packed(rows), {2: ALL[1]}, FIELDS["top"])
    found = pq.read_table(io.BytesIO(result))
    assert found.column_names == ["videos", "scores", "timeline", "made.by", "tags"]
    assert found["tags"].to_pylist() == [["T"], ["A"]]
    assert found["made.by"].to_pylist() == ["x", "this"]


def test_spark_is_told_of_all() -> None:
    def fields_of(result: bytes) -> dict[str, Any]:
        fields = json.loads(metadata(result).metadata[SPARK])["fields"]
        return {item["name"]: item["type"] for item in fields}

    result = fields_of(written("m.parquet", by_spark(), ALL, FIELDS["top"]))
    assert result["made.by"] == "string"
    scores = result["scores"]["elementType"]["elementType"]["fields"]
    assert {item["name"]: item["type"] for item in scores} == {
        "label": "string", "score": "double", "peak": "double"}  # fmt: skip
    inside = fields_of(written("m.parquet", by_spark(), ALL, FIELDS["in a struct"]))["meta"]
    names = [item["name"] for item in inside["fields"]]
    assert names == ["lang", "n", *FIELDS["top"].written]
    new = fields_of(written("m.parquet", by_spark(), ALL, FIELDS["in a new struct"]))["new"]
    assert [item["name"] for item in new["fields"]] == [*FIELDS["top"].written]


def test_pandas_reads_all() -> None:
    result = written("m.parquet", by_pandas(), ALL, FIELDS["top"])
    frame = pd.read_parquet(io.BytesIO(result))
    pd.testing.assert_frame_equal(
        frame.drop(columns=[*FIELDS["top"].written]), pd.read_parquet(io.BytesIO(by_pandas()))
    )
    assert [list(scores) for scores in frame["scores"].iloc[0]] == [SCORES]
    assert frame["made.by"].tolist()[:3] == ["this", "this", "that"]
