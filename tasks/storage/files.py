"""Files: which content stands at a URL, reading it, and replacing it in one step.

Everything here raises :class:`~tasks.errors.StorageError` and nothing else.
"""

import io
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from tasks.errors import FailureKind, StorageError
from tasks.storage import local
from tasks.storage.failures import translated
from tasks.storage.paths import is_remote, parent, read_only_scheme, resolve

READ_BUFFER_BYTES = 1 << 20
SEEK_BUFFER_BYTES = 1 << 16

# Fields in which stores tell of a change of the content, the strongest first.
_TOKEN_KEYS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "last_modified",
               "Last-Modified", "mtime", "updated", "created")  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """Which content stands at a URL, as far as its store tells without reading it.

    Attributes:
        size: bytes.
        token: the entity tag, or the time of the last change (nanoseconds for a local file).
    """

    size: int
    token: str

    def __str__(self) -> str:
        return f"{self.size} bytes, {self.token}" if self.token else f"{self.size} bytes"


class OpenFile(NamedTuple):
    """A file being read: its bytes, and which content these are."""

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
        status = os.stat(path)  # noqa: PTH116 - fs.info rounds the time to a float
        if not os.path.isfile(path):  # noqa: PTH113
            raise StorageError(FailureKind.MISSING, "is not a file")
        return _local_identity(status)
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


def _local_identity(status: os.stat_result) -> Identity:
    return Identity(status.st_size, str(status.st_mtime_ns))


def _identity_of(info: dict[str, Any]) -> Identity:
    # A store that tells neither tag nor time (a plain HTTP server may not) is known by size only.
    token = next((str(info[key]) for key in _TOKEN_KEYS if info.get(key)), "")
    return Identity(info["size"] if info["size"] is not None else -1, token.strip('"'))


@translated()
def open_for_reading(url: str, *, seekable: bool) -> OpenFile:
    """Open a file, buffered. What its store raises while it is read is a StorageError too.

    Args:
        url: the file.
        seekable: whether it can be read at any offset. If not, an object on S3 is streamed by a
            single request.

    Raises:
        StorageError: as :func:`identify`.
    """
    fs, path = resolve(url)
    raw: Any
    if isinstance(fs, LocalFileSystem):
        raw = open(path, "rb", buffering=0)  # noqa: SIM115, PTH123
        identity = _local_identity(os.fstat(raw.fileno()))
    elif hasattr(fs, "call_s3") and not seekable:
        from tasks.storage.s3 import ObjectStream  # not loaded by runs that are local

        raw = ObjectStream(fs, path)
        identity = _identity_of(raw.info)
    else:
        # On S3 what is asked for, and nothing ahead: that is 50 MB by default.
        options = {"cache_type": "none"} if hasattr(fs, "call_s3") else {}
        raw = fs.open(path, "rb", **options)
        # s3fs has asked already; the details of others (HTTP) lack the entity tag.
        identity = _identity_of(raw.details if hasattr(fs, "call_s3") else fs.info(path))
    # Where one seeks, most of a large buffer is thrown away.
    buffer_bytes = SEEK_BUFFER_BYTES if seekable else READ_BUFFER_BYTES
    reader = io.BufferedReader(_Reader(raw, fs), buffer_bytes)
    return OpenFile(cast(BinaryIO, reader), identity)


class _Reader(io.RawIOBase):
    """Passes on what the file of any store gives; whatever it raises becomes a StorageError."""

    def __init__(self, file: Any, fs: AbstractFileSystem) -> None:
        self._file = file
        self._fs = fs  # which closes its archive once nobody holds it

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    @translated()
    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))  # not every fsspec file has readinto
        buffer[: len(data)] = data
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


@contextmanager
def scratch(url: str, like: str | None = None) -> Iterator[Path]:
    """Make a temporary file to write a new version of ``url`` to before :func:`replace`.

    Args:
        url: the file to come.
        like: a file which a new file must not be more public than.

    Raises:
        StorageError: there is no such store, or its local folder takes no files.
    """
    with translated():
        fs, path = resolve(url)
        target = Path(os.path.realpath(path)) if isinstance(fs, LocalFileSystem) else None
        file = local.make_scratch(target, None if like is None or is_remote(like) else Path(like))
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def keeps_start(url: str) -> bool:
    """Tell whether :func:`replace` can keep the start of a file without reading it."""
    return hasattr(resolve(url)[0], "call_s3")


@translated()
def replace(url: str, file: Path, expected: Identity | None, keep: int = 0) -> None:
    """Put the local ``file`` at ``url`` in one step; a scratch file may be moved there.

    Local files are compared and renamed under a lock that holds off the other runs; S3 compares
    and writes by itself. Other stores have no common way: there the comparison comes just before
    the step, and a run that writes between the two is not noticed.

    Args:
        url: the file to replace.
        file: its new content.
        expected: what must be there now; None: nothing must be there.
        keep: how many bytes from the start of what is there stay; ``file`` is what follows them.
            Only where :func:`keeps_start`.

    Raises:
        StorageError: ``changed``: something else is there now, and nothing was written; or the
            store refused, or did not answer.
    """
    fs, path = resolve(url)
    if isinstance(fs, LocalFileSystem):
        local.replace(path, file, lambda: find(url) == expected)
    elif hasattr(fs, "call_s3"):
        from tasks.storage import s3

        s3.replace(fs, path, file, expected.token if expected else None, keep)
    else:
        if find(url) != expected:
            raise StorageError(FailureKind.CHANGED, "has changed since it was read")
        _put_and_move(fs, path, file)


@translated()
def overwrite(url: str, file: Path) -> None:
    """Put the local ``file`` at ``url`` in one step, whatever is there. Raises as `replace`."""
    fs, path = resolve(url)
    if isinstance(fs, LocalFileSystem):
        local.replace(path, file, lambda: True)
    elif hasattr(fs, "call_s3"):
        from tasks.storage import s3

        s3.overwrite(fs, path, file)
    else:
        _put_and_move(fs, path, file)


@translated()
def remove(url: str) -> None:
    """Remove a file if it is there. Raises as :func:`replace`."""
    fs, path = resolve(url)
    with suppress(FileNotFoundError):
        fs.rm_file(path)


@translated()
def require_writable(folder: str) -> None:
    """Check that a folder takes files, as far as that is known before it is tried.

    Raises:
        StorageError: no permission, or a store that is only read.
    """
    if scheme := read_only_scheme(folder):
        raise StorageError(FailureKind.UNSUPPORTED, f"cannot be written: {scheme}:// is only read")
    if not is_remote(folder) and not local.is_writable(folder):
        raise StorageError(FailureKind.FORBIDDEN, "cannot be written: no permission")


def _put_and_move(fs: AbstractFileSystem, path: str, file: Path) -> None:
    hidden = f"{parent(path)}/.{uuid.uuid4().hex}.tmp"
    try:
        fs.put_file(str(file), hidden)
        if type(fs).mv is AbstractFileSystem.mv:  # that takes "[" in a name for a pattern
            fs.cp_file(hidden, path)
            fs.rm_file(hidden)
        else:
            fs.mv(hidden, path)
    except BaseException:
        with suppress(FileNotFoundError):
            fs.rm_file(hidden)
        raise
