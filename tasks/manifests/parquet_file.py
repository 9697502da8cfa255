"""Let pyarrow read a file through another footer, and refuse the file if it is damaged."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa

from tasks.errors import ManifestError
from tasks.manifests.parquet_schema import UnsupportedError
from tasks.manifests.thrift_compact import MalformedError


class _SourceError(Exception):
    """Has an exception of the source as its cause: the file is not at fault."""


class Spliced(io.RawIOBase):
    """The first ``length`` bytes of ``source``, followed by ``tail``."""

    def __init__(self, source: BinaryIO, length: int, tail: bytes | memoryview) -> None:
        self._source, self._length, self._tail = source, length, tail
        self._size, self._position = length + len(tail), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        end = self._size
        if size is not None and size >= 0:
            end = min(end, self._position + size)
        parts = []
        while self._position < end and (part := self._part(end)):
            parts.append(part)
            self._position += len(part)
        return b"".join(parts)

    def _part(self, end: int) -> bytes | memoryview:
        start = self._position - self._length
        if start >= 0:
            return self._tail[start : end - self._length]
        try:
            self._source.seek(self._position)
            return self._source.read(min(end, self._length) - self._position)
        except _SourceError:
            raise
        except Exception as error:
            raise _SourceError from error


@contextmanager
def refusing() -> Iterator[None]:
    """Turn exceptions of the libraries about a file into ManifestErrors; pass on exceptions of the
    source.

    Raises:
        ManifestError: the file is damaged, or cannot gain a column.
    """
    try:
        yield
    except _SourceError as error:
        raise (error.__cause__ or error) from None
    except (MalformedError, UnsupportedError) as error:
        raise ManifestError("", str(error)) from error
    # pyarrow has no common class: a damaged page is an OSError, a string that is not UTF-8 a
    # UnicodeDecodeError, a false count a MemoryError or an OverflowError.
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ManifestError("", f"is not Parquet that can be read ({reason})") from error
