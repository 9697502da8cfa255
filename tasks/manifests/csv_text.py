"""Where the cells of a CSV stand: the text is cut, never parsed and written back."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tasks.errors import ManifestError

QUOTE = '"'


class Row(NamedTuple):
    """One record as it stands in the file.

    Attributes:
        line: 1-based line on which it starts.
        text: all of it, with its line ending.
        cells: offsets (start, end) of each cell in ``text``, quotes included.
    """

    line: int
    text: str
    cells: list[tuple[int, int]]

    def raw(self, column: int) -> str:
        """A cell as it is written."""
        start, end = self.cells[column]
        return self.text[start:end]

    def value(self, column: int) -> str:
        """What a cell says."""
        raw = self.raw(column)
        if not raw.startswith(QUOTE):
            return raw
        end = _closing_quote(raw, 1)
        return raw[1:end].replace(QUOTE * 2, QUOTE) + raw[end + 1 :]

    def with_cell(self, column: int, raw: str) -> str:
        """The row with this cell in place of the one at ``column``."""
        start, end = self.cells[column]
        return self.text[:start] + raw + self.text[end:]

    def with_last_cell(self, delimiter: str, raw: str) -> str:
        """The row with one cell more."""
        end = self.cells[-1][1]
        return self.text[:end] + delimiter + raw + self.text[end:]


def quoted(value: str) -> str:
    """A cell that says ``value``."""
    return QUOTE + value.replace(QUOTE, QUOTE * 2) + QUOTE


def rows(source: Iterable[bytes], delimiter: str, before: int = 0) -> Iterator[Row]:
    """The records of a text ``before`` which so many lines stand; a blank line has no cells.

    Bytes that are not UTF-8 are carried through (``surrogateescape``): a Latin-1 remark in some
    column is no reason to refuse a manifest.

    Raises:
        ManifestError: a quoted cell is never closed.
    """
    number, lines = before, iter(source)
    for raw in lines:
        number += 1
        text, position, first = raw.decode(errors="surrogateescape"), 0, number
        while position < len(text):
            cells: list[tuple[int, int]] = []
            start = position
            while True:
                opened = text.startswith(QUOTE, position)
                closing = position + 1
                while opened and (end := _closing_quote(text, closing)) < 0:
                    closing = len(text)
                    more = next(lines, None)
                    if more is None:
                        raise ManifestError("", "a quoted cell is never closed", first)
                    number += 1
                    text += more.decode(errors="surrogateescape")
                end = _cell_end(text, end + 1 if opened else position, delimiter)
                cells.append((position - start, end - start))
                if not text.startswith(delimiter, end):
                    break
                position = end + len(delimiter)
            position = end + (2 if text.startswith("\r\n", end) else 1)
            record = text[start:position]
            yield Row(first, record, [] if not record.strip("\r\n") else cells)
            first = number


def _closing_quote(text: str, position: int) -> int:
    while True:
        found = text.find(QUOTE, position)
        if found < 0 or not text.startswith(QUOTE, found + 1):
            return found
        position = found + 2


def _cell_end(text: str, position: int, delimiter: str) -> int:
    ends = (text.find(mark, position) for mark in (delimiter, "\n", "\r"))
    return min((end for end in ends if end >= 0), default=len(text))
