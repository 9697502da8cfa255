"""Decode and encode Thrift's compact protocol as a tree, without a schema.

A structure that is changed this way keeps its unknown fields: their numbers, types, values and
order.
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(14)

_FIXED = {BYTE: 1, DOUBLE: 8, UUID: 16}
_INTEGERS = frozenset({I16, I32, I64})
_BOOLEANS = frozenset({TRUE, FALSE})
_MAX_DEPTH = 64

T = TypeVar("T")


class MalformedError(ValueError):
    """The bytes do not have the expected structure."""


class Field(NamedTuple):
    """One field of a structure. A boolean's value is its type."""

    type: int
    value: "Value"


class Items(NamedTuple):
    """A list or a set, with the type of its items."""

    type: int
    values: "list[Value]"


class Pairs(NamedTuple):
    """A map, with the types of its keys (high four bits) and values (low four bits)."""

    types: int
    values: "list[tuple[Value, Value]]"


class Struct(dict[int, Field]):
    """Fields by number. A getter raises MalformedError if the field is missing or of another
    type."""

    def integer(self, number: int, default: int | None = None) -> int:
        return self._get(number, int, default)

    def binary(self, number: int) -> bytes:
        return self._get(number, bytes)

    def struct(self, number: int) -> "Struct":
        return self._get(number, Struct)

    def structs(self, number: int) -> "list[Struct]":
        """Return the items of a list of structures, as a new list."""
        items = self._get(number, Items)
        if items.values and items.type != STRUCT:
            raise MalformedError(f"field {number} is not a list of structures")
        return [item for item in items.values if isinstance(item, Struct)]

    def _get(self, number: int, expected: type[T], default: T | None = None) -> T:
        value = self[number].value if number in self else default
        if value is None:
            raise MalformedError(f"field {number} is missing")
        if not isinstance(value, expected):
            raise MalformedError(f"field {number} has another type")
        return value

    def check(self, types: Mapping[int, int]) -> None:
        """Refuse fields of other types than these, since other readers treat them as missing.

        Raises:
            MalformedError: a field has another type, or a number that its type does not hold.
        """
        for number, code in types.items():
            if number not in self:
                continue
            if self[number].type != code:
                raise MalformedError(f"field {number} has type {self[number].type}, not {code}")
            if code == I32 and not -(1 << 31) <= self.integer(number) < 1 << 31:
                raise MalformedError(f"field {number} has more than 32 bits")

    def changed(self, changes: "Mapping[int, Value]") -> "Struct":
        """Return a copy with other values in fields that are there; their types stay."""
        return Struct(self | {n: Field(self[n].type, value) for n, value in changes.items()})

    def only(self, numbers: Iterable[int]) -> "Struct":
        """Return a copy with only these fields, as far as they are there."""
        return Struct({number: self[number] for number in numbers if number in self})


Value = int | bytes | Items | Pairs | Struct


def structs(values: Iterable[Struct]) -> Items:
    """Make a list of structures the value of a field."""
    return Items(STRUCT, list(values))


def decode(data: bytes) -> tuple[Struct, int]:
    """Decode the structure at the start of ``data``; return it and its length in bytes.

    Raises:
        MalformedError: the bytes are not a structure of this protocol.
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
        result = 0
        for shift in range(0, 64, 7):
            byte = self.byte()
            result |= (byte & 127) << shift
            if byte < 128:
                return result
        raise MalformedError("a number has more than 64 bits")

    def zigzag(self) -> int:
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def take(self, size: int) -> bytes:
        start, self.position = self.position, self.position + size
        if self.position > len(self.data):
            raise IndexError
        return self.data[start : self.position]

    def struct(self, depth: int) -> Struct:
        fields, number = Struct(), 0
        while head := self.byte():
            code = head & 15
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            fields[number] = Field(code, 0 if code in _BOOLEANS else self.value(code, depth + 1))
        return fields

    def value(self, code: int, depth: int) -> Value:
        if depth > _MAX_DEPTH:
            raise MalformedError("it is nested too deeply")
        if code in _INTEGERS:
            return self.zigzag()
        if code == BINARY:
            return self.take(self.varint())
        if code == STRUCT:
            return self.struct(depth)
        if code in (LIST, SET):
            return self.items(depth)
        if code == MAP:
            return self.pairs(depth)
        if code in _BOOLEANS:  # in a list or a map
            return self.byte()
        if code in _FIXED:
            return self.take(_FIXED[code])
        raise MalformedError(f"unknown type {code}")

    # A count that is too large ends with the data: each item takes a byte at least.

    def items(self, depth: int) -> Items:
        head = self.byte()
        code, size = head & 15, self.varint() if head >> 4 == 15 else head >> 4
        return Items(code, [self.value(code, depth + 1) for _ in range(size)])

    def pairs(self, depth: int) -> Pairs:
        size = self.varint()
        types = self.byte() if size else 0
        keys, values = types >> 4, types & 15
        return Pairs(
            types,
            [(self.value(keys, depth + 1), self.value(values, depth + 1)) for _ in range(size)],
        )


def encode(struct: Struct) -> bytes:
    """Encode a structure: where nothing was changed, to the bytes that :func:`decode` read."""
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
    for number, (code, value) in struct.items():
        if 0 < number - last < 16:
            out.append(number - last << 4 | code)
        else:
            out.append(code)
            _write_zigzag(out, number)
        if code not in _BOOLEANS:
            _write(out, code, value)
        last = number
    out.append(STOP)


def _write(out: bytearray, code: int, value: Value) -> None:
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
        if code == BINARY:
            _write_varint(out, len(value))
        out += value
    elif code in _INTEGERS:
        _write_zigzag(out, value)
    else:  # a boolean in a list or a map
        out.append(value)
