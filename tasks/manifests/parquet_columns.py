"""Find the written columns of a Parquet file, and make the end of the file that gains them."""

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
from tasks.manifests.parquet_types import as_in_file, check_types, column_types
from tasks.manifests.thrift_compact import BINARY, Items, Struct

_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4"}
_MAX_GROUP_ROWS = 64 << 20  # pyarrow splits larger ones


@dataclass(frozen=True)
class NewEnd:
    """The end of a file that has gained columns.

    Attributes:
        keep: how many bytes of the old file stay before it.
        data: the pages of the new columns, and the new footer.
        leaves: the former index of each leaf; None for a new one.
    """

    keep: int
    data: memoryview
    leaves: Sequence[int | None]


class Columns:
    """The columns that a run writes to one file.

    A file that cannot gain them is refused here, before any of its videos is decoded.

    Attributes:
        footer: the footer of the file.
        group: the group that holds the columns.
        columns: all of them, also the ones that the file lacks.
        in_struct: whether they belong to a struct that the file has.
        shares_struct: whether that struct has other fields. Where it is null, all its fields are,
            so that such a row cannot gain the written fields alone.
        reader: reads the videos, and the columns that the file has. If a struct has none of them,
            it reads another field, which tells where the struct is null.
    """

    def __init__(self, source: BinaryIO, fields: Fields) -> None:
        # Spliced tells exceptions of the source from damage of the file.
        whole = Spliced(source, source.seek(0, io.SEEK_END), b"")
        self.fields, self.footer = fields, Footer.read(cast(BinaryIO, whole))
        # pyarrow also checks the parts of the footer that are not read here.
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
            self._column(pa.field(name, written.type), indexes[name], found)
            for name, written in column_types(fields).items()
        ]
        self._style = self._style_like(root.leaves_before(videos))
        self._try_footer()

    def old(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Return the values of the columns in some rows; nulls for a column that the file lacks.

        A field of a null struct is null.
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
        """Begin a Parquet file of one column."""
        struct = None
        if self.group.meta is not None:
            required = self.group.node is not None and self.group.node.is_required
            struct = pa.field(self.group.meta, pa.struct([]), nullable=not required)
        return ColumnFile(column, struct, self._style)

    def end(self, files: Sequence[ColumnFile]) -> NewEnd:
        """Make the end of the new file from these columns."""
        layout = Layout(self.group, [file.column for file in files])
        leaves = layout.leaves()
        keep = kept_bytes(self.footer, {*range(self.footer.root.leaves)}.difference(leaves))
        data = io.BytesIO()
        chunks = _append_pages(files, data, keep)
        # For each row group, the chunks of all columns in the order of the schema.
        groups = zip(*(chunks[column.name] for column in layout.columns), strict=True)
        tree = self._tree(layout, [list(chain(*group)) for group in groups])
        data.write(closed(tree))
        return NewEnd(keep, memoryview(data.getvalue()), leaves)

    def _tree(self, layout: Layout, added: Sequence[Sequence[Struct]]) -> Struct:
        """Make the new FileMetaData; ``added`` are the new column chunks of each row group."""
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

    def _try_footer(self) -> None:
        """Make a footer with existing chunks in place of the new ones, so that a file whose footer
        cannot be changed is refused now."""
        layout = Layout(self.group, self.columns)
        new = layout.leaves().count(None)
        self._tree(layout, [[group.structs(ids.COLUMNS)[0]] * new for group in self.footer.groups])

    def _read_columns(self, videos: int, there: Sequence[int]) -> list[tuple[Sequence[int], Node]]:
        """Choose the columns to read, each with the indexes of its leaves."""
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
        # An existing column keeps the names of its levels and its field numbers.
        if old is not None and old.holds(node):
            return Column(as_in_file(wanted, found[wanted.name]), old, index)
        return Column(wanted, node, index)

    def _style_like(self, leaf: int) -> Style:
        """Return options for new columns: this leaf's compression, a page index if it has one."""
        if not self.footer.groups:
            return {}
        chunk = self.footer.groups[0].structs(ids.COLUMNS)[leaf]
        codec = _CODECS.get(chunk.struct(ids.META).integer(ids.CODEC), "none")
        return {"compression": codec, "write_page_index": ids.OFFSET_INDEX in chunk}


def _append_pages(
    files: Sequence[ColumnFile], target: BinaryIO, keep: int
) -> dict[str, list[list[Struct]]]:
    """Write the pages of the columns one after another.

    Args:
        keep: offset in the new file at which ``target`` starts.

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
    """Choose the smallest field, which tells where the struct is null: its index, and the field."""
    index = min(range(len(fields)), key=lambda child: fields[child].leaves)
    field = fields[index]
    if field.children:
        return index, field
    # Only the presence of a value matters, so the logical type is left out.
    return index, Node(field.element.only((ids.TYPE, ids.TYPE_LENGTH, ids.REPETITION, ids.NAME)))
