"""Identify the content at a URL, and read it.

Every function here raises :class:`~tasks.errors.StorageError` and nothing else.
"""

import io
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from tasks.errors import FailureKind, StorageError
from tasks.storage import web
from tasks.storage.failures import translated
from tasks.storage.paths import is_s3, resolve

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

READ_BUFFER_BYTES = 1 << 20
SEEK_BUFFER_BYTES = 1 << 16

# Fields that change with the content, the strongest first.
_TOKEN_KEYS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "last_modified",
               "Last-Modified", "mtime", "updated", "created")  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """Identifies the content at a URL, as far as its store can tell without a read.

    Attributes:
        size: in bytes; -1 if a web server does not tell it.
        token: the entity tag, or the time of the last change (nanoseconds for a local file).
    """

    size: int
    token: str

    @property
    def is_known(self) -> bool:
        """Whether other content would have another identity: some web servers tell nothing."""
        return self.size >= 0 or bool(self.token)

    def __str__(self) -> str:
        size = f"{self.size} bytes" if self.size >= 0 else "size not told"
        return f"{size}, {self.token}" if self.token else size


class OpenFile(NamedTuple):
    """An open file: its bytes, and the identity of this content."""

    stream: BinaryIO
    identity: Identity


@translated()
def identify(url: str) -> Identity:
    """Return the content identity of a file, by one request and without reading it.

    Raises:
        StorageError: it is missing, a folder, or may not be read; or the store did not answer.
    """
    fs, path = resolve(url)
    if isinstance(fs, LocalFileSystem):
        return _local_identity(path)
    info = fs.info(path)
    if info["type"] == "directory":
        raise StorageError(FailureKind.MISSING, "is a folder")
    return _identity_of(info)


def find(url: str) -> Identity | None:
    """Return the identity of a file, or None where there is none. Raises as :func:`identify`."""
    try:
        return identify(url)
    except StorageError as error:
        if error.kind is FailureKind.MISSING:
            return None
        raise


def _local_identity(path: str | int) -> Identity:
    status = os.stat(path)  # noqa: PTH116 - fs.info rounds the time to a float
    if not stat.S_ISREG(status.st_mode):
        raise StorageError(FailureKind.MISSING, "is not a file")
    return Identity(status.st_size, str(status.st_mtime_ns))


def _identity_of(info: Mapping[str, Any]) -> Identity:
    # A store that tells neither tag nor time (a plain HTTP server may not) is known by size only.
    token = next((str(info[key]) for key in _TOKEN_KEYS if info.get(key)), "")
    return Identity(info["size"] if info["size"] is not None else -1, token.strip('"'))


@translated()
def open_for_reading(url: str, *, seekable: bool) -> OpenFile:
    """Open a file with a buffer. Reads from it raise StorageError, too.

    Args:
        url: the file.
        seekable: whether it can be read at any offset. If not, an object on S3 is streamed by a
            single request.

    Raises:
        StorageError: as :func:`identify`.
    """
    fs, path = resolve(url)
    raw: AbstractBufferedFile | IO[bytes] | io.RawIOBase
    if isinstance(fs, LocalFileSystem):
        _local_identity(path)  # before it is opened: a pipe would wait for its writer
        raw = open(path, "rb", buffering=0)  # noqa: SIM115, PTH123
        identity = _local_identity(raw.fileno())
    elif is_s3(fs) and not seekable:
        from tasks.storage.s3 import ObjectStream  # not loaded by local runs

        raw = stream = ObjectStream(fs, path)
        identity = _identity_of(stream.info)
    elif web.is_web(fs):
        raw = web.open_seekable(fs, path) if seekable else web.open_stream(fs, path)
        identity = _identity_of(fs.info(path))
    else:
        # On S3 nothing is read ahead: the default is 50 MB.
        options = {"cache_type": "none"} if is_s3(fs) else {}
        raw = file = fs.open(path, "rb", **options)
        # s3fs has already asked the store; the details of other stores may lack the entity tag.
        identity = _identity_of(file.details if is_s3(fs) else fs.info(path))
    # A seek throws away most of a large buffer.
    buffer_bytes = SEEK_BUFFER_BYTES if seekable else READ_BUFFER_BYTES
    reader = io.BufferedReader(_Reader(raw, fs), buffer_bytes)
    return OpenFile(cast(BinaryIO, reader), identity)


class _Reader(io.RawIOBase):
    """Wraps the file of any store: each of its exceptions becomes a StorageError."""

    def __init__(
        self, file: AbstractBufferedFile | IO[bytes] | io.RawIOBase, fs: AbstractFileSystem
    ) -> None:
        self._file = file
        self._fs = fs  # it closes its archive once no reference is left

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    @translated()
    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._file.read(len(view))  # not every fsspec file has readinto
        view[: len(data)] = data
        return len(data)

    @translated()
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    @translated()
    def tell(self) -> int:
        return int(self._file.tell())

    @translated()
    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
