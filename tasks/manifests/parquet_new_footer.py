"""Make the footer of a Parquet file that gains columns: offsets, totals, sorting columns."""

from collections.abc import Collection, Iterator, Sequence

from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_footer import Footer, extents
from tasks.manifests.parquet_schema import Node
from tasks.manifests.thrift_compact import STRUCT, Field, Struct, Value, structs

_OFFSETS = (ids.FILE_OFFSET, ids.OFFSET_INDEX, ids.INDEX)
_META_OFFSETS = (ids.DATA_PAGE, ids.INDEX_PAGE, ids.DICTIONARY_PAGE, ids.BLOOM_FILTER)
_TYPE_ORDER = Struct({1: Field(STRUCT, Struct())})  # of a ColumnOrder; the only one


def kept_bytes(footer: Footer, leaves: Collection[int]) -> int:
    """Count the bytes from the start of the file that stay when some leaves are superseded.

    Their chunks and indexes are dropped if nothing else lies between them and the footer, so that
    a file that this project tags again does not grow. No byte that may belong to another column is
    dropped.
    """
    own: list[tuple[int, int]] = []
    others = 0
    for group in footer.groups:
        for number, chunk in enumerate(group.structs(ids.COLUMNS)):
            if number in leaves:
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
    """Return a column chunk with its offsets increased by ``distance`` bytes."""

    def moved(fields: Struct, numbers: Sequence[int]) -> Struct:
        offsets = {n: fields.integer(n) for n in numbers if n in fields}
        # 0 means no offset; FILE_OFFSET is deprecated and mostly 0.
        return fields.changed({n: offset + distance for n, offset in offsets.items() if offset})

    meta = moved(chunk.struct(ids.META), _META_OFFSETS)
    return moved(chunk, _OFFSETS).changed({ids.META: meta})


def with_leaves(
    tree: Struct, root: Node, leaves: Sequence[int | None], added: Sequence[Sequence[Struct]]
) -> Struct:
    """Return a FileMetaData with new leaves.

    Args:
        tree: the FileMetaData without them.
        root: the schema with them.
        leaves: the former index of each leaf of that schema; None for a new one.
        added: the column chunks of the new leaves in each row group.
    """
    pairs = zip(tree.structs(ids.GROUPS), added, strict=True)
    groups = [_with_chunks(group, leaves, chunks) for group, chunks in pairs]
    changes: dict[int, Value] = {ids.SCHEMA: structs(root.elements()), ids.GROUPS: structs(groups)}
    if ids.COLUMN_ORDERS in tree:
        old = tree.structs(ids.COLUMN_ORDERS)
        orders = [_TYPE_ORDER if leaf is None else old[leaf] for leaf in leaves]
        changes[ids.COLUMN_ORDERS] = structs(orders)
    return tree.changed(changes)


def _with_chunks(group: Struct, leaves: Sequence[int | None], added: Sequence[Struct]) -> Struct:
    old, new = group.structs(ids.COLUMNS), iter(added)
    chunks = [next(new) if leaf is None else old[leaf] for leaf in leaves]
    kept = set(leaves)
    gone = [chunk for leaf, chunk in enumerate(old) if leaf not in kept]
    changes: dict[int, Value] = {ids.COLUMNS: structs(chunks)}
    for total, part in (
        (ids.TOTAL_BYTES, ids.UNCOMPRESSED),
        (ids.TOTAL_COMPRESSED, ids.COMPRESSED),
    ):
        if total in group:
            changes[total] = group.integer(total) + _sum(added, part) - _sum(gone, part)
    if ids.SORTING in group:
        changes[ids.SORTING] = structs(_still_sorted(group.structs(ids.SORTING), leaves))
    return group.changed(changes)


def _sum(chunks: Sequence[Struct], part: int) -> int:
    return sum(chunk.struct(ids.META).integer(part) for chunk in chunks)


def _still_sorted(columns: Sequence[Struct], leaves: Sequence[int | None]) -> Iterator[Struct]:
    """Yield the columns by which rows are sorted, up to the first one that is replaced."""
    for column in columns:
        index = column.integer(ids.COLUMN_INDEX)
        if index not in leaves:
            return
        yield column.changed({ids.COLUMN_INDEX: leaves.index(index)})
