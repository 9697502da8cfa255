"""Open a Parquet file that gained a column and compare it with the old one, before it replaces
that."""

import zlib
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc

from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_column import TagColumn
from tasks.manifests.parquet_file import Spliced

Digest = tuple[int, ...]
"""The same for columns with equal values, however they are split into batches."""


class CheckError(ValueError):
    """The new file is not the old one with tags. This is a fault of this project."""


def verify(source: BinaryIO, end: bytes, column: TagColumn, digests: list[Digest]) -> None:
    """Read the file that ``end`` makes of ``source`` and compare it.

    Args:
        digests: of the values of the new column in each row group.

    Raises:
        CheckError: another column, or a value of the new one, is not what it should be.
    """
    # This vets the new footer too: each chunk lies inside of the data.
    result = TagColumn(cast(BinaryIO, Spliced(source, column.keep, end)), column.fields)
    _compare_others(column, result)
    if not result.exists:
        raise CheckError("the tags are not there")
    for number, expected in enumerate(digests):
        parts = [batch.column(1) for batch in result.reader.batches(number)]
        if digest(pa.chunked_array(parts, result.field.type)) != expected:
            raise CheckError(f"the tags of row group {number + 1} are not those that were written")


def digest(values: pa.ChunkedArray) -> Digest:
    """Digest a column of tags, or of structs that hold nothing else."""
    present = lengths = sizes = text = 0
    for part in values.chunks:
        tags = part.flatten()[0] if pa.types.is_struct(part.type) else part
        # As bytes: old tags may not be UTF-8.
        items = tags.flatten().cast(pa.binary())
        present = zlib.crc32(_numbers(part.is_valid().cast(pa.int8())), present)
        lengths = zlib.crc32(_numbers(pc.list_value_length(tags).fill_null(-1)), lengths)
        sizes = zlib.crc32(_numbers(pc.binary_length(items).fill_null(-1)), sizes)
        text = zlib.crc32(b"".join(items.drop_null().to_pylist()), text)
    return len(values), present, lengths, sizes, text


def _numbers(values: pa.Array) -> bytes:
    return bytes(values.to_numpy(zero_copy_only=False).data)


def _compare_others(column: TagColumn, result: TagColumn) -> None:
    """Refuse a file in which another column is not where and as it was."""
    old, new = column.footer, result.footer
    if new.root.leaves != old.root.leaves + (not column.exists):
        raise CheckError("there are other columns")
    moved = [(leaf, column.leaf.moved(leaf)) for leaf in range(old.root.leaves)]
    others = [(before, after) for before, after in moved if after is not None]
    old_chains, new_chains = [*old.root.chains()], [*new.root.chains()]
    if any(old_chains[before] != new_chains[after] for before, after in others):
        raise CheckError("another column has another schema")
    # Not by pyarrow: it ends the process on statistics that are damaged (std::terminate).
    for old_group, new_group in zip(old.groups, new.groups, strict=True):
        old_chunks, new_chunks = old_group.structs(ids.COLUMNS), new_group.structs(ids.COLUMNS)
        if any(old_chunks[before] != new_chunks[after] for before, after in others):
            raise CheckError("another column has moved")
        if old_group[ids.GROUP_ROWS] != new_group[ids.GROUP_ROWS]:
            raise CheckError("a row group has other rows")
