"""CSV and TSV: a header, then one sample a row, rewritten by splicing text.

The ``videos`` cell is a JSON list or one path (a list as Python prints it, which is what pandas
writes, is read too). The tags are a JSON list in a cell of their own, or inside the JSON object in
the ``meta`` cell; an empty cell is no tag. The new column comes last.
"""

import ast
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample
from tasks.manifests.csv_text import QUOTE, Row, quoted, rows
from tasks.manifests.record import videos_of
from tasks.manifests.splice import DECODER, set_value

BOM = b"\xef\xbb\xbf"


class _Layout(NamedTuple):
    """What the header says: its own row, and the places of the columns (None: not there)."""

    delimiter: str
    header: Row
    videos: int
    target: int | None
    quotes_all: bool


class _Table:
    """Both formats; they differ in the delimiter that is tried first."""

    delimiters: tuple[str, ...]

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        _, lines = _without_bom(source)
        layout, body = self._layout(lines, fields)
        for row in _body(body, layout):
            if row.cells:
                yield _sample(row, layout, fields)

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        bom, lines = _without_bom(source)
        layout, body = self._layout(lines, fields)
        target.write(bom + _encode(_new_header(layout, fields)))
        for row in _body(body, layout):
            target.write(_encode(_new_row(row, layout, fields, tag)))

    def _layout(self, lines: Iterator[bytes], fields: Fields) -> tuple[_Layout, Iterator[bytes]]:
        taken: list[bytes] = []
        for delimiter in self.delimiters:
            header = next(rows(_recorded(taken, lines), delimiter), Row(1, "", []))
            names = [header.value(column) for column in range(len(header.cells))]
            if fields.videos in names:
                key = fields.tags if fields.meta is None else fields.meta
                layout = _Layout(
                    delimiter,
                    header,
                    names.index(fields.videos),
                    names.index(key) if key in names else None,
                    all(header.raw(column).startswith(QUOTE) for column in range(len(names))),
                )
                # More than the header may have been taken: old Macs end lines by "\r" alone.
                rest = b"".join(taken)[len(_encode(header.text)) :]
                return layout, chain([rest] if rest else [], lines)
        raise ManifestError("", f"has no column {fields.videos!r}", 1)


class Csv(_Table):
    """``.csv``: commas, or whatever else parts the header so that it has the videos column."""

    delimiters = (",", ";", "\t", "|")


class Tsv(_Table):
    """``.tsv``."""

    delimiters = ("\t",)


def _recorded(taken: list[bytes], lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines, of which all that are asked for stay in ``taken`` for the next attempt."""
    yield from list(taken)
    for line in lines:
        taken.append(line)
        yield line


def _without_bom(source: BinaryIO) -> tuple[bytes, Iterator[bytes]]:
    first = next(iter(source), b"")
    bom = BOM if first.startswith(BOM) else b""
    head = [first.removeprefix(BOM)] if first.removeprefix(BOM) else []
    return bom, chain(head, source)


def _body(lines: Iterator[bytes], layout: _Layout) -> Iterator[Row]:
    return rows(lines, layout.delimiter, layout.header.text.count("\n"))


def _sample(row: Row, layout: _Layout, fields: Fields) -> Sample:
    if len(row.cells) != len(layout.header.cells):
        ragged = f"it has {len(row.cells)} cells and the header {len(layout.header.cells)}"
        return Sample(row.line, [], False, ragged)
    videos, fault = videos_of(_listed(row.value(layout.videos)))
    cell = "" if layout.target is None else row.value(layout.target).strip()
    if fields.meta is None or not cell:
        return Sample(row.line, videos, cell not in ("", "null"), fault)
    try:
        meta: Any = DECODER.decode(cell) or {}
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        return Sample(row.line, [], False, f"{fields.meta!r} is not an object")
    return Sample(row.line, videos, meta.get(fields.tags) is not None, fault)


def _listed(cell: str) -> object:
    text = cell.strip()
    if not text:
        return None
    if text[0] == "[" and text[-1] == "]":
        for read in (DECODER.decode, ast.literal_eval):
            try:
                return read(text)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                continue
    return cell


def _new_header(layout: _Layout, fields: Fields) -> str:
    if layout.target is not None:
        return layout.header.text
    name = fields.tags if fields.meta is None else fields.meta
    return layout.header.with_last_cell(layout.delimiter, _cell(name, layout))


def _new_row(row: Row, layout: _Layout, fields: Fields, tag: TagSample) -> str:
    if not row.cells:
        return row.text
    sample = _sample(row, layout, fields)
    tags = tag(sample)
    if len(row.cells) != len(layout.header.cells):
        return row.text
    if tags is None or sample.fault is not None:
        if layout.target is not None:
            return row.text
        return row.with_last_cell(layout.delimiter, _cell("", layout))
    value = json.dumps(tags, ensure_ascii=False)
    if fields.meta is not None:
        old = "" if layout.target is None else row.value(layout.target).strip()
        value = set_value("{}" if old in ("", "null") else old, 0, [fields.tags], tags)
    if layout.target is None:
        return row.with_last_cell(layout.delimiter, _cell(value, layout))
    return row.with_cell(layout.target, _cell(value, layout))


def _cell(value: str, layout: _Layout) -> str:
    special = (layout.delimiter, QUOTE, "\n", "\r")
    needs = layout.quotes_all or any(mark in value for mark in special)
    return quoted(value) if needs else value


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
