"""Edit JSON text in place: find where the members of an object stand and put one value there.

Nothing is parsed and written back: number formats, escapes, key order and spacing are the
author's, and only the characters of the new value are ours.
"""

import json
import re
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\n\r]*")

DECODER = json.JSONDecoder(parse_int=float, strict=False)
"""Reads whatever must merely be looked at. Integers become floats, since ``int`` refuses more
than 4,300 digits; raw control characters in strings, which strict JSON forbids, are let through."""


class Member(NamedTuple):
    """One ``"key": value`` of an object: offsets into the text."""

    key: str
    key_start: int
    key_end: int
    value_start: int
    value_end: int
    value: Any


def skip_space(text: str, position: int) -> int:
    """Offset of the first character at or after ``position`` that is not JSON white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def members(text: str, start: int) -> list[Member]:
    """The members of the object whose ``{`` stands at ``start``, in text known to be valid JSON."""
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
    """The text with ``value`` under ``path`` in the object whose ``{`` stands at ``start``.

    A key that is there keeps its place and has its value replaced (the last one where a key comes
    twice, as JSON readers take it); a missing one is added after the last member, spaced as the
    members before it. A missing or null object on the way is made.
    """
    found = members(text, start)
    key, rest = path[0], path[1:]
    mine = next((member for member in reversed(found) if member.key == key), None)
    spaced = _is_spaced(text, found)
    if mine is None:
        item = f"{_quote(key, text)}:{_after_colon(text, found)}{_dump(rest, value, text, spaced)}"
        return _append(text, start, found, item, spaced)
    if rest and isinstance(mine.value, dict):
        return set_value(text, mine.value_start, rest, value)
    new = _dump(rest, value, text, spaced)
    return text[: mine.value_start] + new + text[mine.value_end :]


def _append(text: str, start: int, found: list[Member], item: str, spaced: bool) -> str:
    if not found:
        return text[: start + 1] + item + text[start + 1 :]
    last = found[-1]
    if len(found) > 1:
        separator = text[found[-2].value_end : last.key_start]
    else:
        lead = text[start + 1 : last.key_start]
        separator = "," + (lead if "\n" in lead else " " * spaced)
    return text[: last.value_end] + separator + item + text[last.value_end :]


def _is_spaced(text: str, found: list[Member]) -> bool:
    return not found or text[found[-1].key_end : found[-1].value_start] != ":"


def _after_colon(text: str, found: list[Member]) -> str:
    if not found:
        return " "
    return text[found[-1].key_end : found[-1].value_start].partition(":")[2]


def _dump(path: list[str], value: list[str], text: str, spaced: bool) -> str:
    nested: Any = value
    for key in reversed(path):
        nested = {key: nested}
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(nested, ensure_ascii=text.isascii(), separators=separators)


def _quote(key: str, text: str) -> str:
    return json.dumps(key, ensure_ascii=text.isascii())
