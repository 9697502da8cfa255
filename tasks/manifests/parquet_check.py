"""Compare a Parquet file that gained columns with the old file, before the new one replaces it."""

from collections.abc import Sequence
from typing import BinaryIO, cast

from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_column_file import ColumnFile, digest
from tasks.manifests.parquet_columns import Columns, NewEnd
from tasks.manifests.parquet_file import Spliced


class CheckError(ValueError):
    """The new file is not the old one with new columns. This is a bug of this project."""


def verify(source: BinaryIO, columns: Columns, end: NewEnd, files: Sequence[ColumnFile]) -> None:
    """Read the new file and compare it with the old one.

    Args:
        source: the old file.
        columns: the written columns of the old file.
        end: what the new file has after the bytes that stay.
        files: the new columns.

    Raises:
        CheckError: another column, or a value of a new one, is not what it should be.
    """
    # This checks the new footer too: each chunk lies inside the data.
    result = Columns(cast(BinaryIO, Spliced(source, end.keep, end.data)), columns.fields)
    _compare_others(columns, result, end, {file.column.name for file in files})
    for number in range(len(result.footer.groups)):
        batches = [result.old(batch) for batch in result.reader.batches(number)]
        for file in files:
            name = file.column.name
            if digest([batch[name] for batch in batches]) != file.digests[number]:
                raise CheckError(f"{name!r} of row group {number + 1} is not what was written")


def _compare_others(columns: Columns, result: Columns, end: NewEnd, written: set[str]) -> None:
    """Refuse a new file in which another column has moved or changed."""
    if any(column.index is None for column in result.columns if column.name in written):
        raise CheckError("a new column is not there")
    old, new = columns.footer, result.footer
    others = [(leaf, number) for number, leaf in enumerate(end.leaves) if leaf is not None]
    superseded = sum(
        len(columns.group.leaves(column.index))
        for column in columns.columns
        if column.index is not None and column.name in written
    )
    if len(others) + superseded != old.root.leaves or len(end.leaves) != new.root.leaves:
        raise CheckError("there are other columns")
    old_chains, new_chains = [*old.root.chains()], [*new.root.chains()]
    if any(old_chains[before] != new_chains[after] for before, after in others):
        raise CheckError("another column has another schema")
    # Not with pyarrow: damaged statistics make it end the process (std::terminate).
    for old_group, new_group in zip(old.groups, new.groups, strict=True):
        old_chunks, new_chunks = old_group.structs(ids.COLUMNS), new_group.structs(ids.COLUMNS)
        if any(old_chunks[before] != new_chunks[after] for before, after in others):
            raise CheckError("another column has moved")
        if old_group[ids.GROUP_ROWS] != new_group[ids.GROUP_ROWS]:
            raise CheckError("a row group has other rows")
