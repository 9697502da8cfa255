"""What cannot gain tags is refused when it is planned, and says why."""

import base64
import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from tasks.errors import ManifestError
from tasks.manifests import Fields, format_of, parquet_footer
from tasks.manifests import parquet_ids as ids
from tasks.manifests.thrift_compact import BINARY, Field, Struct, structs
from tests.manifests.parquet_files import edited, encrypted, packed, table, without_groups
from tests.manifests.strategies import read, rewritten, tags_of

SMALL = pa.table({"videos": [["a"], ["b"]], "n": [1, 2]})


def in_schema(edit: Callable[[list[Struct]], list[Struct]]) -> bytes:
    """The small file with another schema."""
    return edited(
        packed(SMALL, store_schema=False),
        lambda tree: tree.changed({ids.SCHEMA: structs(edit(tree.structs(ids.SCHEMA)))}),
    )


def in_chunks(edit: Callable[[Struct], Struct]) -> bytes:
    """The small file with other column chunks."""

    def edit_tree(tree: Struct) -> Struct:
        (group,) = tree.structs(ids.GROUPS)
        chunks = structs(edit(chunk) for chunk in group.structs(ids.COLUMNS))
        return tree.changed({ids.GROUPS: structs([group.changed({ids.COLUMNS: chunks})])})

    return edited(packed(SMALL), edit_tree)


def in_meta(number: int, value: int) -> bytes:
    """The small file with another value in the metadata of its column chunks."""
    return in_chunks(
        lambda chunk: chunk.changed({ids.META: chunk.struct(ids.META).changed({number: value})})
    )


def renamed(name: bytes) -> bytes:
    return in_schema(lambda elements: [*elements[:-1], elements[-1].changed({ids.NAME: name})])


def with_arrow_schema(schema: pa.Schema | None) -> bytes:
    """The small file with another Arrow schema, or with bytes that are none."""
    value = base64.b64encode(schema.serialize().to_pybytes() if schema else b"no schema")
    pair = Struct({1: Field(BINARY, b"ARROW:schema"), 2: Field(BINARY, value)})
    return edited(packed(SMALL), lambda tree: tree.changed({ids.KEY_VALUES: structs([pair])}))


def nested(levels: int) -> bytes:
    """A column in so many groups."""
    group = Struct({3: Field(5, 1), 4: Field(BINARY, b"g"), 5: Field(5, 1)})
    return in_schema(lambda elements: [*elements[:-1], *[group] * levels, elements[-1]])


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "an encrypted footer": (
        lambda: encrypted(SMALL, plain_footer=False, columns=["n"]), "its footer is encrypted"),
    "an encrypted column under a plain footer": (
        lambda: encrypted(SMALL, plain_footer=True, columns=["n"]), "has encrypted columns"),
    "a name that is not UTF-8": (lambda: renamed(b"n\xff"), "not UTF-8"),
    "columns nested deeply": (lambda: nested(5000), "nested"),
    "two columns of the name": (lambda: renamed(b"videos"), "has 2 columns 'videos'"),
    "more columns than it says": (lambda: in_schema(lambda e: [*e, e[-1]]), "more columns"),
    "fewer columns than it says": (lambda: in_schema(lambda e: e[:-1]), "fewer columns"),
    "no column": (lambda: packed(pa.table({"clips": ["a"]})), "has no column 'videos'"),
    "columns in other files": (
        lambda: in_chunks(lambda c: Struct({1: Field(BINARY, b"part-0"), **c})), "other files"),
    "pages behind the end": (lambda: in_meta(ids.DATA_PAGE, 10**9), "outside of"),
    "a size below zero": (lambda: in_meta(ids.COMPRESSED, -1), "outside of the data"),
    "a size beyond 64 bits": (lambda: in_meta(ids.COMPRESSED, 2**63 - 1), "outside of the"),
    "rows that do not add up": (
        lambda: edited(packed(SMALL), lambda tree: tree.changed({ids.ROWS: 3})), "3 rows, 2 in"),
    "other rows than the footer says": (
        lambda: edited(packed(SMALL), with_rows(3)), "2 rows, not 3|number|rows"),
    "an Arrow schema of other columns": (
        lambda: with_arrow_schema(pa.schema({"videos": pa.string()})), "ARROW:schema"),
    "an Arrow schema that cannot be read": (
        lambda: with_arrow_schema(None), "metadata bytes"),
    "a number of another type": (
        lambda: in_schema(lambda e: [*e[:-1], Struct({**e[-1], 3: Field(4, 1)})]), "has type 4"),
    "a number of more than 32 bits": (
        lambda: in_schema(lambda e: [e[0].changed({5: 2**32 + 2}), *e[1:]]), "32 bits"),
}  # fmt: skip


def with_rows(rows: int) -> Callable[[Struct], Struct]:
    def edit(tree: Struct) -> Struct:
        (group,) = tree.structs(ids.GROUPS)
        groups = structs([group.changed({ids.GROUP_ROWS: rows})])
        return tree.changed({ids.ROWS: rows, ids.GROUPS: groups})

    return edit


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_a_reason(name: str) -> None:
    make, reason = REFUSED[name]
    with pytest.raises(ManifestError, match=reason):
        read("m.parquet", make())


def test_tags_alone_in_the_first_column_are_refused() -> None:
    # Spark would look for the row group behind the end of the file.
    rows = pa.table({"meta": [{"video_audio_tags": ["x"]}], "videos": ["a"]})
    with pytest.raises(ManifestError, match="first column, 'meta', holds nothing but tags"):
        read("m.parquet", packed(rows), Fields(meta="meta"))


def test_a_large_footer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_footer, "MAX_FOOTER_BYTES", 100)
    with pytest.raises(ManifestError, match="its footer is larger than"):
        read("m.parquet", packed(SMALL))


@pytest.mark.parametrize("meta", [pa.array([[1], [2]]), pa.array([1, 2]), pa.array(["a", None]),
                                  pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
                                  pa.array([[{"a": 1}], []])])  # fmt: skip
def test_a_meta_field_that_is_no_struct_is_refused(meta: Any) -> None:
    content = packed(SMALL.append_column("meta", meta))
    with pytest.raises(ManifestError, match="not a struct"):
        read("m.parquet", content, Fields(meta="meta"))


def test_a_row_whose_struct_is_null_is_a_fault_of_that_row() -> None:
    rows = SMALL.append_column("meta", pa.array([{"a": 1}, None]))
    fields = Fields(meta="meta")
    first, second = read("m.parquet", packed(rows), fields)
    assert (first.fault, second.videos) == (None, [])
    assert "null" in str(second.fault)
    result = rewritten("m.parquet", packed(rows), {1: ["T"], 2: ["T"]}, fields)
    found = pa.parquet.read_table(io.BytesIO(result))["meta"].to_pylist()
    assert found == [{"a": 1, "video_audio_tags": ["T"]}, None]


@pytest.mark.parametrize("rows", [SMALL, SMALL.append_column(
    "meta", pa.array([None, {"video_audio_tags": None}],
                     pa.struct({"video_audio_tags": pa.list_(pa.string())})))])  # fmt: skip
def test_a_struct_of_nothing_but_tags_gains_them_night_by_night(rows: pa.Table) -> None:
    fields = Fields(meta="meta")
    content = rewritten("m.parquet", packed(rows), {2: ["B"]}, fields)
    assert [not sample.missing for sample in read("m.parquet", content, fields)] == [False, True]
    content = rewritten("m.parquet", content, {1: ["A"]}, fields)
    found = pa.parquet.read_table(io.BytesIO(content))["meta"].to_pylist()
    assert found == [{"video_audio_tags": ["A"]}, {"video_audio_tags": ["B"]}]


def test_a_path_that_is_not_utf_8_is_a_fault_of_its_row() -> None:
    paths = pa.array([[b"a.mp4"], [b"b\xff.mp4"], [b"c.mp4"]]).view(pa.list_(pa.string()))
    content = packed(pa.table({"videos": paths}))
    found = read("m.parquet", content)
    assert [sample.fault for sample in found] == [None, "a video path is not UTF-8", None]
    assert [sample.videos for sample in found] == [["a.mp4"], [], ["c.mp4"]]
    result = rewritten("m.parquet", content, {1: ["T"], 3: ["U"]})
    tags = pa.parquet.read_table(io.BytesIO(result), columns=["video_audio_tags"])
    assert tags["video_audio_tags"].to_pylist() == [["T"], None, ["U"]]


def test_what_the_source_raises_is_not_the_fault_of_the_file() -> None:
    class Broken(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads -= 1
            if not self.reads:
                raise TimeoutError("no answer")
            return super().read(size)

    source = Broken(packed(table()))
    parquet = format_of("m.parquet")
    parquet.rewrite(source, io.BytesIO(), Fields(), tags_of(["T"]))
    for reads in range(1, 1 - source.reads):
        source = Broken(packed(table()))
        source.reads = reads
        with pytest.raises(TimeoutError, match="no answer"):
            parquet.rewrite(source, io.BytesIO(), Fields(), tags_of(["T"]))


def test_no_row_groups_is_no_fault() -> None:
    assert read("m.parquet", without_groups(SMALL.schema)) == []
