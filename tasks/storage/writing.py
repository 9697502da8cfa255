"""Replace the content at a URL in one step, or remove it.

Every function here raises :class:`~tasks.errors.StorageError` and nothing else.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from tasks.errors import FailureKind, StorageError
from tasks.storage import local
from tasks.storage.failures import storage_error, translated
from tasks.storage.paths import is_remote, is_s3, parent, read_only_scheme, resolve
from tasks.storage.reading import Identity, find


@contextmanager
def scratch(url: str, like: str | None = None) -> Iterator[Path]:
    """Make a temporary file to write a new version of ``url`` to before :func:`replace`.

    Args:
        url: the file to be written.
        like: a file; if ``url`` is new, it must not be more public than this one.

    Raises:
        StorageError: there is no such store, or the local folder cannot be written.
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
    return is_s3(resolve(url)[0])


@translated()
def replace(url: str, file: Path, expected: Identity | None, keep: int = 0) -> None:
    """Put the local ``file`` at ``url`` in one step; a scratch file may be moved there.

    Local files are compared and renamed under a lock that other runs respect; S3 compares and
    writes in one step. Other stores have no common way to do this: the comparison comes just
    before the write, and a write of another run between the two is not noticed.

    Args:
        url: the file to replace.
        file: its new content.
        expected: the content that must be there now; None if there must be no file.
        keep: how many bytes from the start of the old content stay; ``file`` follows them. Only
            where :func:`keeps_start`.

    Raises:
        StorageError: ``changed``, if the content is another one: then nothing was written; or the
            store refused, or did not answer.
    """
    fs, path = resolve(url)
    if isinstance(fs, LocalFileSystem):
        local.replace(path, file, lambda: find(url) == expected)
    elif is_s3(fs):
        from tasks.storage import s3

        s3.replace(fs, path, file, expected.token if expected else None, keep)
    else:
        if find(url) != expected:
            raise StorageError(FailureKind.CHANGED, "has changed since it was read")
        _put_and_move(fs, path, file)


@translated()
def overwrite(url: str, file: Path) -> None:
    """Put the local ``file`` at ``url`` in one step, without a condition. Raises as `replace`."""
    fs, path = resolve(url)
    if isinstance(fs, LocalFileSystem):
        local.replace(path, file, lambda: True)
    elif is_s3(fs):
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
    """Check that a folder can be written: on a local disk by trying, elsewhere as far as this is
    known without trying.

    Raises:
        StorageError: the disk refuses, or the store can only be read.
    """
    if scheme := read_only_scheme(folder):
        raise StorageError(FailureKind.UNSUPPORTED, f"cannot be written: {scheme}:// is only read")
    if not is_remote(folder):
        try:
            local.try_to_write(folder)
        except OSError as error:
            refused = storage_error(error)
            raise StorageError(refused.kind, f"cannot be written: {refused.reason}") from error


def _put_and_move(fs: AbstractFileSystem, path: str, file: Path) -> None:
    hidden = f"{parent(path)}/.{uuid.uuid4().hex}.tmp"
    try:
        fs.put_file(str(file), hidden)
        if type(fs).mv is AbstractFileSystem.mv:  # which treats "[" in a name as a pattern
            fs.cp_file(hidden, path)
            fs.rm_file(hidden)
        else:
            fs.mv(hidden, path)
    except BaseException:
        with suppress(FileNotFoundError):
            fs.rm_file(hidden)
        raise
