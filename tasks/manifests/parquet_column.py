"""The tag column of one Parquet file: where it is or goes, and the end of the file with it."""

import io
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.manifests import Fields
from tasks.manifests.parquet_file import Spliced
from tasks.manifests.parquet_footer import (
    CODEC,
    COLUMNS,
    CONVERTED_TYPE,
    GROUP_ROWS,
    KEY_VALUES,
    LOGICAL_TYPE,
    META,
    NAME,
    OFFSET_INDEX,
    PATH,
    REPEATED,
    REPETITION,
    REQUIRED,
    TYPE,
    TYPE_LENGTH,
    Footer,
    Insertion,
    Node,
    UnsupportedError,
    closed,
    data_end,
    shifted,
)
from tasks.manifests.parquet_schemas import is_list, is_text, with_column
from tasks.manifests.thrift_compact import BINARY, Items, MalformedError, Struct, structs

BATCH_ROWS = 16_384
_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4"}
_MAX_GROUP_ROWS = 64 << 20  # pyarrow splits larger ones
_BYTE_ARRAY = 6


class TagColumn:
    """The tags of one file. Of its other columns only the videos are read.

    Whatever cannot be done to the file is found out here, before any of its videos is decoded.

    Attributes:
        footer: of the file.
        metadata: the same as pyarrow reads it.
        exists: whether the file has the tags.
        in_struct: whether the file has the struct that holds them or will hold them.
        shares_struct: whether that struct holds other fields. It says for all of them where it is
            null, so that a row in which it is cannot gain tags alone.
        type: of the tags: lists of text.
        field: the column that is written: the tags, or the struct with nothing else in it.
        leaf: position of the tags among all leaves.
        keep: the bytes of the file that stay, from its start.
    """

    def __init__(self, source: BinaryIO, fields: Fields) -> None:
        self.footer, self._fields = Footer.read(source), fields
        self.metadata = pq.read_metadata(Spliced(source, source.seek(0, io.SEEK_END), b""))
        root = self.footer.root
        videos = root.index(fields.videos)
        if videos is None:
            raise UnsupportedError(f"has no column {fields.videos!r}")
        self._meta = None if fields.meta is None else root.index(fields.meta)
        self.in_struct = self._meta is not None
        # Where there is no struct yet, it is the new column.
        self._group = root if self._meta is None else root.children[self._meta]
        has_group = fields.meta is None or self.in_struct
        tags = self._group.index(fields.tags) if has_group else None
        self.exists = tags is not None
        self.shares_struct = self.in_struct and len(self._group.children) > self.exists
        self._file = pq.ParquetFile(self._narrowed(source, videos, tags))
        _check(self._file.schema_arrow, fields)
        self._position, self.leaf = self._positions(tags)
        self.keep = data_end(self.footer, self.leaf.old)
        self._style = self._style_of(root.leaves_before(videos))
        self._plan_schema(None if tags is None else self._group.children[tags])

    def batches(self, group: int) -> Iterator[pa.RecordBatch]:
        """The rows of a row group: the videos, and the tags (or the struct that holds them) if the
        file has them.

        Raises:
            MalformedError: their number is not what the footer says.
        """
        expected, rows = self.footer.groups[group].integer(GROUP_ROWS), 0
        for batch in self._file.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False):
            _validate(batch)
            rows += batch.num_rows
            yield batch
        if rows != expected:
            raise MalformedError(f"row group {group + 1} has {rows} rows, not {expected}")

    def written(self, groups: Iterable[pa.ChunkedArray]) -> bytes:
        """A Parquet file of the new column alone, with these row groups."""
        sink = io.BytesIO()
        schema = pa.schema([self.field])
        with pq.ParquetWriter(sink, schema, store_schema=False, **self._style) as writer:
            for values in groups:
                table = pa.Table.from_arrays([values], schema=schema)
                writer.write_table(table, row_group_size=max(1, len(values)))
        return sink.getvalue()

    def end(self, written: bytes) -> bytes:
        """What follows the bytes that stay: the pages of the new column, and the new footer.

        Args:
            written: the file of the new column.
        """
        new = Footer.read(io.BytesIO(written))
        chunks = [self._placed(group.structs(COLUMNS)[0]) for group in new.groups]
        tree = self.footer.with_leaf(self._root, self.leaf, chunks)
        if KEY_VALUES in tree:
            tree = tree.changed({KEY_VALUES: structs(self._key_values)})
        return written[4 : new.start] + closed(tree)

    def _placed(self, chunk: Struct) -> Struct:
        """A chunk of the file of the new column as one of this file."""
        chunk = shifted(chunk, self.keep - 4)
        path = Items(BINARY, list(self._names))
        return chunk.changed({META: chunk.struct(META).changed({PATH: path})})

    def _narrowed(self, source: BinaryIO, videos: int, tags: int | None) -> Spliced:
        """The file with only the columns that are read."""
        root, group = self.footer.root, self._group
        columns, first = [root.children[videos]], root.leaves_before(videos)
        leaves = [*range(first, first + columns[0].leaves)]
        if self.in_struct:
            columns.append(group)
            first = root.leaves_before(self._meta or 0)
            if _is_plain_struct(group):
                child, field = _narrow_struct(group, tags)
                columns[-1] = group.with_children([field])
                first, group = first + group.leaves_before(child), field
            leaves += range(first, first + group.leaves)
        elif tags is not None:
            columns.append(root.children[tags])
            first = root.leaves_before(tags)
            leaves += range(first, first + columns[1].leaves)
        return Spliced(source, self.footer.start, self.footer.narrowed(columns, leaves))

    def _positions(self, tags: int | None) -> tuple[Insertion, Insertion]:
        """Where the new column goes among the fields of its group, and among all leaves."""
        group, root = self._group, self.footer.root
        first = 0 if self._meta is None else root.leaves_before(self._meta)
        last = len(group.children)
        if tags is None:
            return Insertion(last), Insertion(first + group.leaves)
        old = first + group.leaves_before(tags)
        if old > 0:
            return Insertion(tags, tags), Insertion(old, old)
        # Spark looks for a row group where its first column starts and half its size further. With
        # a first column at the end of the file that is behind the end: its rows would be lost.
        if last == 1:
            raise UnsupportedError("its first column holds nothing but the tags")
        return Insertion(last - 1, tags), Insertion(group.leaves - 1, old)

    def _style_of(self, videos: int) -> dict[str, Any]:
        """How the new column is written: as that of the videos."""
        if not self.footer.groups:
            return {}
        if any(group.integer(GROUP_ROWS) > _MAX_GROUP_ROWS for group in self.footer.groups):
            raise UnsupportedError(f"has a row group of more than {_MAX_GROUP_ROWS} rows")
        chunk = self.footer.groups[0].structs(COLUMNS)[videos]
        codec = _CODECS.get(chunk.struct(META).integer(CODEC), "none")
        return {"compression": codec, "write_page_index": OFFSET_INDEX in chunk}

    def _plan_schema(self, old: Node | None) -> None:
        """The schema with the new column, and each copy of it."""
        fields, group, root = self._fields, self._group, self.footer.root
        kept = old if old is not None and _is_standard_list(old) else None
        items = kept.children[0].children[0] if kept else None
        self.type = pa.list_(pa.field("element", pa.string(), _is_nullable(items)))
        self.field = added = pa.field(fields.tags, self.type, _is_nullable(kept))
        if fields.meta is not None:
            struct = group if self.in_struct else None
            self.field = pa.field(fields.meta, pa.struct([added]), _is_nullable(struct))
        node = Footer.read(io.BytesIO(self.written(()))).root.children[0]
        path = [(self.field.name, self._position)]
        if self._meta is None:
            added = self.field
        else:
            node = node.children[0]
            path = [(self.field.name, Insertion(self._meta, self._meta)),
                    (added.name, self._position)]  # fmt: skip
        # Lists that are there already keep the names of their levels and their field numbers.
        group = group.with_children(self._position.into(group.children, kept or node))
        columns = list(root.children)
        if self._meta is not None:
            columns[self._meta] = group
        self._root = group if self._meta is None else root.with_children(columns)
        self._names = self._root.path(self.leaf.index)
        pairs = self.footer.tree.structs(KEY_VALUES) if KEY_VALUES in self.footer.tree else []
        self._key_values = with_column(pairs, path, added)
        # With chunks that are there already in place of those to come: so that a footer that cannot
        # be changed is found out now.
        self.footer.with_leaf(
            self._root, self.leaf, [group.structs(COLUMNS)[0] for group in self.footer.groups]
        )


def _validate(batch: pa.RecordBatch) -> None:
    """Refuse what a damaged page may be read as: offsets that point outside of their values."""
    batch.validate()
    for column in batch.columns:
        # As bytes: text that is not UTF-8 is a fault of its row alone.
        column.cast(_without_text(column.type)).validate(full=True)


def _without_text(arrow_type: pa.DataType) -> pa.DataType:
    if is_text(arrow_type):
        return pa.binary()
    if is_list(arrow_type):
        return pa.list_(arrow_type.value_field.with_type(_without_text(arrow_type.value_type)))
    if pa.types.is_struct(arrow_type):
        return pa.struct([field.with_type(_without_text(field.type)) for field in arrow_type])
    return arrow_type


def _check(schema: pa.Schema, fields: Fields) -> None:
    """Refuse a table in which no row could be tagged: the types hold for all of them."""
    videos = schema.field(0).type
    item = videos.value_type if is_list(videos) else videos
    if not (is_text(item) or pa.types.is_null(item)):
        raise UnsupportedError(f"its column {fields.videos!r} is {videos}, not paths")
    if len(schema) == 1:
        return
    tags = schema.field(1).type
    if fields.meta is not None:
        if not pa.types.is_struct(tags):
            raise UnsupportedError(f"its column {fields.meta!r} is {tags}, not a struct")
        if tags.get_field_index(fields.tags) < 0:
            return
        tags = tags.field(fields.tags).type
    item = tags.value_type if is_list(tags) else tags
    if not (pa.types.is_null(item) or (is_list(tags) and is_text(item))):
        raise UnsupportedError(f"its column {fields.tags!r} is {tags}, not lists of text")


def _is_plain_struct(node: Node) -> bool:
    """Whether it is a group that is neither a list nor a map nor repeated."""
    annotated = CONVERTED_TYPE in node.element or LOGICAL_TYPE in node.element
    return bool(node.children) and not annotated and node.repetition != REPEATED


def _narrow_struct(struct: Node, tags: int | None) -> tuple[int, Node]:
    """The field of a struct that is read: the tags, or any that tells where the struct is null."""
    if tags is not None:
        return tags, struct.children[tags]
    index = min(range(len(struct.children)), key=lambda child: struct.children[child].leaves)
    field = struct.children[index]
    if field.children:
        return index, field
    # Of a value only its presence is asked: its bytes mean nothing here.
    physical = (TYPE, TYPE_LENGTH, REPETITION, NAME)
    return index, Node(Struct({n: field.element[n] for n in physical if n in field.element}))


def _is_standard_list(node: Node) -> bool:
    """Whether it has the three levels of a list as pyarrow writes it, however they are named."""
    if not (LOGICAL_TYPE in node.element or CONVERTED_TYPE in node.element):
        return False
    if node.repetition == REPEATED or len(node.children) != 1:
        return False
    middle = node.children[0]
    if middle.repetition != REPEATED or len(middle.children) != 1:
        return False
    item = middle.children[0]
    return item.repetition != REPEATED and item.element.get(TYPE, (0, -1))[1] == _BYTE_ARRAY


def _is_nullable(node: Node | None) -> bool:
    return node is None or node.repetition != REQUIRED
