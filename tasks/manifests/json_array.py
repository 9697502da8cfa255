"""JSON: one array of objects, rewritten by splicing text; also JSON Lines named ``.json``."""

import codecs
import io
import json
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample
from tasks.manifests.jsonl import read_lines, rewrite_lines
from tasks.manifests.lines import BOM, MAX_LINE_BYTES, lines, require_utf_8, too_long
from tasks.manifests.record import Records, parents_of
from tasks.manifests.splice import DECODER, set_values, skip_space

_CHUNK_BYTES = 1 << 20
_TOKEN_CHARACTERS = 16
"""An error this close to the end of the text in memory may only mean that a number or a word is not
complete. (The decoder has a different error for an incomplete string.)"""


class JsonArray:
    """``.json``. One object of the array is in memory at a time."""

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        joined = _Joined(source)
        if joined.starts_with_object:
            yield from read_lines(lines(joined), fields)
        else:
            records = Records(fields)
            for element in _elements(joined):
                if element.record is not None:
                    yield records.sample(element.record, element.line)
            records.finish()

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        joined, records = _Joined(source), Records(fields)
        if joined.starts_with_object:
            rewrite_lines(lines(joined), target, fields, tag)
            return
        for before, text, line, record in _elements(joined):
            if record is not None:
                sample = records.sample(record, line)
                values = tag(sample)
                if values is not None and sample.fault is None:
                    text = set_values(text, 0, parents_of(fields), values)
            target.write((before + text).encode())
        records.finish()


class _Joined:
    """The file, with its first bytes already read."""

    def __init__(self, source: BinaryIO) -> None:
        head = b""
        while not (start := head.removeprefix(codecs.BOM_UTF8).lstrip()):
            if len(head) > MAX_LINE_BYTES:
                raise too_long(1)
            if not (more := source.read(_CHUNK_BYTES)):
                break
            head += more
        require_utf_8(head)
        self.starts_with_object = start.startswith(b"{")
        self._head, self._rest = io.BytesIO(head), source

    def read(self, size: int, /) -> bytes:
        return self._head.read(size) or self._rest.read(size)

    def readline(self, size: int, /) -> bytes:
        line = self._head.readline(size)
        if len(line) == size or line.endswith(b"\n"):
            return line
        return line + self._rest.readline(size - len(line))


class _Element(NamedTuple):
    """One object of an array; or, as the last element, only the text after the last object.

    Attributes:
        before: the text between the previous object and this one.
        text: the text of the object.
        line: 1-based line on which the object starts.
        record: the decoded object.
    """

    before: str
    text: str
    line: int
    record: dict[str, object] | None


def _elements(source: _Joined) -> Iterator[_Element]:
    text = _Text(source)
    first = text.next_character()
    if not first:
        raise ManifestError("", "is empty: an array of no samples is []")
    if first != "[":
        raise ManifestError("", "is neither a JSON array nor JSON Lines")
    text.position += 1
    closed = text.next_character() == "]"
    while not closed:
        before, line = text.take(), text.line
        record = text.decode_object()
        yield _Element(before, text.take(), line, record)
        mark = text.next_character()
        if mark not in ("]", ","):
            raise ManifestError("", "is not JSON (',' or ']' is missing)", line)
        closed = mark == "]"
        if not closed:
            text.position += 1
            text.next_character()
    text.position += 1
    if text.next_character():
        raise ManifestError("", "is not JSON (more follows the array)")
    yield _Element(text.take(), "", text.line, None)


class _Text:
    """The text of an array; only the part in use is in memory.

    Attributes:
        position: offset in the part that is in memory.
        line: 1-based line of the text that :meth:`take` returns next.
    """

    def __init__(self, source: _Joined) -> None:
        self._source, self._decoder = source, codecs.getincrementaldecoder("utf-8")()
        self._text, self._taken, self.position, self.line = "", 0, 0, 1
        self._grow()
        self.position = int(self._text.startswith(BOM))

    def _grow(self) -> bool:
        """Read more, within the limit; return False at the end of the file.

        The text in memory doubles, so that repeated attempts to decode a long object take linear
        time in all.
        """
        held = len(self._text) - self._taken
        if held > MAX_LINE_BYTES:
            raise too_long(self.line)
        raw = self._source.read(min(max(_CHUNK_BYTES, held), MAX_LINE_BYTES + _CHUNK_BYTES - held))
        try:
            new = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            raise ManifestError("", f"is not UTF-8 text ({error.reason})", self.line) from error
        self._text = self._text[self._taken :] + new
        self.position -= self._taken
        self._taken = 0
        return bool(raw)

    def next_character(self) -> str:
        """Go to the next character that is not white space, and return it; "" at the end."""
        while True:
            self.position = skip_space(self._text, self.position)
            if self.position < len(self._text) or not self._grow():
                return self._text[self.position : self.position + 1]

    def take(self) -> str:
        """Return the text between the end of the previous piece and the position."""
        piece = self._text[self._taken : self.position]
        self._taken = self.position
        self.line += piece.count("\n")
        return piece

    def decode_object(self) -> dict[str, object]:
        """Decode the object at the position, and move the position after it."""
        while True:
            try:
                record, end = DECODER.raw_decode(self._text, self.position)
                break
            except json.JSONDecodeError as error:
                near_end = error.pos > len(self._text) - _TOKEN_CHARACTERS
                may_go_on = near_end or error.msg.startswith("Unterminated")
                if not (may_go_on and self._grow()):
                    line = self.line + self._text.count("\n", self._taken, error.pos)
                    raise ManifestError("", f"is not JSON ({error.msg})", line) from error
            except RecursionError as error:
                raise ManifestError("", "is nested too deeply to be read", self.line) from error
        if not isinstance(record, dict):
            raise ManifestError("", "is not a JSON object", self.line)
        if end - self.position > MAX_LINE_BYTES:
            raise too_long(self.line)
        self.position = end
        return record
