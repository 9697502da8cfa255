"""Edit JSON text in place: find the offsets of an object's members and write values there.

Nothing is decoded and encoded again: number formats, escapes, key order and spacing are the
author's, and only the characters of the new values are ours.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

_SPACE = re.compile(r"[ \t\n\r]*")

DECODER = json.JSONDecoder(parse_int=float, strict=False)
"""Decodes values that are only read and never written back. Integers become floats, since ``int``
refuses more than 4,300 digits; raw control characters in strings are accepted, though JSON forbids
them."""


class Member(NamedTuple):
    """One ``"key": value`` of an object: offsets into the text."""

    key: str
    key_start: int
    key_end: int
    value_start: int
    value_end: int
    value: object


def skip_space(text: str, position: int) -> int:
    """Return the offset of the first character from ``position`` on that is not white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def members(text: str, start: int) -> list[Member]:
    """Return the members of the object whose ``{`` is at ``start``, in text known to be JSON."""
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


def set_values(text: str, start: int, parents: Sequence[str], values: Mapping[str, object]) -> str:
    """Return the text with these values in the object whose ``{`` is at ``start``, or in the one
    that ``parents`` lead to from there.

    A key that is there keeps its position and has its value replaced (the last one where a key
    comes twice, as JSON readers take it); missing ones are added after the last member, spaced as
    the members before it. A missing or null object on the way is created.
    """
    found = members(text, start)
    last = {member.key: member for member in found}
    if parents:
        parent, *rest = parents
        if parent in last and isinstance(last[parent].value, dict):
            return set_values(text, last[parent].value_start, rest, values)
        for key in reversed(rest):
            values = {key: values}
        values = {parent: values}
    after_key = text[found[-1].key_end : found[-1].value_start] if found else ": "
    dump = partial(
        json.dumps,
        ensure_ascii=text.isascii(),
        separators=(",", ":") if after_key == ":" else (", ", ": "),
    )
    space = after_key.partition(":")[2]
    added = [
        f"{dump(key)}:{space}{dump(value)}" for key, value in values.items() if key not in last
    ]
    if added:
        between = _separator(text, start, found, after_key != ":")
        end = found[-1].value_end if found else start + 1
        text = text[:end] + between * bool(found) + between.join(added) + text[end:]
    # From the last to the first, so that the offsets of earlier members stay valid.
    replaced = [last[key] for key in values if key in last]
    for old in sorted(replaced, key=lambda member: member.value_start, reverse=True):
        text = text[: old.value_start] + dump(values[old.key]) + text[old.value_end :]
    return text


def _separator(text: str, start: int, found: list[Member], spaced: bool) -> str:
    """Return the text that separates two members, as the author writes it."""
    if len(found) > 1:
        return text[found[-2].value_end : found[-1].key_start]
    lead = text[start + 1 : found[-1].key_start] if found else ""
    return "," + (lead if "\n" in lead else " " * spaced)
