"""Write one column as a Parquet file of its own, and digest its values."""

import io
import zlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.manifests.parquet_layout import Column
from tasks.manifests.parquet_types import is_list, is_text

Style = dict[str, str | bool]
"""Options of pyarrow's writer."""

Digest = tuple[object, ...]
"""Equal for columns with equal values, however these are split into batches."""


class ColumnFile:
    """A Parquet file of one column, written one row group at a time.

    Attributes:
        column: the column.
        changed: whether it differs from the column of the old file.
        digests: the digest of the values in each row group.
    """

    def __init__(self, column: Column, struct: pa.Field | None, style: Style) -> None:
        """Begin the file.

        Args:
            struct: the struct that holds the column, without its fields; None at the top level.
            style: options for pyarrow's writer.
        """
        self.column, self.changed = column, False
        self.digests: list[Digest] = []
        field = column.field
        self._field = field if struct is None else struct.with_type(pa.struct([field]))
        self._values: list[pa.Array] = []
        self._null_structs: list[pa.Array] = []
        self._sink, self._schema = io.BytesIO(), pa.schema([self._field])
        self._writer = pq.ParquetWriter(self._sink, self._schema, store_schema=False, **style)

    def add(self, values: pa.Array, null_structs: NDArray[np.bool_]) -> None:
        """Add some rows to the row group.

        Args:
            values: the values of the column.
            null_structs: for each row, whether the struct is null.
        """
        self._values.append(values)
        self._null_structs.append(pa.array(null_structs))

    def end_group(self) -> None:
        self.digests.append(digest(self._values))
        arrays = self._values
        if self._field is not self.column.field:
            fields = [self.column.field]
            arrays = [
                pa.StructArray.from_arrays([values], fields=fields, mask=mask)
                for values, mask in zip(self._values, self._null_structs, strict=True)
            ]
        chunked = pa.chunked_array(arrays, self._field.type)
        table = pa.Table.from_arrays([chunked], schema=self._schema)
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        self._values, self._null_structs = [], []

    def close(self) -> io.BytesIO:
        """End the file and return it; nothing of it stays in this object."""
        self._writer.close()
        sink = self._sink
        del self._writer, self._sink
        return sink


def digest(parts: Sequence[pa.Array]) -> Digest:
    """Digest the values of a column that comes in parts."""
    checksums: dict[tuple[int | str, ...], int] = {}
    for part in parts:
        _add(part, (), checksums)
    return sum(map(len, parts)), *checksums.items()


def _add(
    values: pa.Array, path: tuple[int, ...], checksums: dict[tuple[int | str, ...], int]
) -> None:
    """Add the values to the checksums of their level and of the levels below."""

    def add(what: str, data: bytes | pa.Buffer) -> None:
        checksums[*path, what] = zlib.crc32(data, checksums.get((*path, what), 0))

    add("present", _numbers(values.is_valid().cast(pa.int8())))
    if is_list(values.type):
        add("length", _numbers(pc.list_value_length(values).fill_null(-1)))
        _add(values.flatten(), (*path, 0), checksums)
    elif pa.types.is_struct(values.type):
        for number, field in enumerate(values.flatten()):
            _add(field, (*path, number), checksums)
    elif is_text(values.type):
        items = values.cast(pa.binary())  # old values may not be UTF-8
        add("size", _numbers(pc.binary_length(items).fill_null(-1)))
        there = items.drop_null()
        whole = pa.ListArray.from_arrays(pa.array([0, len(there)], pa.int32()), there)
        add("text", pc.binary_join(whole, b"")[0].as_buffer())
    else:
        add("number", _numbers(values.fill_null(0)))


def _numbers(values: pa.Array) -> bytes:
    return bytes(values.to_numpy(zero_copy_only=False).data)
