"""Read rows of CSV: their values, as the standard library reads them, and their text."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

from tasks.errors import ManifestError
from tasks.manifests.lines import MAX_LINE_BYTES, lines, too_long

QUOTE = '"'

# The default of 128 KiB is too small for a long caption. The limit holds for the whole process.
csv.field_size_limit(MAX_LINE_BYTES)

_ESCAPES = (
    "has a quote that is escaped by a backslash, as Spark writes it by default: quotes must be "
    "doubled (in Spark: .option('escape', '\"'))"
)
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")


class Row(NamedTuple):
    """One row.

    Attributes:
        line: 1-based line on which it starts.
        text: the row as in the file, with its line ending.
        cells: its values; none for a blank line.
    """

    line: int
    text: str
    cells: list[str]

    def with_cells(self, delimiter: str, replaced: Mapping[int, str], added: Sequence[str]) -> str:
        """Return the text with new cells in these columns, and more cells after the last one."""
        text = self.text
        end = len(text.rstrip("\r\n"))
        text = text[:end] + "".join(delimiter + raw for raw in added) + text[end:]
        offsets = cell_offsets(text, delimiter) if replaced else []
        # From the last to the first, so that the offsets of earlier cells stay valid.
        for column in sorted(replaced, reverse=True):
            start, end = offsets[column]
            text = text[:start] + replaced[column] + text[end:]
        return text


def quoted(value: str) -> str:
    """Return the text of a quoted cell with this value."""
    return QUOTE + value.replace(QUOTE, QUOTE * 2) + QUOTE


def text_lines(source: BinaryIO) -> Iterator[str]:
    """Yield the lines with their endings: "\\n", "\\r\\n", or the "\\r" of old Macs.

    Bytes that are not UTF-8 are preserved (``surrogateescape``): a Latin-1 remark in some column is
    no reason to refuse a manifest.
    """
    for raw in lines(source):
        text = raw.decode(errors="surrogateescape")
        ending = 2 if text.endswith("\r\n") else 1
        if text.find("\r", 0, -ending) < 0:
            yield text
        else:
            yield from _LINE.findall(text)


def rows(source: Iterable[str], delimiter: str, line: int = 1) -> Iterator[Row]:
    """Yield the rows of these lines; the first line has the number ``line``. Quotes inside a quoted
    cell must be doubled.

    Raises:
        ManifestError: a quoted cell is never closed, text follows a closing quote, quotes are
            escaped by a backslash, or a row exceeds ``MAX_LINE_BYTES``.
    """
    taken, size = list[str](), 0

    def recorded() -> Iterator[str]:
        nonlocal size
        for text in source:
            taken.append(text)
            size += len(text)
            if size > MAX_LINE_BYTES:
                raise too_long(line)
            yield text

    # Spark escapes quotes by a backslash. The reader, which expects doubled quotes, refuses most of
    # these files, but not all: it reads `v.mp4,"a\", b"` as one cell too many, and tags would be
    # spliced into the middle of a text. Then a quote is left over in an unquoted cell, where no
    # writer that doubles quotes puts one.
    escaped = re.compile(rf'\\""?(?:[{re.escape(delimiter)}\r\n]|$)')
    escapes = False
    try:
        for cells in csv.reader(recorded(), delimiter=delimiter, strict=True):
            text = "".join(taken)
            if QUOTE in text:
                escapes = escapes or escaped.search(text) is not None
                if escapes and any(
                    QUOTE in text[start:end] and text[start] != QUOTE
                    for start, end in cell_offsets(text, delimiter)
                ):
                    raise csv.Error
            yield Row(line, text, cells)
            line += len(taken)
            taken.clear()
            size = 0
    except csv.Error as error:
        escapes = escapes or '\\"' in "".join(taken)
        unclosed = "unexpected end" in str(error)
        reason = "a quoted cell is never closed" if unclosed else f"is not CSV ({error})"
        raise ManifestError("", _ESCAPES if escapes else reason, line) from error


def cell_offsets(text: str, delimiter: str) -> list[tuple[int, int]]:
    """Return the offsets (start, end) of each cell in the text of a valid row, with its quotes."""
    cell = re.compile(rf'"[^"]*+(?:""[^"]*+)*+"|[^{re.escape(delimiter)}\r\n]*+')
    found, start = list[tuple[int, int]](), 0
    while match := cell.match(text, start):
        found.append(match.span())
        if not text.startswith(delimiter, match.end()):
            break
        start = match.end() + 1
    return found
