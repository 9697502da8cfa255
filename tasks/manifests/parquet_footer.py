"""Find and check the footer of a Parquet file, and close a file with another one.

No page is read here. Offsets and sizes are in bytes, offsets from the start of the file.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Self

from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_schema import Node, UnsupportedError, parse_schema
from tasks.manifests.thrift_compact import MalformedError, Struct, decode, encode

MAGIC, _MAGIC_ENCRYPTED = b"PAR1", b"PARE"
_MIN_BYTES = 12  # magic, an empty footer, its length, magic
MAX_FOOTER_BYTES = 16 << 20
"""The tree of a larger footer would take more than half a gigabyte of memory."""

_ENDLESS = 1 << 62


@dataclass(frozen=True)
class Footer:
    """A footer that has been checked.

    Attributes:
        start: its offset, at which the data ends.
        tree: its FileMetaData.
        root: its schema.
    """

    start: int
    tree: Struct
    root: Node

    @classmethod
    def read(cls, source: BinaryIO) -> Self:
        """Find the footer of a file and check it.

        Raises:
            MalformedError: it is damaged, or this is no Parquet.
            UnsupportedError: a column cannot be added.
        """
        start, data = _find(source)
        try:
            tree, used = decode(data)
            tree.check(ids.FILE_TYPES)
            if ids.ENCRYPTION in tree or ids.SIGNING_KEY in tree:
                raise UnsupportedError("has encrypted columns or a signed footer")
            if used != len(data):
                raise MalformedError("something follows it")
            footer = cls(start, tree, parse_schema(tree.structs(ids.SCHEMA)))
            footer._check()
        except UnicodeDecodeError as error:
            raise MalformedError("the name of a column is not UTF-8") from error
        except MalformedError as error:
            raise MalformedError(f"its footer is damaged: {error}") from error
        return footer

    @property
    def groups(self) -> list[Struct]:
        """The row groups."""
        return self.tree.structs(ids.GROUPS)

    def _check(self) -> None:
        leaves, rows = self.root.leaves, 0
        if ids.COLUMN_ORDERS in self.tree and len(self.tree.structs(ids.COLUMN_ORDERS)) != leaves:
            raise MalformedError("it does not have one column order for each column")
        for group in self.groups:
            group.check(ids.GROUP_TYPES)
            chunks = group.structs(ids.COLUMNS)
            if len(chunks) != leaves:
                raise MalformedError(f"{len(chunks)} column chunks for {leaves} columns")
            for chunk in chunks:
                self._check_chunk(chunk)
            if group.integer(ids.GROUP_ROWS) < 0:
                raise MalformedError("a row group has a negative number of rows")
            rows += group.integer(ids.GROUP_ROWS)
            group.integer(ids.TOTAL_BYTES)  # must be there
        if rows != self.tree.integer(ids.ROWS):
            raise MalformedError(f"{self.tree.integer(ids.ROWS)} rows, {rows} in its row groups")

    def _check_chunk(self, chunk: Struct) -> None:
        chunk.check(ids.CHUNK_TYPES)
        if ids.CRYPTO in chunk or ids.ENCRYPTED_META in chunk:
            raise UnsupportedError("has encrypted columns")
        if ids.FILE_PATH in chunk and chunk.binary(ids.FILE_PATH):
            raise UnsupportedError("has columns in other files")
        chunk.struct(ids.META).check(ids.META_TYPES)
        start, end = pages_extent(chunk)
        if end < start or (end > start and not 4 <= start < end <= self.start):
            raise MalformedError("a column chunk lies outside of the data")


def _find(source: BinaryIO) -> tuple[int, bytes]:
    """Find the footer of a file: its offset, and its bytes."""
    end = source.seek(0, io.SEEK_END)
    if end < _MIN_BYTES:
        raise MalformedError("is not Parquet: it is too short")
    source.seek(0)
    first = source.read(4)
    source.seek(end - 8)
    size, last = struct.unpack("<I4s", source.read(8))
    if _MAGIC_ENCRYPTED in (first, last):
        raise UnsupportedError("its footer is encrypted")
    if (first, last) != (MAGIC, MAGIC):
        raise MalformedError("is not Parquet, or is cut off")
    start = end - 8 - size
    if start < 4:
        raise MalformedError("its footer is damaged: it is longer than the file")
    if size > MAX_FOOTER_BYTES:
        raise UnsupportedError(f"its footer is larger than {MAX_FOOTER_BYTES >> 20} MiB")
    source.seek(start)
    return start, source.read(size)


def closed(tree: Struct) -> bytes:
    """Return the end of a file with this footer: its bytes, their number and the magic."""
    data = encode(tree)
    return data + struct.pack("<I", len(data)) + MAGIC


def pages_extent(chunk: Struct) -> tuple[int, int]:
    """Return the offsets at which the pages of a column chunk start and end."""
    meta = chunk.struct(ids.META)
    # 0 means none: old writers write it for a missing dictionary, Arrow for the data of no rows.
    offsets = (meta.integer(ids.DATA_PAGE), meta.integer(ids.DICTIONARY_PAGE, 0))
    start = min((offset for offset in offsets if offset), default=0)
    end = start + meta.integer(ids.COMPRESSED)
    if max(offsets) >= end > start:
        raise MalformedError("a page lies outside of its column chunk")
    return start, end


def extents(chunk: Struct) -> Iterator[tuple[int, int]]:
    """Yield the offsets at which the pages of a column chunk, each of its indexes and its bloom
    filter start and end."""
    yield pages_extent(chunk)
    for fields, offset, size in (
        (chunk, ids.OFFSET_INDEX, ids.OFFSET_INDEX_SIZE),
        (chunk, ids.INDEX, ids.INDEX_SIZE),
        (chunk.struct(ids.META), ids.BLOOM_FILTER, ids.BLOOM_FILTER_SIZE),
    ):
        if offset in fields:
            start = fields.integer(offset)
            # Old writers do not store the size of a bloom filter.
            yield start, start + fields.integer(size, _ENDLESS)
