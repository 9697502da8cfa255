"""The footer of a Parquet file that gains a column: what moves, what is counted, what is sorted."""

from collections.abc import Iterator, Sequence

from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_footer import Footer, extents
from tasks.manifests.parquet_schema import Insertion, Node
from tasks.manifests.thrift_compact import STRUCT, Field, Struct, Value, structs

_OFFSETS = (ids.FILE_OFFSET, ids.OFFSET_INDEX, ids.INDEX)
_META_OFFSETS = (ids.DATA_PAGE, ids.INDEX_PAGE, ids.DICTIONARY_PAGE, ids.BLOOM_FILTER)
_TYPE_ORDER = Struct({1: Field(STRUCT, Struct())})  # of a ColumnOrder; the only one for text


def kept_bytes(footer: Footer, leaf: int | None) -> int:
    """Count the bytes from the start of the file that stay when a leaf is superseded.

    The chunks and indexes of the leaf are left out if they are all that is before the footer, so
    that a file that was tagged here before does not grow with each night. No byte that may belong
    to another column is left out.
    """
    own: list[tuple[int, int]] = []
    others = 0
    for group in footer.groups:
        for number, chunk in enumerate(group.structs(ids.COLUMNS)):
            if number == leaf:
                own += extents(chunk)
            else:
                others = max(others, *(end for _, end in extents(chunk)))
    end = footer.start
    for start, own_end in sorted(own, reverse=True):
        if own_end != end or start < others:
            break
        end = start
    return end


def shifted(chunk: Struct, distance: int) -> Struct:
    """Return a column chunk that is ``distance`` bytes later in the file."""

    def moved(fields: Struct, numbers: Sequence[int]) -> Struct:
        offsets = {n: fields.integer(n) for n in numbers if n in fields}
        # 0 is no offset; FILE_OFFSET is deprecated and mostly 0.
        return fields.changed({n: offset + distance for n, offset in offsets.items() if offset})

    meta = moved(chunk.struct(ids.META), _META_OFFSETS)
    return moved(chunk, _OFFSETS).changed({ids.META: meta})


def with_leaf(tree: Struct, root: Node, leaf: Insertion, chunks: Sequence[Struct]) -> Struct:
    """Return a FileMetaData with a new leaf.

    Args:
        tree: the FileMetaData without it.
        root: the schema with it.
        chunks: its column chunk in each row group.
    """
    pairs = zip(tree.structs(ids.GROUPS), chunks, strict=True)
    groups = [_with_chunk(group, leaf, chunk) for group, chunk in pairs]
    changes: dict[int, Value] = {ids.SCHEMA: structs(root.elements()), ids.GROUPS: structs(groups)}
    if ids.COLUMN_ORDERS in tree:
        orders = tree.structs(ids.COLUMN_ORDERS)
        changes[ids.COLUMN_ORDERS] = structs(leaf.into(orders, _TYPE_ORDER))
    return tree.changed(changes)


def _with_chunk(group: Struct, leaf: Insertion, chunk: Struct) -> Struct:
    chunks = group.structs(ids.COLUMNS)
    old = Struct() if leaf.old is None else chunks[leaf.old].struct(ids.META)
    new = chunk.struct(ids.META)
    changes: dict[int, Value] = {ids.COLUMNS: structs(leaf.into(chunks, chunk))}
    for total, part in (
        (ids.TOTAL_BYTES, ids.UNCOMPRESSED),
        (ids.TOTAL_COMPRESSED, ids.COMPRESSED),
    ):
        if total in group:
            changes[total] = group.integer(total) + new.integer(part) - old.integer(part, 0)
    if ids.SORTING in group:
        changes[ids.SORTING] = structs(_still_sorted(group.structs(ids.SORTING), leaf))
    return group.changed(changes)


def _still_sorted(columns: Sequence[Struct], leaf: Insertion) -> Iterator[Struct]:
    """Yield the columns by which rows are sorted, up to the one that is replaced."""
    for column in columns:
        index = leaf.moved(column.integer(ids.COLUMN_INDEX))
        if index is None:
            return
        yield column.changed({ids.COLUMN_INDEX: index})
