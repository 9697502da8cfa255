"""The schema of a Parquet file as a tree of columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.manifests import parquet_ids as ids
from tasks.manifests.thrift_compact import MalformedError, Struct

_MAX_TYPE = 7
_REQUIRED, _OPTIONAL, _REPEATED = range(3)
_MAX_NESTING = 64  # readers recurse


class UnsupportedError(ValueError):
    """The file may be valid, but a column cannot be added to it."""


@dataclass(frozen=True)
class Node:
    """A column with values (a leaf), or a group of columns.

    Attributes:
        element: its SchemaElement.
        children: the columns of a group.
    """

    element: Struct
    children: tuple["Node", ...] = ()

    @property
    def name(self) -> str:
        return self.element.binary(ids.NAME).decode()

    @property
    def is_required(self) -> bool:
        return self.element.integer(ids.REPETITION, _REQUIRED) == _REQUIRED

    @property
    def is_repeated(self) -> bool:
        return self.element.integer(ids.REPETITION, _REQUIRED) == _REPEATED

    @property
    def is_annotated(self) -> bool:
        """Whether it has a logical type, as lists and maps have."""
        return ids.CONVERTED_TYPE in self.element or ids.LOGICAL_TYPE in self.element

    @property
    def is_struct(self) -> bool:
        return bool(self.children) and not self.is_annotated and not self.is_repeated

    def holds(self, other: "Node") -> bool:
        """Tell whether this column can hold the values of another: both have the same levels and
        types. The names of list levels, and which levels are required, do not matter."""
        return (
            self.element.integer(ids.TYPE, -1) == other.element.integer(ids.TYPE, -1)
            and self.is_repeated == other.is_repeated
            and len(self.children) == len(other.children)
            and (not self.children or self.is_annotated == other.is_annotated)
            and all(
                own.holds(child) and (own.name == child.name or not self.is_struct)
                for own, child in zip(self.children, other.children, strict=True)
            )
        )

    @property
    def leaves(self) -> int:
        """How many leaves it holds; one if it is a leaf."""
        return 1 if ids.TYPE in self.element else sum(child.leaves for child in self.children)

    def leaves_before(self, index: int) -> int:
        """Count the leaves of the children before this one."""
        return sum(child.leaves for child in self.children[:index])

    def with_children(self, children: Sequence["Node"]) -> "Node":
        """Return this group with other columns."""
        return Node(self.element.changed({ids.CHILDREN: len(children)}), tuple(children))

    def elements(self) -> Iterator[Struct]:
        """Yield its elements as a footer lists them, depth first."""
        yield self.element
        for child in self.children:
            yield from child.elements()

    def chains(self) -> Iterator[tuple[Struct, ...]]:
        """Yield for each leaf the elements from this one down to the leaf; groups come without
        their number of children."""
        if ids.TYPE in self.element:
            yield (self.element,)
        own = self.element.only(self.element.keys() - {ids.CHILDREN})
        for child in self.children:
            for chain in child.chains():
                yield (own, *chain)


def find(columns: Sequence[Node], name: str) -> int | None:
    """Find the column of this name, if there is one."""
    found = [number for number, column in enumerate(columns) if column.name == name]
    if len(found) > 1:
        raise UnsupportedError(f"has {len(found)} columns {name!r}")
    return found[0] if found else None


def parse_schema(elements: Sequence[Struct]) -> Node:
    """Make a tree of the elements of a footer.

    Raises:
        MalformedError: they do not form a schema.
        UnsupportedError: they are nested too deeply.
        UnicodeDecodeError: a name is not UTF-8.
    """
    remaining = iter(elements)
    root = _parse(remaining, 0)
    if next(remaining, None) is not None:
        raise MalformedError("its schema has more columns than it says")
    return root


def _parse(elements: Iterator[Struct], depth: int) -> Node:
    element = next(elements, None)
    if element is None:
        raise MalformedError("its schema has fewer columns than it says")
    if depth > _MAX_NESTING:
        raise UnsupportedError(f"has columns nested in more than {_MAX_NESTING} levels")
    element.check(ids.ELEMENT_TYPES)
    element.binary(ids.NAME).decode()
    if element.integer(ids.REPETITION, _REQUIRED) not in (_REQUIRED, _OPTIONAL, _REPEATED):
        raise MalformedError("a column is neither required nor optional nor repeated")
    count = element.integer(ids.CHILDREN, 0)
    if ids.TYPE in element:
        if count or not 0 <= element.integer(ids.TYPE) <= _MAX_TYPE:
            raise MalformedError("a column has an unknown type")
    elif count < (depth > 0):
        raise MalformedError("a group has no columns")
    return Node(element, tuple(_parse(elements, depth + 1) for _ in range(count)))
