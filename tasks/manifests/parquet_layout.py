"""The schema of a Parquet file that gains columns: what stays, what is new, and in which order."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.manifests.parquet_footer import Footer
from tasks.manifests.parquet_schema import Node, UnsupportedError, find


class Group:
    """The columns that the written ones join: the top level, or the fields of a struct.

    Attributes:
        root: the schema of the file.
        meta: name of the struct; None for the top level.
        index: index of the struct at the top level; None if the file lacks it.
        node: the struct; None if the file lacks it.
        children: the columns that the group has in the file.
        starts: index of the first leaf of each child, and of the first leaf after them.
    """

    def __init__(self, root: Node, meta: str | None) -> None:
        self.root, self.meta = root, meta
        self.index = None if meta is None else find(root.children, meta)
        self.node = None if self.index is None else root.children[self.index]
        if self.node is not None and not self.node.is_struct:
            raise UnsupportedError(f"its column {meta!r} is not a struct")
        self.children, first = root.children, 0
        if meta is not None:
            self.children = () if self.node is None else self.node.children
            first = root.leaves if self.index is None else root.leaves_before(self.index)
        self.starts = [*accumulate((child.leaves for child in self.children), initial=first)]

    def leaves(self, child: int) -> range:
        """Return the indexes of the leaves of a column."""
        return range(self.starts[child], self.starts[child + 1])


@dataclass(frozen=True)
class Column:
    """A column that is written.

    Attributes:
        field: its name and type.
        node: its part of the new schema.
        index: its index in the group; None if the file lacks it.
    """

    field: pa.Field
    node: Node
    index: int | None

    @property
    def name(self) -> str:
        return str(self.field.name)


class Layout:
    """The new schema.

    Attributes:
        group: the group that the columns are written to, as it is in the file.
        order: the children of the new group: each the old index of an unchanged column, or a
            written column.
    """

    def __init__(self, group: Group, columns: Sequence[Column]) -> None:
        self.group = group
        order = self.order = list[int | Column](range(len(group.children)))
        for column in columns:
            if column.index is None:
                order.append(column)
            else:
                order[column.index] = column
        # Spark locates a row group by its middle: the offset of its first column plus half its
        # size. With the first column at the end of the file, the middle would lie behind the end,
        # and the rows would be lost.
        if group.starts[0] == 0:
            if not any(isinstance(child, int) for child in order):
                raise UnsupportedError(
                    f"its first column, {group.meta!r}, holds nothing but tags: they cannot"
                    " be replaced there (Spark would lose rows), so write it with another column"
                    " first"
                )
            while isinstance(order[0], Column):
                order.append(order.pop(0))

    @property
    def columns(self) -> list[Column]:
        """The written columns, in the order of the new schema."""
        return [child for child in self.order if isinstance(child, Column)]

    def leaves(self) -> list[int | None]:
        """Return the former index of each leaf of the new schema; None for a new one."""
        group, inside = self.group, list[int | None]()
        for child in self.order:
            if isinstance(child, Column):
                inside += [None] * child.node.leaves
            else:
                inside += group.leaves(child)
        return [*range(group.starts[0]), *inside, *range(group.starts[-1], group.root.leaves)]

    def schema(self) -> Node:
        """Return the new schema of the whole file."""
        group, root = self.group, self.group.root
        children = [
            child.node if isinstance(child, Column) else group.children[child]
            for child in self.order
        ]
        if group.meta is None:
            return root.with_children(children)
        if group.index is None:
            return root.with_children([*root.children, node_of(self.new_struct())])
        top = [*root.children]
        top[group.index] = top[group.index].with_children(children)
        return root.with_children(top)

    def new_fields(self) -> list[pa.Field]:
        """Return the written columns, or the struct that holds them if the file lacks it."""
        if self.group.meta is not None and self.group.index is None:
            return [self.new_struct()]
        return [column.field for column in self.columns]

    def new_struct(self) -> pa.Field:
        """Return the struct that holds the written columns."""
        return pa.field(self.group.meta, pa.struct([column.field for column in self.columns]))


def node_of(field: pa.Field) -> Node:
    """Return the part of a schema that pyarrow writes for a column."""
    sink = io.BytesIO()
    pq.ParquetWriter(sink, pa.schema([field]), store_schema=False).close()
    return Footer.read(sink).root.children[0]
