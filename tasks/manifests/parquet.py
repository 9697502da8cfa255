"""Parquet: the written fields become new columns at the end, or new fields at the end of the
``meta`` struct. Tags have the type list<string>; null means no value.

No other column is decoded, encoded or moved: its pages, page index and bloom filter keep their
offsets in the file. After them come the pages of the new columns, which pyarrow writes, and a new
footer. pyarrow reads the videos and the old values through a footer that lists only these columns.

    before  PAR1 | pages, indexes and bloom filters of all columns | footer
    after   PAR1 | the same                          | pages of the new columns | new footer
                                               keep -^

An existing column in which a value changes is superseded: the new footer no longer points to its
pages. They are dropped if they are the last in the file, as they are when this project wrote them.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate, compress, pairwise, repeat
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample, Value
from tasks.manifests.parquet_check import verify
from tasks.manifests.parquet_column_file import ColumnFile
from tasks.manifests.parquet_columns import Columns, NewEnd
from tasks.manifests.parquet_file import refusing
from tasks.manifests.record import videos_of

_COPY_BYTES = 1 << 20
_NOT_TEXT = object()


class Parquet:
    """``.parquet``. ``source`` must be seekable."""

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        with refusing():
            columns = Columns(source, fields)
            row = 1
            for group in range(len(columns.footer.groups)):
                for batch in columns.reader.batches(group):
                    yield from _samples(batch, row, columns)
                    row += batch.num_rows

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        end = _new_end(source, fields, tag)
        source.seek(0)
        left = end.keep
        while left:
            part = source.read(min(left, _COPY_BYTES))
            if not part:
                raise ManifestError("", "has become shorter while it was read")
            target.write(part)
            left -= len(part)
        target.write(end.data)

    def extend(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> int:
        """Write only the part of the new file that follows the unchanged start of ``source``, and
        return the length of that start in bytes."""
        end = _new_end(source, fields, tag)
        target.write(end.data)
        return end.keep


def _new_end(source: BinaryIO, fields: Fields, tag: TagSample) -> NewEnd:
    with refusing():
        columns = Columns(source, fields)
        files = _write_columns(columns, tag)
        if not files:
            return NewEnd(source.seek(0, io.SEEK_END), memoryview(b""), ())
        end = columns.end(files)
        verify(source, columns, end, files)
        return end


def _write_columns(columns: Columns, tag: TagSample) -> list[ColumnFile]:
    """Write each new column to a file of its own; return those in which a value changes."""
    files = [columns.file_of(column) for column in columns.columns]
    row = 1
    for group in range(len(columns.footer.groups)):
        for batch in columns.reader.batches(group):
            _add_batch(batch, row, columns, files, tag)
            row += batch.num_rows
        for file in files:
            file.end_group()
    return [file for file in files if file.changed]


def _add_batch(
    batch: pa.RecordBatch, row: int, columns: Columns, files: Sequence[ColumnFile], tag: TagSample
) -> None:
    changes = dict[int, Mapping[str, Value]]()
    for sample in _samples(batch, row, columns):
        values = tag(sample)
        if values is not None and sample.fault is None:
            changes[sample.line - row] = values
    # A new struct is never null, even if all its fields are: so the row can gain values later.
    null_structs = np.zeros(batch.num_rows, bool)
    if columns.in_struct:
        null_structs |= _is_null(batch.column(1))
    # A null struct gains values only if it has no other fields (see _samples).
    fills_structs = bool(null_structs[list(changes)].any())
    null_structs[list(changes)] = False
    old = columns.old(batch)
    for file in files:
        name, index = file.column.name, file.column.index
        own = {number: values[name] for number, values in changes.items() if name in values}
        # Each field of a struct also stores in which rows the struct is null.
        file.changed |= bool(own) or (fills_structs and index is not None)
        file.add(_replaced(old[name], file.column.field.type, own), null_structs)


def _samples(batch: pa.RecordBatch, row: int, columns: Columns) -> Iterator[Sample]:
    fields, old = columns.fields, columns.old(batch)
    nulls = zip(*(_is_null(old[name]).tolist() for name in fields.written), strict=True)
    null_structs = _is_null(batch.column(1)).tolist() if columns.shares_struct else repeat(False)
    made_by = repeat(None) if fields.provenance is None else _lists(old[fields.provenance])
    missing = cache(lambda flags: tuple(compress(fields.written, flags)))
    rows = zip(_lists(batch.column(0)), nulls, null_structs, made_by, strict=False)
    for number, (value, is_null, in_null, provenance) in enumerate(rows, row):
        videos, fault = videos_of(value)
        if value is _NOT_TEXT:
            fault = "a video path is not UTF-8"
        if in_null and fault is None:
            videos, fault = [], f"its {fields.meta!r} is null, so no tags can be added to it"
        known = provenance if isinstance(provenance, str) else None
        yield Sample(number, videos, missing(is_null), fault, known)


def _is_null(values: pa.Array) -> NDArray[np.bool_]:
    nulls: NDArray[np.bool_] = values.is_null().to_numpy(zero_copy_only=False)
    return nulls


def _lists(values: pa.Array) -> Iterator[object]:
    """Convert to Python objects as ``to_pylist`` does, in a third of the time: that makes a pyarrow
    object of every list."""
    try:
        if not pa.types.is_list(values.type) or values.null_count:
            return iter(values.to_pylist())
        paths = values.flatten().to_pylist()
    except UnicodeDecodeError:
        return map(_decoded, values)
    ends = accumulate(pc.list_value_length(values).to_pylist(), initial=0)
    return (paths[start:end] for start, end in pairwise(ends))


def _decoded(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return _NOT_TEXT


def _replaced(old: pa.Array, arrow_type: pa.DataType, changes: dict[int, Value]) -> pa.Array:
    kept = old if old.type == arrow_type else old.cast(arrow_type)
    if not changes:
        return kept
    sources = np.arange(len(kept))
    sources[list(changes)] = len(kept) + np.arange(len(changes))
    return pa.concat_arrays([kept, pa.array(changes.values(), arrow_type)]).take(pa.array(sources))
