"""Any text format inside gzip, Zstandard or bzip2."""

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from backports import zstd

from tasks.errors import ManifestError
from tasks.manifests import Fields, ManifestFormat, Sample, TagSample

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 1 << 20
_INPUT_BYTES = 1 << 16
# The largest window that `zstd` writes (by `--long=31`).
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 31}
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
    raw: gzip.GzipFile | _Streams
    if compression == ".gz":
        raw = gzip.GzipFile(fileobj=source, mode="rb")
    elif compression == ".bz2":
        raw = _Streams(source, bz2.BZ2Decompressor)
    else:
        raw = _Streams(source, partial(zstd.ZstdDecompressor, options=_ZSTD_OPTIONS))
    try:
        with io.BufferedReader(raw, _BUFFER_BYTES) as plain:
            yield cast(BinaryIO, plain)
    except (gzip.BadGzipFile, zlib.error, _Damaged, EOFError) as error:
        raise ManifestError("", f"is cut off, or not {compression} data ({error})") from error


@contextmanager
def _compressing(target: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    packed: gzip.GzipFile | bz2.BZ2File | zstd.ZstdFile
    if compression == ".gz":
        # No time and no name in the header: the same samples give the same bytes.
        packed = gzip.GzipFile("", "wb", _GZIP_LEVEL, target, mtime=0)
    elif compression == ".bz2":
        packed = bz2.BZ2File(target, "wb")
    else:
        options: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
        packed = zstd.ZstdFile(target, "wb", options=options)
    with packed, io.BufferedWriter(packed, _BUFFER_BYTES) as plain:
        yield cast(BinaryIO, plain)


class _Damaged(Exception):
    """The data is damaged. (bz2 raises a bare OSError, which could also come from the store.)"""


class _Decompressor(Protocol):
    """Decompresses one stream; returns at most ``max_length`` bytes at a time."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Streams(io.RawIOBase):
    """Decompresses streams that follow one another. BZ2File and ZstdFile treat a later stream with
    a damaged header as padding, and its samples would be lost without an error."""

    def __init__(self, source: BinaryIO, new: Callable[[], _Decompressor]) -> None:
        self._source, self._new = source, new
        self._decompressor: _Decompressor | None = None
        self._unused = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view, output = memoryview(buffer), b""
        while not output:
            data, self._unused = self._unused, b""
            if not data and (self._decompressor is None or self._decompressor.needs_input):
                data = self._source.read(_INPUT_BYTES)
                if not data and self._decompressor is None:
                    return 0
                if not data:
                    raise EOFError("it is cut off")
            self._decompressor = self._decompressor or self._new()
            try:
                output = self._decompressor.decompress(data, len(view))
            except (OSError, zstd.ZstdError) as error:
                raise _Damaged(str(error)) from error
            if self._decompressor.eof:
                self._unused = self._decompressor.unused_data
                self._decompressor = None
        view[: len(output)] = output
        return len(output)
