"""Which manifests a pattern stands for."""

import re

from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from tasks.errors import ConfigurationError
from tasks.manifests import format_of, is_manifest
from tasks.storage.failures import describe, redact, storage_errors
from tasks.storage.paths import absolute, is_remote, resolve

LEDGER_SUFFIX = ".failures"

_MAGIC = re.compile(r"[*?\[]")


def list_manifests(pattern: str) -> list[str]:
    """The manifests that a file name, a folder (at any depth) or a glob stands for, sorted.

    A folder or glob gives what has a manifest's extension and no hidden part below the place it
    starts from, so neither ledgers nor temporary files. Always asks the store.

    Raises:
        ConfigurationError: nothing matches, or the store refuses to list.
    """
    place = absolute(pattern)
    if place.endswith(LEDGER_SUFFIX):
        raise ConfigurationError(f"{redact(place)} is a failure ledger, not a manifest.")
    fs, path = resolve(place)
    try:
        found = _find(fs, path)
    except storage_errors(ValueError) as error:
        raise ConfigurationError(f"{redact(place)} cannot be listed: {_why(error)}.") from error
    if found == [path]:
        format_of(place)
        return [place]
    shown = sorted(
        item for item in found if is_manifest(item) and not _is_hidden(item, _root(path))
    )
    if not shown:
        raise ConfigurationError(f"There is no manifest at {redact(place)}.")
    return [_full(fs, place, item) for item in shown]


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
        fs.ls(_root(path))  # glob takes a refusal for an empty folder: have it out
    return [item for item, info in matches.items() if info["type"] != "directory"]


def _is_hidden(path: str, root: str) -> bool:
    return any(part.startswith(".") for part in path.removeprefix(root).split("/"))


def _full(fs: AbstractFileSystem, place: str, path: str) -> str:
    if isinstance(fs, LocalFileSystem) or is_remote(path):
        return path
    if "::" in place:
        return str(fs.unstrip_protocol(path))
    return f"{place.partition('://')[0]}://{path.lstrip('/')}"


def _why(error: BaseException) -> str:
    problem = describe(error)
    place = getattr(error, "filename", None)
    return {
        "missing": "there is no such file, folder or bucket",
        "forbidden": f"access is refused ({problem.reason}{f': {place}' if place else ''})",
    }.get(problem.kind, problem.reason)
