"""The content-addressed cache: what was extracted and tagged, kept between runs and machines.

An entry is named by a hash of everything that decides its content (the video's identity and the
settings; for scores the model too), so a changed batch size, device or manifest still finds it, and
nothing in it is ever out of date. It is plain bytes behind a checksum, never a pickle: a shared
bucket cannot run code here, and a damaged entry is a miss.
"""

import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from fsspec.implementations.local import LocalFileSystem

from tasks.audio.window import Windows
from tasks.errors import ConfigurationError, StorageError, TransientError
from tasks.packs import Packs
from tasks.shown import shown_url
from tasks.storage import resolve, translated

_DIGEST = hashlib.sha256
_DIGEST_SIZE = _DIGEST().digest_size

# An entry, or the part of one that a killed run left. Other files in the folder are not ours:
# it is not counted, and above all not removed.
_ENTRY = re.compile(
    r"(?:clips|tags)-\d+/([0-9a-f]{2})/\1[0-9a-f]{62}(?:\.[0-9a-f]{32})?"
    r"|scores-\d+/[0-9a-f]{32}\.(?:pack|tmp)"
)

_SECONDS_BETWEEN_PRUNINGS = 86_400
_TOUCH_SECONDS = 86_400
_LISTERS = 16  # listing is waiting for the storage
_PROBE = "probe"
_SCORES = "scores-1"

Keep = Literal["auto", "clips", "tags"]


def default_cache() -> str:
    """Return the folder in the user's cache directory."""
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
        """Clips or scores, with the version of their format."""
        kinds: list[str] = re.findall(r"/([a-z]+-\d+)/", self.path)
        return kinds[-1]


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

    Nothing that is wrong with an entry costs more than the time to compute it again: one that
    cannot be read is a miss, and one that cannot be written is left out.

    Args:
        url: the folder; any fsspec URL.
        keep: what a video leaves there: ``tags`` only what the model said of it, ``clips`` all
            sound that was heard too, ``auto`` that of its start where the folder is local.

    Attributes:
        trouble: why the last entry that could not be written was not, or None.
    """

    def __init__(self, url: str, keep: Keep = "auto") -> None:
        self.url = url
        self.trouble: str | None = None
        try:
            self._fs, self._root = resolve(url)
        except StorageError as error:
            raise ConfigurationError(
                f"{shown_url(url)} cannot be opened: {error.reason}."
            ) from error
        self.is_local = isinstance(self._fs, LocalFileSystem)
        self.keep: Keep = keep
        self._packs = Packs(f"{url}/{_SCORES}")

    def keeps_clips(self, windows: Windows) -> bool:
        """Tell whether clips are looked up and kept of videos of which so much is heard."""
        # What lies beyond the start is large, and rarely asked for again: its scores are kept.
        cheap = self.is_local and windows == "start"
        return self.keep == "clips" or (self.keep == "auto" and cheap)

    def check(self) -> None:
        """Write an entry and read it back: what is wrong with the store fails here.

        Raises:
            ConfigurationError: the store refuses, or does not answer.
        """
        with self.probe():
            pass

    @contextmanager
    def probe(self) -> Iterator[str]:
        """Write an entry and read it back; give its key, under which it is there inside.

        Raises:
            ConfigurationError: the store refuses, or does not answer.
        """
        # A name of its own: another run may probe at the same time, and remove what it wrote.
        key = f"{_PROBE}-{uuid.uuid4().hex}"
        path, content = f"{self._root}/{key}", b"can be written"
        try:
            with translated():
                if self.is_local:  # s3fs would make the bucket
                    self._fs.makedirs(self._root, exist_ok=True)
                self._write(path, _DIGEST(content).digest() + content)
                self._fs.cat_file(path)
        except StorageError as error:
            raise ConfigurationError(
                f"The cache {shown_url(self.url)} cannot be used: {error.reason}."
                " Name another folder by --cache, or use --no-cache."
            ) from error
        try:
            yield key
        finally:
            with suppress(StorageError), translated():  # writing needs no right to remove
                self._fs.rm_file(path)

    def get(self, key: str) -> bytes | None:
        """Return the entry's content; None when it is not there, damaged, or cannot be read.

        Raises:
            TransientError: the storage did not answer.
        """
        path = f"{self._root}/{key}"
        try:
            with translated():
                entry: bytes = self._fs.cat_file(path)
        except StorageError as error:
            if error.transient:
                raise TransientError(f"the cache cannot be read: {error.reason}") from error
            return None
        if self.is_local:
            self._touch(path)
        digest, content = entry[:_DIGEST_SIZE], entry[_DIGEST_SIZE:]
        return content if _DIGEST(content).digest() == digest else None

    def put(self, key: str, content: bytes) -> None:
        """Write an entry in one step, if its store takes it."""
        try:
            with translated():
                self._write(f"{self._root}/{key}", _DIGEST(content).digest() + content)
        except StorageError as error:
            self.trouble = error.reason

    def find_packed(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of those keys that are in a pack.

        Raises:
            TransientError: the storage did not answer.
        """
        try:
            return self._packs.get(keys)
        except StorageError as error:
            if error.transient:
                raise TransientError(f"the cache cannot be read: {error.reason}") from error
            return {}

    def put_packed(self, contents: Mapping[str, bytes]) -> None:
        """Write some contents as one object, if the store takes it."""
        try:
            self._packs.put(contents)
        except StorageError as error:
            self.trouble = error.reason

    def entries(self) -> Iterator[Entry]:
        """Yield what is in the cache, folder by folder so that memory stays flat.

        Raises:
            TransientError: the storage did not answer.
        """
        with _reported("listed"), ThreadPoolExecutor(_LISTERS, thread_name_prefix="list") as pool:
            kinds = self._folders(self._root)
            folders = [*kinds, *(folder for kind in kinds for folder in self._folders(kind))]
            for found in pool.map(self._files, folders):
                yield from found

    def prune(self, days: float) -> Pruned:
        """Remove the entries of a local cache that were neither written nor read for so long.

        Raises:
            ConfigurationError: the cache is remote. There reading leaves no trace, and a lifecycle
                rule of the bucket removes by age without a request.
            TransientError: the disk refuses.
        """
        if not self.is_local:
            raise ConfigurationError(
                f"{shown_url(self.url)} is not on a local disk, so it is not pruned here: set"
                " a lifecycle rule in its store that removes old objects."
            )
        limit = datetime.now(UTC) - timedelta(days=days)
        pruned = Pruned()
        with _reported("pruned"):
            for entry in self.entries():
                if entry.used < limit:
                    Path(entry.path).unlink(missing_ok=True)  # another run may prune too
                    pruned += Pruned(1, entry.size)
        return pruned

    def prune_if_due(self, days: float) -> Pruned:
        """Prune a local cache, unless that was done within the last day: it lists all entries."""
        if not self.is_local:
            return Pruned()
        mark = Path(self._root, "pruned")
        with _reported("written"):
            if mark.exists() and time.time() - mark.stat().st_mtime < _SECONDS_BETWEEN_PRUNINGS:
                return Pruned()
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text("when this cache was last pruned\n")
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

    def _touch(self, path: str) -> None:
        """Remember the use of a local entry; once a day is enough, and reading stays reading."""
        with suppress(OSError):  # it was pruned meanwhile
            if time.time() - Path(path).stat().st_mtime > _TOUCH_SECONDS:
                os.utime(path)

    def _write(self, path: str, entry: bytes) -> None:
        if not self.is_local:
            self._fs.pipe_file(path, entry)
            return
        # Only folders below the root are made: when a run without a cache removes its own, threads
        # that still write must not bring it back.
        for folder in reversed(Path(path).relative_to(self._root).parents[:-1]):
            Path(self._root, folder).mkdir(exist_ok=True)
        temporary = Path(f"{path}.{uuid.uuid4().hex}")
        try:
            temporary.write_bytes(entry)
            temporary.replace(path)
        except BaseException:  # above all a full disk
            temporary.unlink(missing_ok=True)
            raise


def _used(info: dict[str, Any]) -> datetime:
    """Return when the entry was written, or touched; now when its store does not tell."""
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
        with translated():
            yield
    except StorageError as error:
        raise TransientError(f"the cache cannot be {what}: {error.reason}") from error
