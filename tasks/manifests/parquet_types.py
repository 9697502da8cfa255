"""The types of the written columns, and which types of a file can be read as these."""

from collections.abc import Mapping
from typing import NamedTuple, get_type_hints

import pyarrow as pa

from tasks.manifests import Fields
from tasks.manifests.parquet_schema import UnsupportedError
from tasks.tags import Score, Span


class ColumnType(NamedTuple):
    """A type of column.

    Attributes:
        type: the type of its values.
        words: its name in error messages.
    """

    type: pa.DataType
    words: str


def _list(item: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", item))


def _struct(record: type[Score | Span]) -> pa.DataType:
    types = {str: pa.string(), float: pa.float64()}
    return pa.struct([(name, types[hint]) for name, hint in get_type_hints(record).items()])


TAGS = ColumnType(_list(pa.string()), "lists of text")
SCORES = ColumnType(_list(_list(_struct(Score))), "lists of scores")
TIMELINE = ColumnType(_list(_list(_struct(Span))), "timelines")
PROVENANCE = ColumnType(pa.string(), "text")


def column_types(fields: Fields) -> dict[str, ColumnType]:
    """Return the type of each written column, by name."""
    named = {
        fields.tags: TAGS,
        fields.scores: SCORES,
        fields.timeline: TIMELINE,
        fields.provenance: PROVENANCE,
    }
    return {name: column_type for name, column_type in named.items() if name is not None}


def check_types(videos: pa.Field, columns: Mapping[str, pa.Field], fields: Fields) -> None:
    """Refuse a table in which no row could be tagged, since the types hold for all rows.

    Args:
        videos: the videos column.
        columns: the written columns that the file has.
        fields: their names.
    """
    item = videos.type.value_type if is_list(videos.type) else videos.type
    if not (is_text(item) or pa.types.is_null(item)):
        raise UnsupportedError(f"its column {fields.videos!r} is {videos.type}, not paths")
    for name, (wanted, words) in column_types(fields).items():
        if name in columns and not fits(columns[name].type, wanted, or_null=True):
            raise UnsupportedError(f"its column {name!r} is {columns[name].type}, not {words}")


def fits(found: pa.DataType, wanted: pa.DataType, *, or_null: bool = False) -> bool:
    """Tell whether values of type ``found`` can be read as ``wanted``: with the same levels, and
    offsets and numbers of any width. With ``or_null``, a level may also have the null type."""
    if or_null and pa.types.is_null(found):
        return True
    if is_list(wanted):
        return is_list(found) and fits(found.value_type, wanted.value_type, or_null=or_null)
    if pa.types.is_struct(wanted):
        if not pa.types.is_struct(found) or found.num_fields != wanted.num_fields:
            return False
        pairs = zip(found, wanted, strict=True)
        return all(f.name == w.name and fits(f.type, w.type, or_null=or_null) for f, w in pairs)
    return is_text(found) if is_text(wanted) else bool(pa.types.is_floating(found))


def as_in_file(wanted: pa.Field, found: pa.Field) -> pa.Field:
    """Return the wanted field; the levels that are required in the file stay required."""
    arrow_type = wanted.type
    if is_list(arrow_type):
        arrow_type = pa.list_(as_in_file(arrow_type.value_field, found.type.value_field))
    elif pa.types.is_struct(arrow_type):
        arrow_type = pa.struct(
            [as_in_file(w, f) for w, f in zip(arrow_type, found.type, strict=True)]
        )
    return pa.field(wanted.name, arrow_type, found.nullable)


def is_list(arrow_type: pa.DataType) -> bool:
    """Tell whether values of this type are lists, with offsets of either width."""
    return bool(pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type))


def is_text(arrow_type: pa.DataType) -> bool:
    """Tell whether values of this type are strings, of any width or encoding."""
    types = pa.types
    if types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    return bool(
        types.is_string(arrow_type)
        or types.is_large_string(arrow_type)
        or types.is_string_view(arrow_type)
    )
