"""Parquet: row group by row group. The tags are a new last column (or child of the ``meta``
struct) of type list<string>; null is no tag.

What stays: schema, key-value metadata, row order, row groups, and each column's compression,
dictionary and statistics. What is the writer's own: pages, and the name of who created the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise, repeat
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample
from tasks.manifests.record import path_of, videos_of

TAGS = pa.list_(pa.string())
_BATCH_ROWS = 16_384
_CODECS = {name: name for name in ("SNAPPY", "GZIP", "BROTLI", "ZSTD", "LZ4")}


class Parquet:
    """``.parquet``. ``source`` must be seekable."""

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        with _opened(source) as file:
            schema = file.schema_arrow
            _check(schema, fields)
            columns = [fields.videos]
            if _has_tags(schema, fields):
                columns.append(f"{fields.meta}.{fields.tags}" if fields.meta else fields.tags)
            row = 1
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                yield from _samples(batch, row, fields)
                row += batch.num_rows

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        with _opened(source) as file:
            old = file.schema_arrow
            _check(old, fields)
            schema = _with_tags(old, fields)
            with pq.ParquetWriter(target, schema, **_settings(file, fields)) as writer:
                row = 1
                for number in range(file.num_row_groups):
                    table = file.read_row_group(number)
                    changes = _ask(table, row, fields, tag)
                    table = _tagged(table, schema, fields, changes)
                    writer.write_table(table, row_group_size=max(1, table.num_rows))
                    row += table.num_rows


def _ask(table: Any, row: int, fields: Fields, tag: TagSample) -> dict[int, list[str]]:
    """The new tags by their place in the row group."""
    changes, number = {}, row
    for batch in table.to_batches(_BATCH_ROWS):
        for sample in _samples(batch, number, fields):
            tags = tag(sample)
            if tags is not None and sample.fault is None:
                changes[sample.line - row] = tags
        number += batch.num_rows
    return changes


@contextmanager
def _opened(source: BinaryIO) -> Iterator[Any]:
    try:
        with pq.ParquetFile(source) as file:
            yield file
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        reason = " ".join(str(error).split())
        raise ManifestError("", f"is not Parquet that can be rewritten ({reason})") from error


def _check(schema: Any, fields: Fields) -> None:
    """Refuse a table in which no row could be tagged: the types hold for all of them."""
    index = schema.get_field_index(fields.videos)
    if index < 0:
        raise ManifestError("", f"has no column {fields.videos!r}")
    kind = schema.field(index).type
    item = kind.value_type if _is_list(kind) or pa.types.is_dictionary(kind) else kind
    if not (_is_text(item) or pa.types.is_null(item)):
        raise ManifestError("", f"its column {fields.videos!r} is {kind}, not paths")
    holder = schema
    if fields.meta is not None:
        place = schema.get_field_index(fields.meta)
        holder = schema.field(place).type if place >= 0 else pa.struct([])
        if not pa.types.is_struct(holder):
            raise ManifestError("", f"its column {fields.meta!r} is {holder}, not a struct")
    place = holder.get_field_index(fields.tags)
    if place >= 0:
        kind = holder.field(place).type
        item = kind.value_type if _is_list(kind) else kind
        if not (pa.types.is_null(item) or (_is_list(kind) and _is_text(item))):
            raise ManifestError("", f"its column {fields.tags!r} is {kind}, not lists of text")


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _has_tags(schema: Any, fields: Fields) -> bool:
    if fields.meta is None:
        return fields.tags in schema.names
    place = schema.get_field_index(fields.meta)
    return place >= 0 and bool(schema.field(place).type.get_field_index(fields.tags) >= 0)


def _samples(batch: Any, row: int, fields: Fields) -> Iterator[Sample]:
    values = _lists(batch.column(fields.videos))
    for number, (value, tagged) in enumerate(
        zip(values, _is_tagged(batch, fields), strict=False), row
    ):
        videos, fault = videos_of(value)
        yield Sample(number, videos, tagged, fault)


def _lists(column: Any) -> Any:
    """As ``to_pylist``, which makes an object of every list on the way and takes three times as
    long."""
    if not _is_list(column.type) or column.null_count:
        return column.to_pylist()
    paths = column.flatten().to_pylist()
    ends = accumulate(pc.list_value_length(column).to_pylist(), initial=0)
    return (paths[start:end] for start, end in pairwise(ends))


def _is_tagged(batch: Any, fields: Fields) -> Any:
    if not _has_tags(batch.schema, fields):
        return repeat(False)
    if fields.meta is None:
        return batch.column(fields.tags).is_valid().to_pylist()
    meta = batch.column(fields.meta)
    # A child counts only where its parent is there: flatten() puts the parent's nulls into it.
    child = meta.flatten()[meta.type.get_field_index(fields.tags)]
    return child.is_valid().to_pylist()


def _tags_type(old: Any) -> Any:
    return TAGS if old is None or not _is_list(old) or pa.types.is_null(old.value_type) else old


def _field_with(old: Any, name: str) -> Any:
    """The field as it is, or made to hold tags where pandas found nothing but None."""
    return pa.field(name, TAGS) if old is None else old.with_type(_tags_type(old.type))


def _with_tags(schema: Any, fields: Fields) -> Any:
    key = fields.tags if fields.meta is None else fields.meta
    place = schema.get_field_index(key)
    old = schema.field(place) if place >= 0 else None
    if fields.meta is None:
        new = _field_with(old, key)
    else:
        children = list(old.type) if old is not None else []
        inner = old.type.get_field_index(fields.tags) if old is not None else -1
        if inner >= 0:
            children[inner] = _field_with(children[inner], fields.tags)
        else:
            children.append(pa.field(fields.tags, TAGS))
        kind = pa.struct(children)
        new = old.with_type(kind) if old is not None else pa.field(key, kind)
    return schema.append(new) if place < 0 else schema.set(place, new)


def _tagged(table: Any, schema: Any, fields: Fields, changes: dict[int, list[str]]) -> Any:
    key = fields.tags if fields.meta is None else fields.meta
    field, place = schema.field(key), table.schema.get_field_index(key)
    if place < 0:
        old = pa.nulls(table.num_rows, field.type)
    else:
        old = pa.concat_arrays(table.column(place).chunks or [pa.nulls(0, field.type)])
    if fields.meta is None:
        new = _replaced(old, field.type, changes)
    else:
        new = _in_struct(old, field.type, changes, fields.tags)
    columns = table.columns
    if place < 0:
        columns.append(new)
    else:
        columns[place] = new
    return pa.Table.from_arrays(columns, schema=schema)


def _replaced(old: Any, kind: Any, changes: dict[int, list[str]]) -> Any:
    kept = old if old.type == kind else old.cast(kind)
    if not changes:
        return kept
    sources = np.arange(len(kept))
    sources[list(changes)] = len(kept) + np.arange(len(changes))
    return pa.concat_arrays([kept, pa.array(changes.values(), kind)]).take(pa.array(sources))


def _in_struct(old: Any, kind: Any, changes: dict[int, list[str]], name: str) -> Any:
    flat = dict(zip((child.name for child in old.type), old.flatten(), strict=True))
    children = []
    for child in kind:
        column = flat.get(child.name)
        if column is None:
            column = pa.nulls(len(old), child.type)
        children.append(_replaced(column, child.type, changes) if child.name == name else column)
    missing = old.is_null().to_numpy(zero_copy_only=False).copy()
    missing[list(changes)] = False
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=pa.array(missing))


def _settings(file: Any, fields: Fields) -> dict[str, Any]:
    """The options of the writer that made this file, as far as the file tells them."""
    metadata = file.metadata
    version = metadata.format_version
    settings: dict[str, Any] = {
        "version": version if version in ("1.0", "2.4", "2.6") else "2.6",
        "store_schema": b"ARROW:schema" in (metadata.metadata or {}),
    }
    if not metadata.num_row_groups or not metadata.num_columns:
        return settings
    group = metadata.row_group(0)
    columns = {chunk.path_in_schema: chunk for chunk in map(group.column, range(group.num_columns))}
    first = next(iter(columns.values()))
    columns.setdefault(".".join([*path_of(fields), "list", "element"]), first)
    codecs = {path: _CODECS.get(chunk.compression, "NONE") for path, chunk in columns.items()}
    return settings | {
        "compression": codecs,
        "use_dictionary": [path for path, chunk in columns.items() if chunk.has_dictionary_page],
        "write_statistics": [path for path, chunk in columns.items() if chunk.is_stats_set],
        # Before Arrow 15 the items of a list were called so.
        "use_compliant_nested_type": not any(path.endswith(".list.item") for path in columns),
        "use_deprecated_int96_timestamps": any(
            chunk.physical_type == "INT96" for chunk in columns.values()
        ),
        "sorting_columns": group.sorting_columns or None,
    }
