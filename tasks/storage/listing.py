"""List the files that a name, a folder or a glob matches."""

import os
import re
from collections.abc import Callable
from typing import NamedTuple

from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem
from fsspec.utils import glob_translate

from tasks.errors import FailureKind, StorageError
from tasks.storage.failures import translated
from tasks.storage.paths import absolute, is_remote, parent, resolve, with_path

_MAGIC = re.compile(r"[*?\[]")


class Listing(NamedTuple):
    """The files that a name, a folder or a glob matches.

    Attributes:
        root: the folder in which the search began.
        files: the files that were found below it, sorted.
    """

    root: str
    files: list[str]


@translated()
def list_files(pattern: str) -> Listing:
    """List the files that a name, a folder (at any depth) or a glob matches, sorted.

    A name that exists is not a glob, whatever characters it has. In a folder or glob, a file is
    left out if a part of its path, below the part that was typed, begins with "." or "_": these
    are hidden files, markers and logs of other tools (``_SUCCESS``, ``_delta_log``). Listings are
    never cached.

    Raises:
        StorageError: ``missing`` when a name or folder is not there; or the store refuses to list.
    """
    url = absolute(pattern)
    fs, path = resolve(url)
    try:
        found = _find(fs, path)
    except PermissionError as error:
        where = f": {error.filename}" if error.filename else ""
        reason = f"{error.strerror or 'no permission'}{where}"
        raise StorageError(FailureKind.FORBIDDEN, reason) from error
    if found is None:
        return Listing(parent(url), [url])
    files, typed = found

    def as_url(path: str) -> str:
        is_local = isinstance(fs, LocalFileSystem)
        return path if is_local or is_remote(path) else with_path(url, path)

    root = typed if typed == path else typed.rpartition("/")[0]
    shown = [file for file in sorted(files) if not _is_hidden(file.removeprefix(typed))]
    return Listing(as_url(root), [as_url(file) for file in shown])


@translated()
def is_there(url: str) -> bool:
    """Tell whether a file or folder exists at a URL; False if access is refused."""
    fs, path = resolve(url)
    try:
        return bool(fs.exists(path))
    except PermissionError:
        return False


@translated()
def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether :func:`list_files` would list a URL, if it existed.

    Raises:
        StorageError: no installed package speaks the protocol of the pattern, or its store does not
            answer.
    """
    fs, path = resolve(absolute(pattern))
    is_local = isinstance(fs, LocalFileSystem)
    typed = path if fs.exists(path) else _MAGIC.split(path, maxsplit=1)[0]
    root = typed if typed == path else typed.rpartition("/")[0]
    real = os.path.realpath(root) if is_local else root.rstrip("/")
    typed = real + typed.removeprefix(root)
    wanted = glob_translate(real + path.removeprefix(root))
    if root == path:
        wanted = f"{re.escape(real)}(/.*)?"

    def matches(url: str) -> bool:
        other, target = resolve(url)
        if is_local:
            target = os.path.realpath(target)
        found = type(other) is type(fs) and re.fullmatch(wanted, target, re.DOTALL) is not None
        return found and not _is_hidden(target.removeprefix(typed))

    return matches


def _find(fs: AbstractFileSystem, path: str) -> tuple[list[str], str] | None:
    """Find the files of a folder or a glob, and the part of their paths that was typed; return None
    if ``path`` is a file."""
    try:
        info = fs.info(path)
    except FileNotFoundError:
        if not _MAGIC.search(path):
            raise
        matches = fs.glob(path, detail=True)
        typed = _MAGIC.split(path, maxsplit=1)[0]
        if not matches:
            fs.ls(typed.rpartition("/")[0])  # glob hides a refusal: list once to surface it
        return [file for file, info in matches.items() if info["type"] != "directory"], typed
    if info["type"] != "directory":
        return None
    # By default fsspec's walk passes over folders that may not be read. S3 lists without a walk.
    options = {"on_error": "raise"} if isinstance(fs, LocalFileSystem) else {}
    return list(fs.find(path, **options)), path


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.split("/"))
