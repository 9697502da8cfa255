"""Edit JSON text in place: find the offsets of an object's members and write one value there.

Nothing is decoded and encoded again: number formats, escapes, key order and spacing are the
author's, and only the characters of the new value are ours.
"""

import json
import re
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\n\r]*")

DECODER = json.JSONDecoder(parse_int=float, strict=False)
"""Decodes what is looked at and never written back. Integers become floats, since ``int`` refuses
more than 4,300 digits; raw control characters in strings are accepted, though JSON forbids them."""


class Member(NamedTuple):
    """One ``"key": value`` of an object: offsets into the text."""

    key: str
    key_start: int
    key_end: int
    value_start: int
    value_end: int
    value: Any


def skip_space(text: str, position: int) -> int:
    """Returns the offset of the first character from ``position`` on that is not white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def members(text: str, start: int) -> list[Member]:
    """Returns the members of the object whose ``{`` is at ``start``, in text known to be JSON."""
    found: list[Member] = []
    position = skip_space(text, start + 1)
    while text[position] != "}":
        key_start = position if text[position] == '"' else skip_space(text, position + 1)
        key, key_end = DECODER.raw_decode(text, key_start)
        value_start = skip_space(text, skip_space(text, key_end) + 1)
        value, value_end = DECODER.raw_decode(text, value_start)
        found.append(Member(key, key_start, key_end, value_start, value_end, value))
        position = skip_space(text, value_end)
    return found


def set_value(text: str, start: int, path: list[str], value: list[str]) -> str:
    """Returns the text with ``value`` under ``path`` in the object whose ``{`` is at ``start``.

    A key that is there keeps its position and has its value replaced (the last one where a key
    comes twice, as JSON readers take it); a missing one is added after the last member, spaced as
    the members before it. A missing or null object on the way is made.
    """
    found = members(text, start)
    key, rest = path[0], path[1:]
    old = next((member for member in reversed(found) if member.key == key), None)
    if old is not None and rest and isinstance(old.value, dict):
        return set_value(text, old.value_start, rest, value)
    after_key = text[found[-1].key_end : found[-1].value_start] if found else ": "
    new = _dump(rest, value, text, spaced=after_key != ":")
    if old is not None:
        return text[: old.value_start] + new + text[old.value_end :]
    space = after_key.partition(":")[2]
    item = f"{json.dumps(key, ensure_ascii=text.isascii())}:{space}{new}"
    if not found:
        return text[: start + 1] + item + text[start + 1 :]
    end = found[-1].value_end
    return text[:end] + _separator(text, start, found, after_key != ":") + item + text[end:]


def _separator(text: str, start: int, found: list[Member], spaced: bool) -> str:
    """What the author puts between two members."""
    if len(found) > 1:
        return text[found[-2].value_end : found[-1].key_start]
    lead = text[start + 1 : found[-1].key_start]
    return "," + (lead if "\n" in lead else " " * spaced)


def _dump(path: list[str], value: list[str], text: str, spaced: bool) -> str:
    nested: Any = value
    for key in reversed(path):
        nested = {key: nested}
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(nested, ensure_ascii=text.isascii(), separators=separators)
