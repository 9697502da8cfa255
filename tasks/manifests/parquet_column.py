"""The tag column of one Parquet file: where it is or goes, and the end of the file with it."""

import io
from collections.abc import Iterable
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.manifests import Fields
from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_file import Spliced
from tasks.manifests.parquet_footer import MAGIC, Footer, closed
from tasks.manifests.parquet_metadata import with_column
from tasks.manifests.parquet_new_footer import kept_bytes, shifted, with_leaf
from tasks.manifests.parquet_reader import Reader, check_types
from tasks.manifests.parquet_schema import Insertion, Node, UnsupportedError
from tasks.manifests.thrift_compact import BINARY, Items

_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4"}
_MAX_GROUP_ROWS = 64 << 20  # pyarrow splits larger ones


class TagColumn:
    """The tags of one file.

    Whatever cannot be done to the file is found out here, before any of its videos is decoded.

    Attributes:
        footer: of the file.
        exists: whether the file has the tags.
        in_struct: whether the file has the struct that holds them or will hold them.
        shares_struct: whether that struct holds other fields. It says for all of them where it is
            null, so that a row in which it is cannot gain tags alone.
        reader: reads the videos, and the tags (or the struct, of which only one field is read: the
            tags if the file has them).
        type: of the tags: lists of text.
        field: the column that is written: the tags, or the struct with nothing else in it.
        leaf: position of the tags among all leaves.
        keep: how many bytes of the file stay, from its start.
    """

    def __init__(self, source: BinaryIO, fields: Fields) -> None:
        if fields.written != (fields.tags,):
            raise UnsupportedError("can hold no scores, timeline or provenance yet")
        # What the source raises is told from what is wrong with the file.
        whole = Spliced(source, source.seek(0, io.SEEK_END), b"")
        self.fields, self.footer = fields, Footer.read(cast(BinaryIO, whole))
        # For pyarrow's own checks of what is not read here.
        pq.read_metadata(whole)
        if any(group.integer(ids.GROUP_ROWS) > _MAX_GROUP_ROWS for group in self.footer.groups):
            raise UnsupportedError(f"has a row group of more than {_MAX_GROUP_ROWS} rows")
        root = self.footer.root
        videos = root.index(fields.videos)
        if videos is None:
            raise UnsupportedError(f"has no column {fields.videos!r}")
        self._meta = meta = None if fields.meta is None else root.index(fields.meta)
        self.in_struct = meta is not None
        self._group = root if meta is None else root.children[meta]
        self._first_leaf = 0 if meta is None else root.leaves_before(meta)
        if self.in_struct and not self._group.is_struct:
            raise UnsupportedError(f"its column {fields.meta!r} is not a struct")
        # Where there is no struct yet, it is the new column.
        has_group = self.in_struct or fields.meta is None
        tags = self._group.index(fields.tags) if has_group else None
        self.exists = tags is not None
        self.shares_struct = self.in_struct and len(self._group.children) > self.exists
        self.reader = Reader(source, self.footer, self._read_columns(videos, tags))
        check_types(self.reader.schema, fields, self.exists)
        self._position, self.leaf = self._positions(tags)
        self.keep = kept_bytes(self.footer, self.leaf.old)
        self._style = self._style_like(root.leaves_before(videos))
        self._plan(None if tags is None else self._group.children[tags])

    def written(self, groups: Iterable[pa.ChunkedArray]) -> bytes:
        """Write a Parquet file of the new column alone, with these row groups."""
        sink = io.BytesIO()
        schema = pa.schema([self.field])
        with pq.ParquetWriter(sink, schema, store_schema=False, **self._style) as writer:
            for values in groups:
                table = pa.Table.from_arrays([values], schema=schema)
                writer.write_table(table, row_group_size=max(1, len(values)))
        return sink.getvalue()

    def end(self, written: bytes) -> bytes:
        """Return what follows the bytes that stay: the pages of the new column, and the new footer.

        Args:
            written: the file of the new column.
        """
        new = Footer.read(io.BytesIO(written))
        _, *chain = [*self._root.chains()][self.leaf.index]
        path = Items(BINARY, [element.binary(ids.NAME) for element in chain])
        start = len(MAGIC)
        chunks = []
        for group in new.groups:
            chunk = shifted(group.structs(ids.COLUMNS)[0], self.keep - start)
            meta = chunk.struct(ids.META).changed({ids.PATH: path})
            chunks.append(chunk.changed({ids.META: meta}))
        tree = with_leaf(self._tree, self._root, self.leaf, chunks)
        return written[start : new.start] + closed(tree)

    def _read_columns(self, videos: int, tags: int | None) -> list[tuple[int, Node]]:
        root, group = self.footer.root, self._group
        columns = [(root.leaves_before(videos), root.children[videos])]
        if self.in_struct:
            index, field = _smallest(group) if tags is None else (tags, group.children[tags])
            first = self._first_leaf + group.leaves_before(index)
            columns.append((first, group.with_children([field])))
        elif tags is not None:
            columns.append((root.leaves_before(tags), root.children[tags]))
        return columns

    def _positions(self, tags: int | None) -> tuple[Insertion, Insertion]:
        """Find where the new column goes among the fields of its group, and among all leaves."""
        group, last = self._group, len(self._group.children)
        if tags is None:
            return Insertion(last), Insertion(self._first_leaf + group.leaves)
        old = self._first_leaf + group.leaves_before(tags)
        if old > 0:
            return Insertion(tags, tags), Insertion(old, old)
        # Spark looks for a row group where its first column starts and half its size further. With
        # a first column at the end of the file that is behind the end: its rows would be lost.
        if last == 1:
            raise UnsupportedError("its first column holds nothing but the tags")
        return Insertion(last - 1, tags), Insertion(group.leaves - 1, old)

    def _style_like(self, leaf: int) -> dict[str, Any]:
        """Choose how the new column is written: as the chunks of this leaf are."""
        if not self.footer.groups:
            return {}
        chunk = self.footer.groups[0].structs(ids.COLUMNS)[leaf]
        codec = _CODECS.get(chunk.struct(ids.META).integer(ids.CODEC), "none")
        return {"compression": codec, "write_page_index": ids.OFFSET_INDEX in chunk}

    def _plan(self, old: Node | None) -> None:
        """Plan the new schema, and the new value of each copy of it."""
        fields, group, root = self.fields, self._group, self.footer.root
        kept = old if old is not None and old.is_list else None
        items = kept.children[0].children[0] if kept else None
        self.type = pa.list_(pa.field("element", pa.string(), _is_nullable(items)))
        tags = self.field = pa.field(fields.tags, self.type, _is_nullable(kept))
        if fields.meta is not None:
            struct = group if self.in_struct else None
            self.field = pa.field(fields.meta, pa.struct([tags]), _is_nullable(struct))
        node = Footer.read(io.BytesIO(self.written(()))).root.children[0]
        if self.in_struct:
            node = node.children[0]
        # Lists that are there already keep the names of their levels and their field numbers.
        group = group.with_children(self._position.into(group.children, kept or node))
        if self._meta is not None:
            same = Insertion(self._meta, self._meta)
            self._root = root.with_children(same.into(root.children, group))
            path, added = [(self.field.name, same), (tags.name, self._position)], tags
        else:
            self._root = group
            path, added = [(self.field.name, self._position)], self.field
        self._tree = with_column(self.footer.tree, path, added)
        # With chunks that are there already in place of those to come: so that a footer that cannot
        # be changed is found out now.
        chunks = [group.structs(ids.COLUMNS)[0] for group in self.footer.groups]
        with_leaf(self._tree, self._root, self.leaf, chunks)


def _smallest(struct: Node) -> tuple[int, Node]:
    """Choose a field to read that tells where the struct is null: its index, and the field."""
    index = min(range(len(struct.children)), key=lambda child: struct.children[child].leaves)
    field = struct.children[index]
    if field.children:
        return index, field
    # Of a value only its presence is asked: what its bytes mean is left out.
    return index, Node(field.element.only((ids.TYPE, ids.TYPE_LENGTH, ids.REPETITION, ids.NAME)))


def _is_nullable(node: Node | None) -> bool:
    return node is None or not node.is_required
