"""Replace the content at a URL in one step, or remove it.

Everything here raises :class:`~tasks.errors.StorageError` and nothing else.
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
from tasks.storage.failures import translated
from tasks.storage.paths import is_remote, parent, read_only_scheme, resolve
from tasks.storage.reading import Identity, find


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
    """Put the local ``file`` at ``url`` in one step, without a condition. Raises as `replace`."""
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
