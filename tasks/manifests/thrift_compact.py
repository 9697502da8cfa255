"""Read and write Thrift's compact protocol as a tree, without a schema.

Whoever changes a structure this way keeps the fields that nobody here knows: each is kept with its
number, its type and its value, in the order in which it was written.
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(14)

_FIXED = {BYTE: 1, DOUBLE: 8, UUID: 16}
_INTEGERS = frozenset({I16, I32, I64})
_BOOLEANS = frozenset({TRUE, FALSE})
_MAX_DEPTH = 64
_HALF_I32 = 1 << 31
_MAX_SHIFT = 63  # of the last 7 bits of a 64-bit number


class MalformedError(ValueError):
    """These bytes are not what they should be."""


class Field(NamedTuple):
    """The type and the value of one field."""

    type: int
    value: "Value"


class Items(NamedTuple):
    """A list or a set: the type of its items, and these."""

    type: int
    values: "list[Value]"


class Pairs(NamedTuple):
    """A map: the types of keys and values in one byte, as written, and the pairs."""

    types: int
    values: "list[tuple[Value, Value]]"


class Struct(dict[int, Field]):
    """Fields by number. What a getter finds missing or of another type is malformed."""

    def integer(self, number: int, default: int | None = None) -> int:
        """The value of an integer field."""
        value = self._value(number, default)
        if not isinstance(value, int):
            raise MalformedError(f"field {number} is no integer")
        return value

    def binary(self, number: int) -> bytes:
        """The value of a string field, not decoded."""
        value = self._value(number, None)
        if not isinstance(value, bytes):
            raise MalformedError(f"field {number} is no string")
        return value

    def struct(self, number: int) -> "Struct":
        """The value of a field that is a structure."""
        value = self._value(number, None)
        if not isinstance(value, Struct):
            raise MalformedError(f"field {number} is no structure")
        return value

    def structs(self, number: int) -> "list[Struct]":
        """The items of a field that is a list of structures; a new list."""
        value = self._value(number, None)
        if not isinstance(value, Items) or (value.values and value.type != STRUCT):
            raise MalformedError(f"field {number} is no list of structures")
        return [item for item in value.values if isinstance(item, Struct)]

    def check(self, types: Mapping[int, int]) -> None:
        """Refuse fields of other types than these: other readers take them for missing.

        Raises:
            MalformedError: a field has another type, or a number that its type does not hold.
        """
        for number, kind in types.items():
            found = self.get(number)
            if found is None:
                continue
            if found.type != kind:
                raise MalformedError(f"field {number} has type {found.type}, not {kind}")
            if kind == I32 and not -_HALF_I32 <= self.integer(number) < _HALF_I32:
                raise MalformedError(f"field {number} has more than 32 bits")

    def changed(self, changes: "dict[int, Value]") -> "Struct":
        """A copy in which fields that are there have other values."""
        copy = Struct(self)
        for number, value in changes.items():
            copy[number] = Field(self[number].type, value)
        return copy

    def _value(self, number: int, default: int | None) -> "Value | None":
        found = self.get(number)
        if found is None and default is None:
            raise MalformedError(f"field {number} is missing")
        return default if found is None else found.value


Value = int | bytes | Items | Pairs | Struct


def structs(values: Iterable[Struct]) -> Items:
    """A list of structures as the value of a field."""
    return Items(STRUCT, list(values))


def decode(data: bytes) -> tuple[Struct, int]:
    """Read one structure from the start of ``data``; also how many bytes it took.

    Raises:
        MalformedError: this is no such structure.
    """
    reader = _Reader(data)
    try:
        return reader.struct(0), reader.position
    except IndexError:
        raise MalformedError("it ends too early") from None


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def byte(self) -> int:
        self.position += 1
        return self.data[self.position - 1]

    def varint(self) -> int:
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 127) << shift
            if byte < 128:
                return result
            shift += 7
            if shift > _MAX_SHIFT:
                raise MalformedError("a number has more than 64 bits")

    def zigzag(self) -> int:
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def take(self, size: int) -> bytes:
        start, self.position = self.position, self.position + size
        if self.position > len(self.data):
            raise MalformedError("it ends too early")
        return self.data[start : self.position]

    def count(self, size: int) -> int:
        if size > len(self.data) - self.position:  # each item takes a byte at least
            raise MalformedError("a list is longer than all that follows")
        return size

    def struct(self, depth: int) -> Struct:
        if depth > _MAX_DEPTH:
            raise MalformedError("it is nested too deeply")
        fields, number = Struct(), 0
        while head := self.byte():
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            # The value of a boolean field is its type.
            fields[number] = Field(kind, 0 if kind in _BOOLEANS else self.value(kind, depth))
        return fields

    def value(self, kind: int, depth: int) -> Value:
        if kind in _INTEGERS:
            return self.zigzag()
        if kind == BINARY:
            return self.take(self.varint())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            return self.items(depth + 1)
        if kind == MAP:
            return self.pairs(depth + 1)
        if kind in _BOOLEANS:
            return self.byte()
        if kind in _FIXED:
            return self.take(_FIXED[kind])
        raise MalformedError(f"there is no type {kind}")

    def items(self, depth: int) -> Items:
        if depth > _MAX_DEPTH:
            raise MalformedError("it is nested too deeply")
        head = self.byte()
        size = self.count(self.varint() if head >> 4 == 15 else head >> 4)
        return Items(head & 15, [self.value(head & 15, depth) for _ in range(size)])

    def pairs(self, depth: int) -> Pairs:
        if depth > _MAX_DEPTH:
            raise MalformedError("it is nested too deeply")
        size = self.count(self.varint())
        types = self.byte() if size else 0
        return Pairs(
            types,
            [(self.value(types >> 4, depth), self.value(types & 15, depth)) for _ in range(size)],
        )


def encode(struct: Struct) -> bytes:
    """Write a structure: the bytes that :func:`decode` read, where nothing was changed."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


def _write_varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _write_zigzag(out: bytearray, number: int) -> None:
    _write_varint(out, number << 1 if number >= 0 else (-number << 1) - 1)


def _write_struct(out: bytearray, struct: Struct) -> None:
    last = 0
    for number, (kind, value) in struct.items():
        if 0 < number - last < 16:
            out.append(number - last << 4 | kind)
        else:
            out.append(kind)
            _write_zigzag(out, number)
        if kind not in _BOOLEANS:
            _write(out, kind, value)
        last = number
    out.append(STOP)


def _write(out: bytearray, kind: int, value: Value) -> None:
    if isinstance(value, Struct):
        _write_struct(out, value)
    elif isinstance(value, Items):
        size = len(value.values)
        out.append(min(size, 15) << 4 | value.type)
        if size >= 15:
            _write_varint(out, size)
        for item in value.values:
            _write(out, value.type, item)
    elif isinstance(value, Pairs):
        _write_varint(out, len(value.values))
        if value.values:
            out.append(value.types)
        for key, item in value.values:
            _write(out, value.types >> 4, key)
            _write(out, value.types & 15, item)
    elif isinstance(value, bytes):
        if kind == BINARY:
            _write_varint(out, len(value))
        out += value
    elif kind in _INTEGERS:
        _write_zigzag(out, value)
    else:  # a boolean in a list
        out.append(value)
