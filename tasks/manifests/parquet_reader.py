"""Read the videos and the written columns of a Parquet file, and no other column.

pyarrow reads the file through a footer that lists only these: in other columns, some kinds of
damage make it end the process (std::terminate).
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.manifests import parquet_ids as ids
from tasks.manifests.parquet_file import Spliced
from tasks.manifests.parquet_footer import Footer, closed
from tasks.manifests.parquet_schema import Node
from tasks.manifests.parquet_types import is_list, is_text
from tasks.manifests.thrift_compact import I64, STRUCT, Field, MalformedError, Struct, structs

_BATCH_ROWS = 2048  # their scores and timelines are Python objects in memory at once
# CREATED_BY stays: readers work around the bugs of the writer that it names.
_FILE_FIELDS = (ids.VERSION, ids.SCHEMA, ids.ROWS, ids.GROUPS, ids.CREATED_BY)
# Neither statistics nor indexes.
_META_FIELDS = (*range(ids.PHYSICAL_TYPE, ids.COMPRESSED + 1), ids.DATA_PAGE, ids.DICTIONARY_PAGE)


class Reader:
    """Reads some columns of a file.

    Args:
        columns: each column, and the indexes of its leaves in the file.
    """

    def __init__(
        self, source: BinaryIO, footer: Footer, columns: Sequence[tuple[Sequence[int], Node]]
    ) -> None:
        self._groups = footer.groups
        end = closed(_narrowed(footer, columns))
        self._file = pq.ParquetFile(Spliced(source, footer.start, end))
        self.schema: pa.Schema = self._file.schema_arrow

    def batches(self, group: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a row group.

        Raises:
            MalformedError: their number is not what the footer says.
        """
        expected, rows = self._groups[group].integer(ids.GROUP_ROWS), 0
        for batch in self._file.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False):
            # A damaged page may be read as offsets that point outside of their values.
            batch.validate()
            for column in batch.columns:
                # As bytes: text that is not UTF-8 is a fault of one row, not of the file.
                column.cast(_without_text(column.type)).validate(full=True)
            rows += batch.num_rows
            yield batch
        if rows != expected:
            raise MalformedError(f"row group {group + 1} has {rows} rows, not {expected}")


def _narrowed(footer: Footer, columns: Sequence[tuple[Sequence[int], Node]]) -> Struct:
    """Return a FileMetaData of the same data with only these columns."""
    leaves = [leaf for own, _ in columns for leaf in own]
    groups = []
    for group in footer.groups:
        chunks = group.structs(ids.COLUMNS)
        metas = [chunks[leaf].struct(ids.META).only(_META_FIELDS) for leaf in leaves]
        own = [
            Struct({ids.FILE_OFFSET: Field(I64, 0), ids.META: Field(STRUCT, meta)})
            for meta in metas
        ]
        kept = group.only((ids.COLUMNS, ids.TOTAL_BYTES, ids.GROUP_ROWS))
        groups.append(kept.changed({ids.COLUMNS: structs(own)}))
    root = footer.root.with_children([column for _, column in columns])
    return footer.tree.only(_FILE_FIELDS).changed(
        {ids.SCHEMA: structs(root.elements()), ids.GROUPS: structs(groups)}
    )


def _without_text(arrow_type: pa.DataType) -> pa.DataType:
    if is_text(arrow_type):
        return pa.binary()
    if is_list(arrow_type):
        return pa.list_(arrow_type.value_field.with_type(_without_text(arrow_type.value_type)))
    if pa.types.is_struct(arrow_type):
        return pa.struct([field.with_type(_without_text(field.type)) for field in arrow_type])
    return arrow_type
