"""Parquet keeps its schema, metadata, row groups and every other value."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample
from tests.manifests.strategies import LABELS, PATHS, TEXT, UNTAGGED, read, rewritten

TAGS = pa.list_(pa.string())


def packed(table: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def opened(content: bytes) -> Any:
    return pq.ParquetFile(io.BytesIO(content))


COLUMNS = {
    "n": (st.none() | st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "x": (st.none() | st.floats(allow_nan=False), pa.float64()),
    "s": (st.none() | TEXT, pa.large_string()),
    "b": (st.none() | st.binary(max_size=4), pa.binary()),
    "d": (st.none() | st.decimals(-999, 999, places=2), pa.decimal128(10, 2)),
    "t": (st.none() | st.datetimes(), pa.timestamp("us")),
    "l": (st.none() | st.lists(st.none() | st.integers(0, 9), max_size=2), pa.list_(pa.int8())),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[Any, Fields]:
    fields = draw(st.sampled_from([Fields(), Fields(meta="meta")]))
    rows = draw(st.integers(0, 7))

    def column(values: st.SearchStrategy[Any], kind: Any) -> Any:
        return pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind)

    single = draw(st.booleans())
    videos = (PATHS, pa.string()) if single else (st.lists(PATHS, max_size=2), TAGS)
    columns = {"videos": column(st.none() | videos[0], videos[1])}
    for name in draw(st.lists(st.sampled_from(sorted(COLUMNS)), unique=True)):
        columns[name] = column(*COLUMNS[name])
    if draw(st.booleans()):
        kind = TAGS if fields.meta is None else pa.struct({"n": pa.int64()})
        values: Any = LABELS if fields.meta is None else st.fixed_dictionaries({"n": st.just(1)})
        columns[fields.meta or fields.tags] = column(st.none() | values, kind)
    table = pa.table(columns)
    return table.replace_schema_metadata({"owner": draw(TEXT)}), fields


@given(tables(), st.data())
@settings(max_examples=min(60, settings().max_examples))
@pytest.mark.long
def test_everything_but_the_field_is_equal(drawn: tuple[Any, Fields], data: st.DataObject) -> None:
    table, fields = drawn
    group_rows = data.draw(st.integers(1, 4))
    codec = data.draw(st.sampled_from(["snappy", "zstd", "none", "gzip"]))
    content = packed(table, row_group_size=group_rows, compression=codec)
    found = read("m.parquet", content, fields)
    tags = {sample.line: data.draw(LABELS) for sample in found if data.draw(st.booleans())}
    result = rewritten("m.parquet", content, tags, fields)
    old, new = opened(content), opened(result)
    key = fields.meta or fields.tags
    others = [name for name in table.column_names if name != key]
    assert new.read().select(others).equals(old.read().select(others), check_metadata=True)
    assert new.schema_arrow.metadata == old.schema_arrow.metadata
    assert layout(new) == layout(old)
    faults = {sample.line for sample in found if sample.fault}
    if not tags.keys() - faults:
        assert result == content
        return
    values = new.read().column(key).to_pylist()
    before = (
        old.read().column(key).to_pylist() if key in table.column_names else [None] * len(table)
    )
    for row, (value, earlier) in enumerate(zip(values, before, strict=True), 1):
        if fields.meta is None:
            assert value == tags.get(row, earlier)
        elif row in tags and row not in faults:
            assert value[fields.tags] == tags[row]
            assert value.get("n") == (earlier or {}).get("n")
        elif "meta" in table.column_names:
            assert value == (earlier and earlier | {fields.tags: None})
        else:
            assert value == {fields.tags: None}


def layout(file: Any) -> list[Any]:
    """Rows and codec of each row group."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    return [(group.num_rows, {group.column(0).compression}) for group in groups]


def test_each_column_keeps_its_codec_and_dictionary() -> None:
    table = pa.table({"videos": ["a", "b"], "n": [1, 2]})
    content = packed(table, compression={"videos": "zstd", "n": "none"}, use_dictionary=["videos"])
    group = opened(rewritten("m.parquet", content, {1: ["T"]})).metadata.row_group(0)
    columns = [group.column(number) for number in range(3)]
    assert [column.path_in_schema for column in columns] == [
        "videos", "n", "video_audio_tags.list.element"]  # fmt: skip
    assert [column.compression for column in columns] == ["ZSTD", "UNCOMPRESSED", "ZSTD"]
    assert [column.has_dictionary_page for column in columns] == [True, False, True]


@pytest.mark.parametrize(
    "videos",
    [
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array(["a", "b"], pa.large_string()),
        pa.array([["a"], ["b"]], pa.large_list(pa.string())),
    ],
)
def test_text_of_every_kind_is_a_path(videos: Any) -> None:
    content = packed(pa.table({"videos": videos}))
    assert [sample.videos for sample in read("m.parquet", content)] == [["a"], ["b"]]
    assert opened(rewritten("m.parquet", content, {})).read().column(0).type == videos.type


def test_a_column_of_nothing_but_none_becomes_one_of_tags() -> None:
    content = packed(pa.table({"video_audio_tags": pa.nulls(2), "videos": ["a", "b"]}))
    result = rewritten("m.parquet", content, {2: ["T"]})
    assert opened(result).read().column("video_audio_tags").to_pylist() == [None, ["T"]]
    # Spark would lose rows of a file whose first column is its last bytes.
    assert opened(result).schema_arrow.names == ["videos", "video_audio_tags"]
    assert read("m.parquet", result) == [Sample(1, ["a"], UNTAGGED), Sample(2, ["b"], ())]


def test_an_odd_list_is_a_fault_of_its_row_alone() -> None:
    content = packed(pa.table({"videos": [["a", None], ["b"]]}))
    odd, sound = read("m.parquet", content)
    assert odd.fault is not None
    assert sound == Sample(2, ["b"], UNTAGGED)
    result = rewritten("m.parquet", content, {1: ["T"], 2: ["T"]})
    assert opened(result).read().column("video_audio_tags").to_pylist() == [None, ["T"]]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"clips": ["a"]}, "has no column 'videos'"),
        ({"videos": [1]}, "is int64, not paths"),
        ({"videos": ["a"], "video_audio_tags": [1]}, "is int64, not lists of text"),
    ],
)
def test_columns_of_other_types_are_refused(table: dict[str, Any], reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        read("m.parquet", packed(pa.table(table)))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_what_is_broken_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestError, match="is not Parquet"):
        read("m.parquet", content)
