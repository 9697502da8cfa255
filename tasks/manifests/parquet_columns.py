"""The written columns of one Parquet file: where they are or go, and the end of the file with
them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.manifests import Fields
from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_column_file import ColumnFile, Style
from tasks.manifests.parquet_file import Spliced
from tasks.manifests.parquet_footer import MAGIC, Footer, closed
from tasks.manifests.parquet_layout import Column, Group, Layout, node_of
from tasks.manifests.parquet_metadata import with_columns
from tasks.manifests.parquet_new_footer import kept_bytes, shifted, with_leaves
from tasks.manifests.parquet_reader import Reader
from tasks.manifests.parquet_schema import Node, UnsupportedError, find
from tasks.manifests.parquet_types import as_in_file, check_types, kinds
from tasks.manifests.thrift_compact import BINARY, Items, Struct

_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4"}
_MAX_GROUP_ROWS = 64 << 20  # pyarrow splits larger ones


@dataclass(frozen=True)
class NewEnd:
    """The end of a file that has gained columns.

    Attributes:
        keep: how many bytes of the file stay before it.
        data: the pages of the columns, and the new footer.
        leaves: the former index of each leaf; None for a new one.
    """

    keep: int
    data: memoryview
    leaves: Sequence[int | None]


class Columns:
    """The columns that a run writes to one file.

    Whatever cannot be done to the file is found out here, before any of its videos is decoded.

    Attributes:
        footer: of the file.
        group: that the columns are in.
        columns: all of them, also those that the file does not have yet.
        in_struct: whether the file has the struct that holds them or will hold them.
        shares_struct: whether that struct holds other fields. It says for all of them where it is
            null, so that a row in which it is cannot gain these alone.
        reader: reads the videos, and those of the columns that the file has. In a struct it reads
            one other field where there are none of them: that tells where the struct is null.
    """

    def __init__(self, source: BinaryIO, fields: Fields) -> None:
        # Exceptions of the source differ from faults of the file.
        whole = Spliced(source, source.seek(0, io.SEEK_END), b"")
        self.fields, self.footer = fields, Footer.read(cast(BinaryIO, whole))
        # For pyarrow's own checks of what is not read here.
        pq.read_metadata(whole)
        if any(group.integer(ids.GROUP_ROWS) > _MAX_GROUP_ROWS for group in self.footer.groups):
            raise UnsupportedError(f"has a row group of more than {_MAX_GROUP_ROWS} rows")
        root = self.footer.root
        videos = find(root.children, fields.videos)
        if videos is None:
            raise UnsupportedError(f"has no column {fields.videos!r}")
        self.group = Group(root, fields.meta)
        indexes = {name: find(self.group.children, name) for name in fields.written}
        there = [index for index in indexes.values() if index is not None]
        self.in_struct = self.group.node is not None
        self.shares_struct = self.in_struct and len(self.group.children) > len(there)
        self.reader = Reader(source, self.footer, self._read_columns(videos, there))
        read = list(self.reader.schema)[1:]
        found = {field.name: field for field in (read[0].type if self.in_struct else read)}
        check_types(self.reader.schema.field(0), found, fields)
        self.columns = [
            self._column(pa.field(name, kind.type), indexes[name], found)
            for name, kind in kinds(fields).items()
        ]
        self._style = self._style_like(root.leaves_before(videos))
        self._try()

    def old(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Return the values of the columns in some rows; nulls for a column that is not there.

        A field counts only where its struct is there.
        """
        names, arrays = batch.schema.names[1:], batch.columns[1:]
        if self.in_struct:
            names = [field.name for field in batch.schema.field(1).type]
            arrays = batch.column(1).flatten()  # which puts the nulls of the struct into them
        there = dict(zip(names, arrays, strict=True))
        return {
            column.name: pa.nulls(batch.num_rows, column.field.type)
            if column.index is None
            else there[column.name]
            for column in self.columns
        }

    def file_of(self, column: Column) -> ColumnFile:
        """Begin a Parquet file of a column alone."""
        struct = None
        if self.group.meta is not None:
            required = self.group.node is not None and self.group.node.is_required
            struct = pa.field(self.group.meta, pa.struct([]), nullable=not required)
        return ColumnFile(column, struct, self._style)

    def end(self, files: Sequence[ColumnFile]) -> NewEnd:
        """Make the end of the file with these columns."""
        layout = Layout(self.group, [file.column for file in files])
        leaves = layout.leaves()
        keep = kept_bytes(self.footer, {*range(self.footer.root.leaves)}.difference(leaves))
        data = io.BytesIO()
        chunks = _appended(files, data, keep)
        # Of each row group the chunks of all columns, in the order of the schema.
        groups = zip(*(chunks[column.name] for column in layout.columns), strict=True)
        tree = self._tree(layout, [list(chain(*group)) for group in groups])
        data.write(closed(tree))
        return NewEnd(keep, memoryview(data.getvalue()), leaves)

    def _tree(self, layout: Layout, added: Sequence[Sequence[Struct]]) -> Struct:
        """Make the new FileMetaData of the column chunks of each row group."""
        root, leaves = layout.schema(), layout.leaves()
        paths = [
            Items(BINARY, [element.binary(ids.NAME) for element in elements])
            for (_, *elements), leaf in zip(root.chains(), leaves, strict=True)
            if leaf is None
        ]
        groups = [
            [
                chunk.changed({ids.META: chunk.struct(ids.META).changed({ids.PATH: path})})
                for chunk, path in zip(chunks, paths, strict=True)
            ]
            for chunks in added
        ]
        return with_leaves(with_columns(self.footer.tree, layout), root, leaves, groups)

    def _try(self) -> None:
        """Find out now if the footer cannot be changed: with chunks that are there already in place
        of those to come."""
        layout = Layout(self.group, self.columns)
        new = layout.leaves().count(None)
        self._tree(layout, [[group.structs(ids.COLUMNS)[0]] * new for group in self.footer.groups])

    def _read_columns(self, videos: int, there: Sequence[int]) -> list[tuple[Sequence[int], Node]]:
        root, group = self.footer.root, self.group
        first = root.leaves_before(videos)
        columns: list[tuple[Sequence[int], Node]] = [
            (range(first, first + root.children[videos].leaves), root.children[videos])
        ]
        own = [(group.leaves(index), group.children[index]) for index in there]
        if group.node is None:
            return columns + own
        if not own:
            index, field = _smallest(group.children)
            own = [(group.leaves(index), field)]
        leaves = [leaf for numbers, _ in own for leaf in numbers]
        struct = group.node.with_children([field for _, field in own])
        return [*columns, (leaves, struct)]

    def _column(self, wanted: pa.Field, index: int | None, found: dict[str, pa.Field]) -> Column:
        node = node_of(wanted)
        old = None if index is None else self.group.children[index]
        # One that is there already keeps the names of its levels and its field numbers.
        if old is not None and old.holds(node):
            return Column(as_in_file(wanted, found[wanted.name]), old, index)
        return Column(wanted, node, index)

    def _style_like(self, leaf: int) -> Style:
        """Choose how new columns are written: as the chunks of this leaf are."""
        if not self.footer.groups:
            return {}
        chunk = self.footer.groups[0].structs(ids.COLUMNS)[leaf]
        codec = _CODECS.get(chunk.struct(ids.META).integer(ids.CODEC), "none")
        return {"compression": codec, "write_page_index": ids.OFFSET_INDEX in chunk}


def _appended(
    files: Sequence[ColumnFile], target: BinaryIO, keep: int
) -> dict[str, list[list[Struct]]]:
    """Write the pages of columns one behind the other.

    Args:
        keep: offset in the new file of what is written to the start of ``target``.

    Returns:
        The column chunks of each column in each row group.
    """
    chunks = dict[str, list[list[Struct]]]()
    for file in files:
        written = file.close()
        footer, start = Footer.read(written), len(MAGIC)
        distance = keep + target.tell() - start
        target.write(memoryview(written.getvalue())[start : footer.start])
        chunks[file.column.name] = [
            [shifted(chunk, distance) for chunk in group.structs(ids.COLUMNS)]
            for group in footer.groups
        ]
    return chunks


def _smallest(fields: Sequence[Node]) -> tuple[int, Node]:
    """Choose a field to read that tells where the struct is null: its index, and the field."""
    index = min(range(len(fields)), key=lambda child: fields[child].leaves)
    field = fields[index]
    if field.children:
        return index, field
    # Of a value only its presence is asked: what its bytes mean is left out.
    return index, Node(field.element.only((ids.TYPE, ids.TYPE_LENGTH, ids.REPETITION, ids.NAME)))
