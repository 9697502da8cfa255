"""The footer of a Parquet file as a tree: find it, vet it, give it a column more.

Nothing here reads a page. The numbers of the fields are those of parquet.thrift:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Self, TypeVar

from tasks.manifests.thrift_compact import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    Field,
    MalformedError,
    Struct,
    Value,
    decode,
    encode,
    structs,
)

MAGIC, MAGIC_ENCRYPTED = b"PAR1", b"PARE"
_MIN_BYTES = 12  # magic, an empty footer, its length, magic
MAX_FOOTER_BYTES = 16 << 20
"""Of a larger footer the tree would take more than half a gigabyte."""
_MAX_NESTING = 64  # readers recurse

# FileMetaData
VERSION, SCHEMA, ROWS, GROUPS, KEY_VALUES, CREATED_BY, COLUMN_ORDERS, ENCRYPTION, SIGNING_KEY = (
    range(1, 10)
)
# SchemaElement
TYPE, TYPE_LENGTH, REPETITION, NAME, CHILDREN, CONVERTED_TYPE = range(1, 7)
LOGICAL_TYPE = 10
REQUIRED, OPTIONAL, REPEATED = range(3)
_MAX_TYPE = 7
_ENDLESS = 1 << 62
# RowGroup
COLUMNS, TOTAL_BYTES, GROUP_ROWS, SORTING, _, TOTAL_COMPRESSED = range(1, 7)
COLUMN_INDEX = 1  # of a SortingColumn
# ColumnChunk; its META is a ColumnMetaData
FILE_PATH, FILE_OFFSET, META, OFFSET_INDEX, OFFSET_INDEX_SIZE, INDEX, INDEX_SIZE = range(1, 8)
CRYPTO, ENCRYPTED_META = 8, 9
ENCODINGS, PATH, CODEC, VALUES, UNCOMPRESSED, COMPRESSED = range(2, 8)
DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE = range(9, 12)
BLOOM_FILTER, BLOOM_FILTER_SIZE = 14, 15
_OFFSETS = (FILE_OFFSET, OFFSET_INDEX, INDEX)
_META_OFFSETS = (DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE, BLOOM_FILTER)
# Whatever a reader of values needs of a ColumnMetaData: nothing of statistics or indexes.
_META_OF_VALUES = (*range(1, 8), DATA_PAGE, DICTIONARY_PAGE)

# The types of these fields: with another one, readers skip them.
_FILE_TYPES = {VERSION: I32, SCHEMA: LIST, ROWS: I64, GROUPS: LIST, KEY_VALUES: LIST,
               CREATED_BY: BINARY, COLUMN_ORDERS: LIST}  # fmt: skip
_ELEMENT_TYPES = {TYPE: I32, TYPE_LENGTH: I32, REPETITION: I32, NAME: BINARY, CHILDREN: I32,
                  CONVERTED_TYPE: I32, LOGICAL_TYPE: STRUCT}  # fmt: skip
_GROUP_TYPES = {COLUMNS: LIST, TOTAL_BYTES: I64, GROUP_ROWS: I64, SORTING: LIST,
                TOTAL_COMPRESSED: I64}  # fmt: skip
_CHUNK_TYPES = {FILE_PATH: BINARY, FILE_OFFSET: I64, META: STRUCT, OFFSET_INDEX: I64,
                OFFSET_INDEX_SIZE: I32, INDEX: I64, INDEX_SIZE: I32}  # fmt: skip
_META_TYPES = {TYPE: I32, ENCODINGS: LIST, PATH: LIST, CODEC: I32, VALUES: I64, UNCOMPRESSED: I64,
               COMPRESSED: I64, DATA_PAGE: I64, INDEX_PAGE: I64, DICTIONARY_PAGE: I64,
               BLOOM_FILTER: I64}  # fmt: skip

T = TypeVar("T")


class UnsupportedError(ValueError):
    """This file may be sound, but a column cannot be added to it."""


@dataclass(frozen=True)
class Node:
    """A column of the schema, or a group of columns.

    Attributes:
        element: its SchemaElement.
        children: of a group.
    """

    element: Struct
    children: tuple["Node", ...] = ()

    @property
    def name(self) -> str:
        return self.element.binary(NAME).decode()

    @property
    def repetition(self) -> int:
        return self.element.integer(REPETITION, 0)

    @property
    def leaves(self) -> int:
        """How many columns with values it holds."""
        if self.children or TYPE not in self.element:
            return self.leaves_before(len(self.children))
        return 1

    def leaves_before(self, index: int) -> int:
        """How many leaves the children before this one hold."""
        return sum(child.leaves for child in self.children[:index])

    def index(self, name: str) -> int | None:
        """Which child has this name, if one has."""
        found = [number for number, child in enumerate(self.children) if child.name == name]
        if len(found) > 1:
            raise UnsupportedError(f"has {len(found)} columns {name!r}")
        return found[0] if found else None

    def chain(self, leaf: int) -> list[Struct]:
        """The elements that lead to this leaf, without the counts of their children."""
        for child in self.children:
            if leaf < child.leaves:
                element = Struct(child.element)
                element.pop(CHILDREN, None)
                return [element, *child.chain(leaf)]
            leaf -= child.leaves
        return []

    def path(self, leaf: int) -> list[bytes]:
        """The names that lead to this leaf, as a column chunk has them."""
        return [element.binary(NAME) for element in self.chain(leaf)]

    def with_children(self, children: Sequence["Node"]) -> "Node":
        """The same group of other columns."""
        return Node(self.element.changed({CHILDREN: len(children)}), tuple(children))

    def elements(self) -> Iterator[Struct]:
        """Its part of the schema as a footer has it, depth first."""
        yield self.element
        for child in self.children:
            yield from child.elements()


@dataclass(frozen=True)
class Insertion:
    """Where something new goes in a sequence.

    Attributes:
        index: of the new value, after the old one was removed.
        old: index of the value that it replaces, if any.
    """

    index: int
    old: int | None = None

    def into(self, values: Sequence[T], new: T) -> list[T]:
        """The values with the new one among them."""
        result = list(values)
        if self.old is not None:
            del result[self.old]
        result.insert(self.index, new)
        return result

    def moved(self, index: int) -> int | None:
        """The index that another value has afterwards; None for the one that is replaced."""
        if index == self.old:
            return None
        if self.old is not None and index > self.old:
            index -= 1
        return index + (index >= self.index)


@dataclass(frozen=True)
class Footer:
    """A footer that was vetted.

    Attributes:
        start: its offset in the file, which is where the data ends.
        tree: its FileMetaData.
        root: its schema.
    """

    start: int
    tree: Struct
    root: Node

    @classmethod
    def read(cls, source: BinaryIO) -> Self:
        """Find the footer of a file and vet it.

        Raises:
            MalformedError: it is damaged, or this is no Parquet.
            UnsupportedError: a column cannot be added.
        """
        end = source.seek(0, io.SEEK_END)
        if end < _MIN_BYTES:
            raise MalformedError("is not Parquet: it is too short")
        source.seek(0)
        first = source.read(4)
        source.seek(end - 8)
        last = source.read(8)
        if MAGIC_ENCRYPTED in (first, last[4:]):
            raise UnsupportedError("its footer is encrypted")
        if (first, last[4:]) != (MAGIC, MAGIC):
            raise MalformedError("is not Parquet, or is cut off")
        (size,) = struct.unpack("<I", last[:4])
        start = end - 8 - size
        if start < 4:
            raise MalformedError("its footer is damaged: it is longer than the file")
        if size > MAX_FOOTER_BYTES:
            raise UnsupportedError(f"its footer is larger than {MAX_FOOTER_BYTES >> 20} MiB")
        source.seek(start)
        try:
            return cls._parse(source.read(size), start)
        except UnicodeDecodeError as error:
            raise MalformedError("the name of a column is not UTF-8") from error
        except MalformedError as error:
            raise MalformedError(f"its footer is damaged: {error}") from error

    @classmethod
    def _parse(cls, data: bytes, start: int) -> Self:
        tree, used = decode(data)
        tree.check(_FILE_TYPES)
        if ENCRYPTION in tree or SIGNING_KEY in tree:
            raise UnsupportedError("has encrypted columns or a signed footer")
        if used != len(data):
            raise MalformedError("something follows it")
        elements = iter(tree.structs(SCHEMA))
        root = _node(elements, 0)
        if next(elements, None) is not None:
            raise MalformedError("its schema has more columns than it says")
        footer = cls(start, tree, root)
        footer._check_groups()
        if COLUMN_ORDERS in tree and len(tree.structs(COLUMN_ORDERS)) != root.leaves:
            raise MalformedError("it has not one order for each column")
        return footer

    @property
    def groups(self) -> list[Struct]:
        """The row groups."""
        return self.tree.structs(GROUPS)

    def _check_groups(self) -> None:
        leaves, rows = self.root.leaves, 0
        for group in self.groups:
            group.check(_GROUP_TYPES)
            chunks = group.structs(COLUMNS)
            if len(chunks) != leaves:
                raise MalformedError(f"{len(chunks)} column chunks for {leaves} columns")
            for chunk in chunks:
                self._check_chunk(chunk)
            if group.integer(GROUP_ROWS) < 0:
                raise MalformedError("a row group has fewer than no rows")
            rows += group.integer(GROUP_ROWS)
            group.integer(TOTAL_BYTES)
        if rows != self.tree.integer(ROWS):
            raise MalformedError(f"{self.tree.integer(ROWS)} rows, {rows} in its row groups")

    def _check_chunk(self, chunk: Struct) -> None:
        chunk.check(_CHUNK_TYPES)
        if META in chunk:
            chunk.struct(META).check(_META_TYPES)
        if CRYPTO in chunk or ENCRYPTED_META in chunk:
            raise UnsupportedError("has encrypted columns")
        if FILE_PATH in chunk and chunk.binary(FILE_PATH):
            raise UnsupportedError("has columns in other files")
        start, end = extent(chunk)
        if end < start or (end > start and not 4 <= start < end <= self.start):
            raise MalformedError("a column chunk lies outside of the data")

    def with_leaf(self, root: Node, leaf: Insertion, chunks: Sequence[Struct]) -> Struct:
        """The tree with another schema, in which one leaf is new, and its chunks, one for each
        row group."""
        groups = [
            _with_chunk(group, leaf, chunk)
            for group, chunk in zip(self.groups, chunks, strict=True)
        ]
        changes: dict[int, Value] = {
            SCHEMA: structs(root.elements()),
            GROUPS: structs(groups),
        }
        if COLUMN_ORDERS in self.tree:
            order = Struct({1: Field(STRUCT, Struct())})  # TYPE_ORDER, the only one for text
            changes[COLUMN_ORDERS] = structs(leaf.into(self.tree.structs(COLUMN_ORDERS), order))
        return self.tree.changed(changes)

    def narrowed(self, columns: Sequence[Node], leaves: Sequence[int]) -> bytes:
        """The end of a file that has the same data, but only these columns: a library that reads
        it meets nothing of the others."""
        groups = []
        for group in self.groups:
            chunks = group.structs(COLUMNS)
            of_values = structs(_of_values(chunks[leaf]) for leaf in leaves)
            groups.append(
                Struct(
                    {
                        COLUMNS: Field(LIST, of_values),
                        TOTAL_BYTES: group[TOTAL_BYTES],
                        GROUP_ROWS: group[GROUP_ROWS],
                    }
                )
            )
        # CREATED_BY: readers look there for the faults of old writers.
        kept = (VERSION, SCHEMA, ROWS, GROUPS, CREATED_BY)
        tree = Struct({number: self.tree[number] for number in kept if number in self.tree})
        root = self.root.with_children(columns)
        return closed(tree.changed({SCHEMA: structs(root.elements()), GROUPS: structs(groups)}))


def closed(tree: Struct) -> bytes:
    """The end of a file with this footer."""
    data = encode(tree)
    return data + struct.pack("<I", len(data)) + MAGIC


def extent(chunk: Struct) -> tuple[int, int]:
    """The offsets at which the pages of a column chunk start and end."""
    meta = chunk.struct(META)
    # 0 stands for none: old writers say so of the dictionary, Arrow of the data where no row is.
    offsets = (meta.integer(DATA_PAGE), meta.integer(DICTIONARY_PAGE, 0))
    start = min((offset for offset in offsets if offset), default=0)
    end = start + meta.integer(COMPRESSED)
    if max(offsets) >= end > start:
        raise MalformedError("a page lies outside of its column chunk")
    return start, end


def data_end(footer: Footer, leaf: int | None) -> int:
    """Where the data of all columns but this one ends: before the bytes of its chunks and indexes,
    if these are all that follows, else before the footer. No byte that may be another's is left
    out: a file that was tagged here before does not grow with each night."""
    own: list[tuple[int, int]] = []
    others = 0
    for group in footer.groups:
        for number, chunk in enumerate(group.structs(COLUMNS)):
            extents = list(_extents(chunk))
            if number == leaf:
                own += extents
            else:
                others = max(others, *(end for _, end in extents))
    end = footer.start
    for start, own_end in sorted(own, reverse=True):
        if own_end != end or start < others:
            break
        end = start
    return end


def _extents(chunk: Struct) -> Iterator[tuple[int, int]]:
    """The offsets at which everything that a column chunk has in the file starts and ends."""
    meta = chunk.struct(META)
    yield extent(chunk)
    for fields, offset, size in (
        (chunk, OFFSET_INDEX, OFFSET_INDEX_SIZE),
        (chunk, INDEX, INDEX_SIZE),
        (meta, BLOOM_FILTER, BLOOM_FILTER_SIZE),
    ):
        if offset in fields:
            start, length = fields.integer(offset), fields.get(size)
            # Old writers do not say how long a bloom filter is: then it ends nowhere.
            known = length is not None and isinstance(length.value, int)
            yield start, start + (fields.integer(size) if known else _ENDLESS)


def shifted(chunk: Struct, distance: int) -> Struct:
    """A column chunk that begins so many bytes later in the file."""

    def moved(fields: Struct, numbers: Sequence[int]) -> Struct:
        offsets = {n: fields.integer(n) for n in numbers if n in fields}
        # 0 is no offset: FILE_OFFSET is deprecated and mostly so.
        return fields.changed({n: offset + distance for n, offset in offsets.items() if offset})

    meta = moved(chunk.struct(META), _META_OFFSETS)
    return moved(chunk, _OFFSETS).changed({META: meta})


def _node(elements: Iterator[Struct], depth: int) -> Node:
    element = next(elements, None)
    if element is None:
        raise MalformedError("its schema has fewer columns than it says")
    if depth > _MAX_NESTING:
        raise UnsupportedError(f"has columns nested in more than {_MAX_NESTING} levels")
    element.check(_ELEMENT_TYPES)
    element.binary(NAME).decode()
    if element.integer(REPETITION, 0) not in (REQUIRED, OPTIONAL, REPEATED):
        raise MalformedError("a column is neither required nor optional nor repeated")
    count = element.integer(CHILDREN, 0)
    if TYPE in element:
        if count or not 0 <= element.integer(TYPE) <= _MAX_TYPE:
            raise MalformedError("a column has an unknown type")
    elif count < (depth > 0):
        raise MalformedError("a group has no columns")
    return Node(element, tuple(_node(elements, depth + 1) for _ in range(count)))


def _with_chunk(group: Struct, leaf: Insertion, chunk: Struct) -> Struct:
    old = group.structs(COLUMNS)
    gone = old[leaf.old].struct(META) if leaf.old is not None else Struct()
    meta = chunk.struct(META)
    changes: dict[int, Value] = {COLUMNS: structs(leaf.into(old, chunk))}
    for total, part in ((TOTAL_BYTES, UNCOMPRESSED), (TOTAL_COMPRESSED, COMPRESSED)):
        if total in group:
            changes[total] = group.integer(total) + meta.integer(part) - gone.integer(part, 0)
    if SORTING in group:
        changes[SORTING] = structs(_sorting(group.structs(SORTING), leaf))
    return group.changed(changes)


def _sorting(columns: Sequence[Struct], leaf: Insertion) -> Iterator[Struct]:
    """By what the rows are sorted still, up to the column that is replaced."""
    for column in columns:
        index = leaf.moved(column.integer(COLUMN_INDEX))
        if index is None:
            return
        yield column.changed({COLUMN_INDEX: index})


def _of_values(chunk: Struct) -> Struct:
    meta = chunk.struct(META)
    kept = Struct({number: meta[number] for number in _META_OF_VALUES if number in meta})
    return Struct({FILE_OFFSET: Field(I64, 0), META: Field(STRUCT, kept)})
