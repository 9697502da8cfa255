"""Parquet: the tags are a new last column, or a new last field of the ``meta`` struct, of type
list<string>; null is no tag.

No other column is decoded, encoded or moved: its bytes stay where they are in the file, with its
page index and its bloom filter. Behind them come the pages of the tags, which pyarrow writes, and
a new footer. pyarrow reads the videos and the old tags through a footer that has only these.

    before  PAR1 | pages, indexes and bloom filters of all columns | footer
    after   PAR1 | the same                          | pages of the tags | new footer
                                               keep -^

Tags that are there already are superseded: the new footer no longer points to their pages, which
are left out where they are the last in the file (since they were written here).
"""

import io
from collections.abc import Iterator
from itertools import accumulate, pairwise, repeat
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample, Value
from tasks.manifests.parquet_check import Digest, digest, verify
from tasks.manifests.parquet_column import TagColumn
from tasks.manifests.parquet_file import refusing
from tasks.manifests.record import videos_of

_COPY_BYTES = 1 << 20
_NOT_TEXT = object()


class Parquet:
    """``.parquet``. ``source`` must be seekable."""

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        with refusing():
            column = TagColumn(source, fields)
            row = 1
            for group in range(len(column.footer.groups)):
                for batch in column.reader.batches(group):
                    yield from _samples(batch, row, column)
                    row += batch.num_rows

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        end = io.BytesIO()
        keep = self.extend(source, end, fields, tag)
        source.seek(0)
        _copy(source, target, keep)
        target.write(end.getbuffer())

    def extend(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> int:
        """As :meth:`rewrite`, but write to ``target`` only what follows the bytes of ``source``
        that stay, and return how many these are."""
        with refusing():
            column = TagColumn(source, fields)
            tagger = _Tagger(column, tag)
            written = column.written(tagger.groups())
            if not tagger.changed:
                return source.seek(0, io.SEEK_END)
            end = column.end(written)
            verify(source, end, column, tagger.digests)
            target.write(end)
            return column.keep


class _Tagger:
    """Makes the values of the new column.

    Attributes:
        changed: whether a row has gained tags.
        digests: of the values of each row group.
    """

    def __init__(self, column: TagColumn, tag: TagSample) -> None:
        self._column, self._tag = column, tag
        self.changed = False
        self.digests: list[Digest] = []

    def groups(self) -> Iterator[pa.ChunkedArray]:
        """Yield the values of one row group after the other."""
        row = 1
        for group in range(len(self._column.footer.groups)):
            arrays = []
            for batch in self._column.reader.batches(group):
                arrays.append(self._new_values(batch, row))
                row += batch.num_rows
            values = pa.chunked_array(arrays, self._column.field.type)
            self.digests.append(digest(values))
            yield values

    def _new_values(self, batch: pa.RecordBatch, row: int) -> pa.Array:
        column = self._column
        changes: dict[int, Value] = {}
        for sample in _samples(batch, row, column):
            values = self._tag(sample)
            if values is not None and sample.fault is None:
                changes[sample.line - row] = values[column.fields.tags]
        self.changed |= bool(changes)
        values = _replaced(_old_tags(batch, column), column.type, changes)
        if column.fields.meta is None:
            return values
        # A new struct is never null: with nothing but a null in it, the row can gain tags later.
        is_null = np.zeros(batch.num_rows, bool)
        if column.in_struct:
            is_null |= batch.column(1).is_null().to_numpy(zero_copy_only=False)
            is_null[list(changes)] = False  # of a struct that holds more, no such row has changed
        fields = list(column.field.type)
        return pa.StructArray.from_arrays([values], fields=fields, mask=pa.array(is_null))


def _samples(batch: pa.RecordBatch, row: int, column: TagColumn) -> Iterator[Sample]:
    tagged = _old_tags(batch, column).is_valid().to_pylist()
    null_structs = batch.column(1).is_null().to_pylist() if column.shares_struct else repeat(False)
    rows = zip(_lists(batch.column(0)), tagged, null_structs, strict=False)
    for number, (value, is_tagged, is_null) in enumerate(rows, row):
        videos, fault = videos_of(value)
        if value is _NOT_TEXT:
            fault = "a video path is not UTF-8"
        if is_null and fault is None:
            videos, fault = [], f"its {column.fields.meta!r} is null, so no tags can be added to it"
        yield Sample(number, videos, () if is_tagged else column.fields.written, fault)


def _old_tags(batch: pa.RecordBatch, column: TagColumn) -> pa.Array:
    if not column.exists:
        return pa.nulls(batch.num_rows, column.type)
    if column.fields.meta is None:
        return batch.column(1)
    # A field counts only where its struct is there: flatten() puts the nulls of the struct into it.
    return batch.column(1).flatten()[0]


def _lists(values: pa.Array) -> Any:
    """As ``to_pylist``, which makes an object of every list on the way and takes three times as
    long."""
    try:
        if not pa.types.is_list(values.type) or values.null_count:
            return values.to_pylist()
        paths = values.flatten().to_pylist()
    except UnicodeDecodeError:
        return [_decoded(value) for value in values]
    ends = accumulate(pc.list_value_length(values).to_pylist(), initial=0)
    return (paths[start:end] for start, end in pairwise(ends))


def _decoded(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return _NOT_TEXT


def _replaced(old: pa.Array, kind: pa.DataType, changes: dict[int, Value]) -> pa.Array:
    kept = old if old.type == kind else old.cast(kind)
    if not changes:
        return kept
    sources = np.arange(len(kept))
    sources[list(changes)] = len(kept) + np.arange(len(changes))
    return pa.concat_arrays([kept, pa.array(changes.values(), kind)]).take(pa.array(sources))


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size:
        part = source.read(min(size, _COPY_BYTES))
        if not part:
            raise ManifestError("", "has become shorter while it was read")
        target.write(part)
        size -= len(part)
