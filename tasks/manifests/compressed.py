"""Any text format inside gzip, Zstandard or bzip2."""

import bz2
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import zstandard

from tasks.errors import ManifestError
from tasks.manifests import Fields, ManifestFormat, Sample, TagSample

_BUFFER_BYTES = 1 << 20
_ZSTD_INPUT_BYTES = 1 << 14
_ZSTD_WINDOW_BYTES = 1 << 31  # what `zstd --long=31` writes
_GZIP_LEVEL = 6  # of the gzip tool; Python's 9 takes three times as long for 1 % less


class Compressed:
    """Reads and writes ``inner`` through a compression.

    Args:
        inner: a format that reads from start to end.
        compression: ``.gz``, ``.zst`` or ``.bz2``.
    """

    def __init__(self, inner: ManifestFormat, compression: str) -> None:
        self._inner, self._compression = inner, compression

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        with _decompressed(source, self._compression) as plain:
            yield from self._inner.read(plain, fields)

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        with (
            _decompressed(source, self._compression) as plain,
            _compressing(target, self._compression) as packed,
        ):
            self._inner.rewrite(plain, packed, fields, tag)


@contextmanager
def _decompressed(source: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    raw: Any
    if compression == ".gz":
        raw = gzip.GzipFile(fileobj=source, mode="rb")
    else:
        raw = bz2.BZ2File(source) if compression == ".bz2" else _ZstdReader(source)
    try:
        with io.BufferedReader(raw, _BUFFER_BYTES) as plain:
            yield cast(BinaryIO, plain)
    except (gzip.BadGzipFile, zlib.error, zstandard.ZstdError, EOFError) as error:
        raise ManifestError("", f"is not whole {compression} data ({error})") from error


@contextmanager
def _compressing(target: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    packed: Any
    if compression == ".gz":
        # No time and no name in the header: the same samples give the same bytes.
        packed = gzip.GzipFile("", "wb", _GZIP_LEVEL, target, mtime=0)
    elif compression == ".bz2":
        packed = bz2.BZ2File(target, "wb")
    else:
        packed = zstandard.ZstdCompressor(write_checksum=True).stream_writer(target, closefd=False)
    with packed, io.BufferedWriter(packed, _BUFFER_BYTES) as plain:
        yield cast(BinaryIO, plain)


class _ZstdReader(io.RawIOBase):
    """Zstandard of one or many frames. The package's own stream_reader ends without an error
    where the file was cut off, and the samples behind would be lost in silence."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._frame: Any = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            if not self._input:
                self._input = self._source.read(_ZSTD_INPUT_BYTES)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("it is cut off")
                return 0
            self._output = memoryview(self._decompress())
        count = min(len(buffer), len(self._output))
        buffer[:count], self._output = self._output[:count], self._output[count:]
        return count

    def _decompress(self) -> bytes:
        if self._frame is None:
            self._frame = self._decoder.decompressobj()
        data: bytes = self._frame.decompress(self._input)
        self._input = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame = None
        return data
