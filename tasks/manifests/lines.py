"""Read the lines of a text manifest: UTF-8, and of limited length."""

import codecs
from collections.abc import Iterator
from functools import partial
from typing import Protocol

from tasks.errors import ManifestError

MAX_LINE_BYTES = 64 << 20
"""Limit for a line of JSON Lines, a row of CSV (with the line ends inside its quotes), an object of
a JSON array, and a run of blank lines. No sample is so long, but a few kilobytes of Zstandard can
hold a line, or blank lines, of any length."""

BOM = "\ufeff"

_UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Source(Protocol):
    """As much of a file as :func:`lines` needs."""

    def readline(self, size: int, /) -> bytes: ...


def lines(source: Source) -> Iterator[bytes]:
    """Yield the lines as in the file, with their endings.

    Raises:
        ManifestError: the file is UTF-16 or UTF-32; or a line, or a run of blank lines, exceeds
            ``MAX_LINE_BYTES``.
    """
    blank = 0
    # One byte more than allowed tells a line that is too long from one that just fits.
    for line, raw in enumerate(iter(partial(source.readline, MAX_LINE_BYTES + 1), b""), 1):
        if line == 1:
            require_utf_8(raw)
        if len(raw) > MAX_LINE_BYTES:
            raise too_long(line)
        blank = blank + len(raw) if raw.isspace() else 0
        if blank > MAX_LINE_BYTES:
            most = f"{MAX_LINE_BYTES >> 20} MiB"
            raise ManifestError("", f"has more than {most} of blank lines one after another", line)
        yield raw


def too_long(line: int) -> ManifestError:
    """Return the error for a line, row or sample beyond the limit."""
    return ManifestError("", f"is longer than {MAX_LINE_BYTES >> 20} MiB", line)


def require_utf_8(first: bytes) -> None:
    """Refuse a file if its first bytes are UTF-16 or UTF-32."""
    # UTF-32 comes first, since its little-endian mark begins with the mark of UTF-16. Without a
    # mark, the first character (ASCII in JSON, and in most headers) has one or three NUL bytes.
    if first.startswith(_UTF_32) or b"\0\0" in first[:4]:
        raise ManifestError("", "is UTF-32 text: save it as UTF-8")
    if first.startswith(_UTF_16) or b"\0" in first[:2]:
        raise ManifestError("", "is UTF-16 text: save it as UTF-8")
