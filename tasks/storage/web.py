"""Read files on the web, also from servers that tell no size or cannot send parts of a file."""

import tempfile
from typing import IO

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from tasks.errors import FailureKind, StorageError

MAX_COPY_BYTES = 4 * 2**30
"""Limit for a file that is read whole, since its server cannot send parts."""

_COPY_BLOCK_BYTES = 1 << 20
# A part of a compressed answer could not be decompressed.
_OPTIONS = {"headers": {"Accept-Encoding": "identity"}}


def is_web(fs: AbstractFileSystem) -> bool:
    """Tell whether files are read by HTTP, without the import of its class (half a second)."""
    return hasattr(fs, "encode_url")


def open_stream(fs: AbstractFileSystem, path: str) -> AbstractBufferedFile:
    """Open a file to be read once, from its start to its end, by one request."""
    return fs.open(path, "rb", block_size=0, **_OPTIONS)


def open_seekable(fs: AbstractFileSystem, path: str) -> AbstractBufferedFile | IO[bytes]:
    """Open a file that can be read at any offset.

    Returns:
        fsspec's file where the server sends parts, else a temporary copy of the whole.

    Raises:
        StorageError: it must be copied, and is longer than ``MAX_COPY_BYTES``.
    """
    file = fs.open(path, "rb", **_OPTIONS)
    if file.size is not None and _sends_parts(file):
        return file
    file.close()
    with open_stream(fs, path) as stream:
        return _copy_to_file(stream)


def _sends_parts(file: AbstractBufferedFile) -> bool:
    """Tell whether the server sends parts, by asking for the last byte: one that cannot sends the
    file from its start."""
    try:
        file._fetch_range(max(0, file.size - 1), file.size)
    except ValueError:
        return bool(file.size <= 1)
    return True


def _copy_to_file(stream: AbstractBufferedFile) -> IO[bytes]:
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its reader
    try:
        while block := stream.read(_COPY_BLOCK_BYTES):
            copy.write(block)
            if copy.tell() > MAX_COPY_BYTES:
                limit = f"{MAX_COPY_BYTES >> 30} GiB"
                reason = f"is longer than {limit}, and its server cannot send parts of it"
                raise StorageError(FailureKind.UNREADABLE, reason)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy
