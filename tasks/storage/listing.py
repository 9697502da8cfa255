"""Which files a name, a folder or a pattern stands for."""

import re

from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from tasks.errors import FailureKind, StorageError
from tasks.storage.failures import translated
from tasks.storage.paths import absolute, is_remote, resolve

_MAGIC = re.compile(r"[*?\[]")


@translated()
def list_files(pattern: str) -> list[str]:
    """List the files that a name, a folder (at any depth) or a glob stands for, sorted.

    A folder or glob gives no file with a hidden part below the folder it starts from. Always asks
    the store.

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
    if found == [path]:
        return [url]
    return [_full(fs, url, item) for item in sorted(found) if not _is_hidden(item, _root(path))]


def _root(path: str) -> str:
    """The folder that a glob starts from; anything else is its own."""
    return _MAGIC.split(path, maxsplit=1)[0].rpartition("/")[0] if _MAGIC.search(path) else path


def _find(fs: AbstractFileSystem, path: str) -> list[str]:
    is_local = isinstance(fs, LocalFileSystem)
    if not _MAGIC.search(path) or (is_local and fs.exists(path)):
        if fs.info(path)["type"] != "directory":
            return [path]
        # Other walks of fsspec, too, pass over what may not be read; S3 lists without walking.
        return list(fs.find(path, **({"on_error": "raise"} if is_local else {})))
    matches = fs.glob(path, detail=True)
    if not matches:
        fs.ls(_root(path))  # glob hides a refusal: list once to surface it
    return [item for item, info in matches.items() if info["type"] != "directory"]


def _is_hidden(path: str, root: str) -> bool:
    return any(part.startswith(".") for part in path.removeprefix(root).split("/"))


def _full(fs: AbstractFileSystem, url: str, path: str) -> str:
    if isinstance(fs, LocalFileSystem) or is_remote(path):
        return path
    if "::" in url:
        return str(fs.unstrip_protocol(path))
    return f"{url.partition('://')[0]}://{path.lstrip('/')}"
