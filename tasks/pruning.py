"""List the entries of a cache, and remove those that were not used for long."""

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from tasks.cache import Cache
from tasks.errors import ConfigurationError, StorageError, TransientError
from tasks.shown import shown_url
from tasks.storage import translated

# An entry, or a part of one that a killed run has left; tags-N is of old caches. Other files in the
# folder are not ours: they are not counted and, above all, not removed.
_ENTRY = re.compile(
    r"(?:clips|tags)-\d+/([0-9a-f]{2})/\1[0-9a-f]{62}(?:\.[0-9a-f]{32})?"
    r"|scores-\d+/[0-9a-f]{32}\.(?:pack|tmp)"
)

_MAX_DAYS = 100_000  # more would be before the first year of the calendar
_SECONDS_BETWEEN_PRUNINGS = 86_400
_LISTERS = 16  # listing is mostly waiting for the storage


class Entry(NamedTuple):
    """An entry as its store lists it, with the time of its last use."""

    path: str
    size: int
    used: datetime

    @property
    def kind(self) -> str:
        """Clips or scores (with failures), and the version of their format."""
        kinds: list[str] = re.findall(r"/([a-z]+-\d+)/", self.path)
        return kinds[-1]


@dataclass(frozen=True)
class Pruned:
    """How many entries were removed, and their size in bytes."""

    entries: int = 0
    size: int = 0

    def __add__(self, other: Self) -> Self:
        return replace(self, entries=self.entries + other.entries, size=self.size + other.size)

    def __str__(self) -> str:
        entries = f"{self.entries:,} {'entry' if self.entries == 1 else 'entries'}"
        return f"{entries} ({self.size / 1e6:,.1f} MB)"


def entries(cache: Cache) -> Iterator[Entry]:
    """Yield the entries of the cache, folder by folder, so that memory stays flat.

    Raises:
        TransientError: the storage did not answer.
    """
    with _may_pass("listed"), ThreadPoolExecutor(_LISTERS, thread_name_prefix="list") as pool:
        kinds = _folders(cache, cache.root)
        folders = [*kinds, *(folder for kind in kinds for folder in _folders(cache, kind))]
        for found in pool.map(partial(_files, cache), folders):
            yield from found


def prune(cache: Cache, days: float) -> Pruned:
    """Remove the entries of a local cache that were neither written nor read for ``days``.

    Raises:
        ConfigurationError: the cache is remote. There reading leaves no trace, and a lifecycle
            rule of the bucket removes by age without a request.
        TransientError: the disk refuses.
    """
    if not cache.is_local:
        raise ConfigurationError(
            f"{shown_url(cache.url)} is not on a local disk, so it is not pruned here: set"
            " a lifecycle rule in its store that removes old objects."
        )
    limit = datetime.now(UTC) - timedelta(days=min(days, _MAX_DAYS))
    pruned = Pruned()
    with _may_pass("pruned"):
        for entry in entries(cache):
            if entry.used < limit:
                Path(entry.path).unlink(missing_ok=True)  # another run may prune too
                pruned += Pruned(1, entry.size)
    return pruned


def prune_if_due(cache: Cache, days: float) -> Pruned:
    """Prune a local cache, unless that was done within the last day: it lists all entries."""
    if not cache.is_local:
        return Pruned()
    mark = Path(cache.root, "pruned")
    with _may_pass("written"):
        if mark.exists() and time.time() - mark.stat().st_mtime < _SECONDS_BETWEEN_PRUNINGS:
            return Pruned()
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text("when this cache was last pruned\n")
    return prune(cache, days)


def _folders(cache: Cache, path: str) -> list[str]:
    cache.fs.invalidate_cache()
    try:
        listed = cache.fs.ls(path, detail=True)
    except FileNotFoundError:
        return []
    return [entry["name"] for entry in listed if entry["type"] == "directory"]


def _files(cache: Cache, folder: str) -> list[Entry]:
    with suppress(FileNotFoundError):
        listed = cache.fs.ls(folder, detail=True)
        return [
            Entry(entry["name"], entry["size"], _used(entry))
            for entry in listed
            if entry["type"] == "file"
            and _ENTRY.fullmatch(entry["name"].removeprefix(cache.root).lstrip("/"))
        ]
    return []


def _used(info: Mapping[str, object]) -> datetime:
    """Return when the entry was written or touched; the current time if its store does not tell."""
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
def _may_pass(what: str) -> Iterator[None]:
    """Raise an error of the store as one that may pass."""
    try:
        with translated():
            yield
    except StorageError as error:
        raise TransientError(f"the cache cannot be {what}: {error.reason}") from error
