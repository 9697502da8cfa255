"""CSV and TSV: a header, then one sample a row, rewritten by splicing text.

The ``videos`` cell is a JSON list or one path; lists as Python, numpy and DuckDB print them are
read too. Tags, scores and timeline are JSON lists in cells of their own, the provenance is plain
text; or all of them are inside the JSON object in the ``meta`` cell. An empty cell means no value.
New columns come last.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain, tee
from typing import BinaryIO, NamedTuple

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample
from tasks.manifests.csv_text import QUOTE, Row, cell_offsets, quoted, rows, text_lines
from tasks.manifests.lines import BOM
from tasks.manifests.record import meta_sample, sample_with, videos_of
from tasks.manifests.splice import DECODER, set_values
from tasks.shown import counted

_SEPARATOR_LINE = re.compile(r"sep=([^\"\r\n])(?:\r\n?|\n)")
"""The line before the header that tells Excel the delimiter."""

_QUOTED = r"'[^'\\]*+(?:\\.[^'\\]*+)*+'|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\""
_BARE = r"[^\s'\",\[\]{}][^'\",\[\]{}]*+"
_ITEM = re.compile(f"{_QUOTED}|{_BARE}", re.DOTALL)
_LIST = re.compile(
    # Python: ['a', 'b']. DuckDB quotes what it must: [a, 'b, c'].
    rf"\[\s*+(?:{_ITEM.pattern})\s*+(?:,\s*+(?:{_ITEM.pattern})\s*+)*+\]"
    # numpy: ['a' 'b'].
    rf"|\[\s*+(?:(?:{_QUOTED})\s*+)++\]",
    re.DOTALL,
)
_NOTHING = {"None", "NULL", "nan"}
"""How Python, DuckDB and numpy print a missing item."""


_MISSING = {"", "null", "NULL", "NaN", "nan", "NA", "<NA>", "N/A", "#N/A", "None", r"\N"}
"""How JSON, SQL, numpy, R, pandas, Excel, Python and MySQL write a missing value."""


_SWALLOWS = (
    "has a cell that begins with a quote and spans several lines, each of which looks like a row:"
    " quote the cell, and double the quotes in it"
)


class _Layout(NamedTuple):
    """How a table is laid out.

    Attributes:
        preamble: the byte order mark and the ``sep=`` line for Excel, as far as present.
        delimiter: the character between two cells.
        header: the row with the names of the columns.
        videos: index of the videos column.
        targets: index of each written column that the table has, by name.
        added: names of the written columns that the table lacks.
        quotes_all: whether every cell is quoted, as in the header.
    """

    preamble: str
    delimiter: str
    header: Row
    videos: int
    targets: dict[str, int]
    added: list[str]
    quotes_all: bool

    def cell(self, value: str) -> str:
        """Return the text of a cell in the style of this table."""
        special = (self.delimiter, QUOTE, "\n", "\r")
        return quoted(value) if self.quotes_all or any(m in value for m in special) else value

    def with_values(self, row: Row, values: Mapping[str, str]) -> str:
        """Return the text of a row with these values; other added columns stay empty."""
        replaced = {
            self.targets[name]: self.cell(value)
            for name, value in values.items()
            if name in self.targets
        }
        added = [self.cell(values.get(name, "")) for name in self.added]
        return row.with_cells(self.delimiter, replaced, added)


class _Table:
    """Reads and rewrites both formats, which differ in the delimiters to try."""

    delimiters: tuple[str, ...]

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        layout, body = self._open(source, fields)
        for row in body:
            if row.cells:
                yield _sample(row, layout, fields)

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        layout, body = self._open(source, fields)
        names = {name: name for name in layout.added}
        target.write(_encode(layout.preamble + layout.with_values(layout.header, names)))
        for row in body:
            target.write(_encode(_new_row(row, layout, fields, tag) if row.cells else row.text))

    def _open(self, source: BinaryIO, fields: Fields) -> tuple[_Layout, Iterator[Row]]:
        """Return the layout, and the rows after the header.

        Raises:
            ManifestError: no delimiter gives a header with the videos column; or a column that is
                read or written appears twice.
        """
        lines = text_lines(source)
        first, line, delimiters = next(lines, ""), 1, self.delimiters
        preamble = BOM if first.startswith(BOM) else ""
        first = first.removeprefix(BOM)
        if separator := _SEPARATOR_LINE.fullmatch(first):
            preamble, delimiters = preamble + first, (separator[1],)
            first, line = next(lines, ""), 2
        lines = chain([first], lines)
        for delimiter in delimiters:
            lines, attempt = tee(lines)
            body = rows(attempt, delimiter, line)
            header = None
            with suppress(ManifestError):
                header = next(body)
            if header is not None and fields.videos in header.cells:
                return _layout(preamble, delimiter, header, fields), body
        if not first:
            raise ManifestError("", "is empty: a table begins with the names of its columns")
        raise ManifestError("", f"has no column {fields.videos!r}", line)


class Csv(_Table):
    """``.csv``: the first of these delimiters that gives a header with the videos column."""

    delimiters = (",", ";", "\t", "|")


class Tsv(_Table):
    """``.tsv``. Some programs write it without quoting."""

    delimiters = ("\t",)

    def _open(self, source: BinaryIO, fields: Fields) -> tuple[_Layout, Iterator[Row]]:
        layout, body = super()._open(source, fields)
        return layout, _checked(body, layout)


def _checked(body: Iterator[Row], layout: _Layout) -> Iterator[Row]:
    """Yield the rows.

    Raises:
        ManifestError: every line of a row looks like a row. In a file without quoting, a text may
            begin with a quote, and a text some rows below may end with one: DuckDB, pandas and
            Polars read everything between as one cell, and the samples there would be lost.
    """
    delimiters = len(layout.header.cells) - 1
    for row in body:
        if QUOTE in row.text and delimiters:
            lines = re.split(r"\r\n?|\n", row.text.rstrip("\r\n"))
            if len(lines) > 1 and all(x.count(layout.delimiter) == delimiters for x in lines if x):
                raise ManifestError("", _SWALLOWS, row.line)
        yield row


def _layout(preamble: str, delimiter: str, header: Row, fields: Fields) -> _Layout:
    names = fields.written if fields.meta is None else (fields.meta,)
    for column in (fields.videos, *names):
        if (count := header.cells.count(column)) > 1:
            raise ManifestError("", f"has {count} columns {column!r}", header.line)
    starts = (start for start, _ in cell_offsets(header.text, delimiter))
    return _Layout(
        preamble,
        delimiter,
        header,
        header.cells.index(fields.videos),
        {name: header.cells.index(name) for name in names if name in header.cells},
        [name for name in names if name not in header.cells],
        all(header.text.startswith(QUOTE, start) for start in starts),
    )


def _sample(row: Row, layout: _Layout, fields: Fields) -> Sample:
    if len(row.cells) != len(layout.header.cells):
        ragged = f"it has {counted(len(row.cells), 'cell')}, the header {len(layout.header.cells)}"
        return Sample(row.line, [], fields.written, ragged)
    videos, fault = _videos(row.cells[layout.videos])
    cells = {name: row.cells[column] for name, column in layout.targets.items()}
    values = {name: cell for name, cell in cells.items() if cell.strip() not in _MISSING}
    if fields.meta is None:
        return sample_with(values, row.line, videos, fault, fields)
    meta: object = values.get(fields.meta)
    with suppress(ValueError, RecursionError):
        meta = None if meta is None else DECODER.decode(values[fields.meta].strip())
    return meta_sample(row.line, meta, videos, fault, fields)


def _videos(cell: str) -> tuple[list[str], str | None]:
    """Return the paths in a cell; or none, and the fault."""
    text = cell.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return videos_of(cell if text else None)
    try:
        return videos_of(DECODER.decode(text))
    except (ValueError, RecursionError):
        found = _ITEM.findall(text, 1, len(text) - 1) if _LIST.fullmatch(text) else []
        items = [item.rstrip() for item in found]
    try:
        paths = [ast.literal_eval(item) if item[0] in "'\"" else item for item in items]
    except (ValueError, SyntaxError):
        paths = []
    if not paths or not _NOTHING.isdisjoint(items):
        return [], "its videos look like a list that cannot be read: write it as JSON"
    return videos_of(paths)


def _new_row(row: Row, layout: _Layout, fields: Fields, tag: TagSample) -> str:
    sample = _sample(row, layout, fields)
    values = tag(sample)
    if len(row.cells) != len(layout.header.cells):
        return row.text
    if values is None or sample.fault is not None:
        return layout.with_values(row, {})
    if fields.meta is None:
        texts = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in values.items()
        }
        return layout.with_values(row, texts)
    old = row.cells[layout.targets[fields.meta]].strip() if layout.targets else ""
    meta = set_values(old if old.startswith("{") else "{}", 0, [], values)
    return layout.with_values(row, {fields.meta: meta})


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
