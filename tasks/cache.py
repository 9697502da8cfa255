"""The content-addressed cache: what was extracted and tagged, kept between runs and machines.

An entry is named by a hash of everything that decides its content (the video's identity and the
settings; for tags the model too), so a changed batch size, device or manifest still finds it, and
nothing in it is ever out of date. It is plain bytes behind a checksum, never a pickle: a shared
bucket cannot run code here, and a damaged entry is a miss.
"""

import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self

from fsspec.implementations.local import LocalFileSystem

from tasks.errors import ConfigurationError, StorageError, TransientError
from tasks.shown import shown_url
from tasks.storage import describe, resolve, storage_errors

_DIGEST = hashlib.sha256
_DIGEST_SIZE = _DIGEST().digest_size

# An entry, or what a killed run left of one. Whatever else lies in the folder is somebody else's:
# it is not counted, and above all not removed.
_ENTRY = re.compile(r"(?:clips|tags)-\d+/([0-9a-f]{2})/\1[0-9a-f]{62}(?:\.[0-9a-f]{32})?")

_BETWEEN_PRUNINGS = timedelta(days=1)
_TOUCH_SECONDS = 86_400
_LISTERS = 16  # listing is waiting for the storage
_REMOVED_AT_ONCE = 1000  # what S3 takes in one request


def default_cache() -> str:
    """The folder in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return str(Path(base).expanduser() / "video-audio-tags")


def entry_key(kind: str, *parts: object) -> str:
    """Name of an entry.

    Args:
        kind: its folder; the version of its format belongs into it.
        parts: JSON values, all that decides the entry's content.
    """
    name = _DIGEST(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{kind}/{name[:2]}/{name}"


class Entry(NamedTuple):
    """An entry as its store lists it, with the time of its last use."""

    path: str
    size: int
    used: datetime

    @property
    def kind(self) -> str:
        """Clips or tags, with the version of their format."""
        return self.path.split("/")[-3]


@dataclass(frozen=True)
class Pruned:
    """What was removed."""

    entries: int = 0
    size: int = 0

    def __add__(self, other: Self) -> Self:
        return replace(self, entries=self.entries + other.entries, size=self.size + other.size)

    def __str__(self) -> str:
        return f"{self.entries:,} entries ({self.size / 1e6:,.1f} MB)"


class Cache:
    """Entries under one folder, local or remote.

    Args:
        url: the folder; any fsspec URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._fs, self._root = resolve(url)
        except StorageError as error:
            raise ConfigurationError(
                f"{shown_url(url)} cannot be opened: {error.reason}."
            ) from error
        self.is_local = isinstance(self._fs, LocalFileSystem)

    def get(self, key: str) -> bytes | None:
        """The entry's content, or None when it is not there or damaged.

        Raises:
            TransientError: the storage did not answer.
        """
        path = f"{self._root}/{key}"
        try:
            entry: bytes = self._fs.cat_file(path)
        except storage_errors() as error:
            problem = describe(error)
            if problem.kind == "missing":
                return None
            raise TransientError(f"the cache cannot be read: {problem.reason}") from error
        if self.is_local:
            self._touch(path)
        digest, content = entry[:_DIGEST_SIZE], entry[_DIGEST_SIZE:]
        return content if _DIGEST(content).digest() == digest else None

    def put(self, key: str, content: bytes) -> None:
        """Write an entry in one step.

        Raises:
            TransientError: the storage did not take it.
        """
        path, entry = f"{self._root}/{key}", _DIGEST(content).digest() + content
        try:
            if self.is_local:
                self._put_local(path, entry)
            else:
                self._fs.pipe_file(path, entry)
        except storage_errors() as error:
            raise TransientError(
                f"the cache cannot be written: {describe(error).reason}"
            ) from error

    def remove(self, key: str) -> None:
        """Remove an entry, if it is there."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{key}")

    def entries(self) -> Iterator[Entry]:
        """What is in the cache, folder by folder so that memory stays flat.

        Raises:
            TransientError: the storage did not answer.
        """
        with _reported("listed"), ThreadPoolExecutor(_LISTERS, thread_name_prefix="list") as pool:
            folders = [
                folder for kind in self._folders(self._root) for folder in self._folders(kind)
            ]
            for found in pool.map(self._files, folders):
                yield from found

    def prune(self, days: float) -> Pruned:
        """Remove the entries that nobody used for so long.

        On local disks a use is a write or a read; elsewhere, where a read leaves no trace, a
        write: what is still needed then is read from its video again, once in so many days.

        Raises:
            TransientError: the storage did not answer.
        """
        limit = datetime.now(UTC) - timedelta(days=days)
        old = (entry for entry in self.entries() if entry.used < limit)
        pruned = Pruned()
        with _reported("pruned"):
            while batch := list(islice(old, _REMOVED_AT_ONCE)):
                self._remove([entry.path for entry in batch])
                pruned += Pruned(len(batch), sum(entry.size for entry in batch))
        return pruned

    def prune_if_due(self, days: float) -> Pruned:
        """Prune, unless that was done within the last day: it lists all entries."""
        mark = f"{self._root}/pruned"
        with _reported("read"):
            found = self._fs.info(mark) if self._fs.exists(mark) else None
        if found is not None and datetime.now(UTC) - _used(found) < _BETWEEN_PRUNINGS:
            return Pruned()
        with _reported("written"):
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(mark, b"when this cache was last pruned\n")
        return self.prune(days)

    def _folders(self, path: str) -> list[str]:
        self._fs.invalidate_cache()
        try:
            listed = self._fs.ls(path, detail=True)
        except FileNotFoundError:
            return []
        return [entry["name"] for entry in listed if entry["type"] == "directory"]

    def _files(self, folder: str) -> list[Entry]:
        with suppress(FileNotFoundError):
            listed = self._fs.ls(folder, detail=True)
            return [
                Entry(entry["name"], entry["size"], _used(entry))
                for entry in listed
                if entry["type"] == "file" and _ENTRY.fullmatch(self._key(entry["name"]))
            ]
        return []

    def _key(self, path: str) -> str:
        return path.removeprefix(self._root).lstrip("/")

    def _remove(self, paths: list[str]) -> None:
        if not self.is_local:
            self._fs.rm(paths)  # in one request
            return
        for path in paths:
            Path(path).unlink(missing_ok=True)  # another run may prune too

    def _touch(self, path: str) -> None:
        """Remember the use of a local entry; once a day is enough, and reading stays reading."""
        with suppress(OSError):  # a cache that is only readable
            if time.time() - Path(path).stat().st_mtime > _TOUCH_SECONDS:
                os.utime(path)

    def _put_local(self, path: str, entry: bytes) -> None:
        self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        temporary = f"{path}.{uuid.uuid4().hex}"
        Path(temporary).write_bytes(entry)
        Path(temporary).replace(path)


def _used(info: dict[str, Any]) -> datetime:
    """When the entry was written, or touched; now when its store does not tell."""
    times = (info.get(name) for name in ("mtime", "LastModified", "last_modified", "updated"))
    match next((time for time in times if time is not None), None):
        case float() | int() as seconds:
            return datetime.fromtimestamp(seconds, UTC)
        case datetime() as moment:
            return moment
        case str() as text:
            return datetime.fromisoformat(text)
    return datetime.now(UTC)


@contextmanager
def _reported(what: str) -> Iterator[None]:
    try:
        yield
    except storage_errors() as error:
        reason = describe(error).reason
        raise TransientError(f"the cache cannot be {what}: {reason}") from error
