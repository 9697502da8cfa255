"""JSON: one array of objects, rewritten by splicing text. Also JSON Lines by the name of ``.json``.

An array is held in memory as text, since its end decides whether it is valid at all: for millions
of samples take JSON Lines.
"""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO, NamedTuple, cast

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample
from tasks.manifests.jsonl import BOM, decode, read_lines, rewrite_lines
from tasks.manifests.record import path_of, sample_of
from tasks.manifests.splice import DECODER, set_value, skip_space


class _Element(NamedTuple):
    start: int
    end: int
    line: int
    record: dict[str, Any]


class JsonArray:
    """``.json``."""

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        head = _head(source)
        if _is_array(head):
            for element in _elements(_text(head, source)):
                yield sample_of(element.record, element.line, fields)
        else:
            yield from read_lines(chain(head, source), fields)

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        head = _head(source)
        if not _is_array(head):
            rewrite_lines(chain(head, source), target, fields, tag)
            return
        text, path, done = _text(head, source), path_of(fields), 0
        for element in _elements(text):
            sample = sample_of(element.record, element.line, fields)
            tags = tag(sample)
            if tags is not None and sample.fault is None:
                new = set_value(text[element.start : element.end], 0, path, tags)
                target.write((text[done : element.start] + new).encode())
                done = element.end
        target.write(text[done:].encode())


def _head(source: BinaryIO) -> list[bytes]:
    """The first lines, up to and with the first that is not blank."""
    lines: list[bytes] = []
    for line in source:
        lines.append(line)
        if not line.isspace():
            break
    return lines


def _is_array(head: list[bytes]) -> bool:
    return not head or head[-1].removeprefix(BOM.encode()).lstrip()[:1] not in (b"{", b"")


def _text(head: list[bytes], source: BinaryIO) -> str:
    return decode(b"".join(head) + source.read(), None)


def _elements(text: str) -> Iterator[_Element]:
    position = skip_space(text, text.startswith(BOM))
    if text[position : position + 1] != "[":
        raise ManifestError("", "is neither a JSON array nor JSON Lines")
    line, counted, closed = 1, 0, False
    position = skip_space(text, position + 1)
    if text[position : position + 1] == "]":
        closed, position = True, position + 1
    while not closed:
        line, counted = line + text.count("\n", counted, position), position
        record, end = _decode_element(text, position, line)
        yield _Element(position, end, line, record)
        position = skip_space(text, end)
        if (mark := text[position : position + 1]) not in ("]", ",") or not mark:
            raise ManifestError("", "is not JSON (',' or ']' is missing)", line)
        closed, position = mark == "]", skip_space(text, position + 1)
    if skip_space(text, position) != len(text):
        raise ManifestError("", "is not JSON (more follows the array)")


def _decode_element(text: str, position: int, line: int) -> tuple[dict[str, Any], int]:
    try:
        record, end = DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise ManifestError("", f"is not JSON ({error.msg})", error.lineno) from error
    except RecursionError as error:
        raise ManifestError("", "is nested too deeply to be read", line) from error
    if not isinstance(record, dict):
        raise ManifestError("", "is not a JSON object", line)
    return cast(dict[str, Any], record), end
