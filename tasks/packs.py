"""Packs: the small results of a unit in one object, kept between runs and machines.

An object for each result would cost more than computing it (S3 bills every PUT), so the results of
a unit are written together. A run reads the index of each pack once, into a scratch table on disk,
and then requests only what it knows to be there.

A pack is a head (magic, number of entries, CRC-32 of the index), the index (SHA-256 of each key,
length and CRC-32 of each content), then the contents one after the other: plain bytes, never a
pickle. A damaged pack, or a damaged entry, counts as missing.
"""

import hashlib
import os
import sqlite3
import struct
import threading
import time
import uuid
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from fsspec.implementations.local import LocalFileSystem

from tasks.errors import FailureKind, StorageError
from tasks.storage import resolve, translated

_SUFFIX = ".pack"
_MAGIC = b"PCK1"
_HEAD = struct.Struct("<4sII")
_ROW = struct.Struct("<32sII")
# One request reads the head and the index of any pack: 1,600 entries.
_INDEX_BYTES = 64 << 10
_READERS = 32  # reading an index is mostly waiting for the storage
_TOUCH_SECONDS = 86_400
# Parameters of one statement; SQLite takes 32,766.
_KEYS_AT_ONCE = 10_000


class _Entry(NamedTuple):
    """An entry of a pack: the digest of its key, the offset, length and CRC-32 of its content."""

    digest: bytes
    offset: int
    length: int
    checksum: int


class Packs:
    """The packs in one folder, local or remote. May be used from several threads.

    Args:
        url: the folder; any fsspec URL.

    Raises:
        StorageError: nothing speaks the URL's protocol.
    """

    def __init__(self, url: str) -> None:
        self._fs, self._root = resolve(url)
        self._is_local = isinstance(self._fs, LocalFileSystem)
        self._lock = threading.Lock()
        # The empty name is a private file that SQLite removes by itself.
        self._index = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._index.close)  # Python 3.13 warns where it is left open
        self._index.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE packs (number INTEGER PRIMARY KEY, path TEXT);"
            "CREATE TABLE entries (digest BLOB PRIMARY KEY, pack INT, offset INT, length INT,"
            " checksum INT) WITHOUT ROWID;"
        )
        self._loaded = False

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of the keys that are in a pack.

        Raises:
            StorageError: the store did not answer.
        """
        with self._lock:
            if not self._loaded:
                self._load()
                self._loaded = True
        by_digest = {_digest(key): key for key in keys}
        found: dict[str, bytes] = {}
        for path, entries in self._locate(list(by_digest)).items():
            for digest, content in self._read(path, entries):
                found[by_digest[digest]] = content
        return found

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Write the contents of some keys as one pack, in one step.

        Raises:
            StorageError: the store did not accept it.
        """
        rows = [(_digest(key), len(part), zlib.crc32(part)) for key, part in contents.items()]
        index = b"".join(_ROW.pack(*row) for row in rows)
        head = _HEAD.pack(_MAGIC, len(rows), zlib.crc32(index)) + index
        path = f"{self._root}/{uuid.uuid4().hex}{_SUFFIX}"
        with translated():
            if self._is_local:
                _write_local(Path(path), head + b"".join(contents.values()))
            else:
                self._fs.pipe_file(path, head + b"".join(contents.values()))
        with self._lock:
            if self._loaded:  # otherwise the first get() finds it
                self._remember(path, _entries(head))

    def _load(self) -> None:
        """Read the index of every pack in the folder."""
        with translated(), ThreadPoolExecutor(_READERS, thread_name_prefix="packs") as readers:
            try:
                listed = self._fs.ls(self._root, detail=True)
            except FileNotFoundError:
                return
            packs = [(entry["name"], entry["size"]) for entry in listed]
            packs = [pack for pack in packs if pack[0].endswith(_SUFFIX)]
            for (path, size), head in zip(packs, readers.map(self._head, packs), strict=True):
                # Of a truncated pack, only the entries that are complete.
                whole = [entry for entry in _entries(head) if entry.offset + entry.length <= size]
                self._remember(path, whole)

    def _head(self, pack: tuple[str, int]) -> bytes:
        path, size = pack
        with suppress(FileNotFoundError):  # another run has pruned it
            return bytes(self._fs.cat_file(path, start=0, end=min(size, _INDEX_BYTES)))
        return b""

    def _remember(self, path: str, entries: Sequence[_Entry]) -> None:
        number = self._index.execute("INSERT INTO packs (path) VALUES (?)", (path,)).lastrowid
        self._index.execute("BEGIN")
        self._index.executemany(
            "INSERT OR REPLACE INTO entries (digest, offset, length, checksum, pack)"
            " VALUES (?, ?, ?, ?, ?)",
            ((*entry, number) for entry in entries),
        )
        self._index.execute("COMMIT")

    def _locate(self, digests: Sequence[bytes]) -> dict[str, list[_Entry]]:
        """Return the entries of the digests, by the path of their pack."""
        located: dict[str, list[_Entry]] = {}
        for start in range(0, len(digests), _KEYS_AT_ONCE):
            some = digests[start : start + _KEYS_AT_ONCE]
            marks = ",".join("?" * len(some))
            with self._lock:
                rows = self._index.execute(
                    "SELECT path, digest, offset, length, checksum FROM entries JOIN packs"
                    f" ON pack = number WHERE digest IN ({marks})",
                    some,
                ).fetchall()
            for path, *entry in rows:
                located.setdefault(path, []).append(_Entry(*entry))
        return located

    def _read(self, path: str, entries: Sequence[_Entry]) -> Iterator[tuple[bytes, bytes]]:
        """Yield the digests and contents of some entries of a pack, by one request."""
        first = min(entry.offset for entry in entries)
        end = max(entry.offset + entry.length for entry in entries)
        try:
            with translated():
                data = self._fs.cat_file(path, start=first, end=end) if first < end else b""
        except StorageError as error:
            if error.kind is FailureKind.MISSING:  # another run has pruned it
                return
            raise
        if self._is_local:
            touch(path)
        for entry in entries:
            content = data[entry.offset - first :][: entry.length]
            if zlib.crc32(content) == entry.checksum:
                yield entry.digest, content


def _entries(head: bytes) -> list[_Entry]:
    """Return the entries that the head of a pack lists; none when it is damaged."""
    if len(head) < _HEAD.size:
        return []
    magic, count, checksum = _HEAD.unpack_from(head)
    index = head[_HEAD.size : _HEAD.size + count * _ROW.size]
    if magic != _MAGIC or zlib.crc32(index) != checksum:
        return []
    rows = list(_ROW.iter_unpack(index))
    offsets = accumulate((row[1] for row in rows), initial=_HEAD.size + len(index))
    return [
        _Entry(row[0], offset, row[1], row[2]) for row, offset in zip(rows, offsets, strict=False)
    ]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _write_local(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(content)
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # no part of it stays on a full disk
        raise


def touch(path: str) -> None:
    """Record that a local entry was used now, for pruning; once a day is enough."""
    with suppress(OSError):  # it was pruned, or is read-only
        if time.time() - Path(path).stat().st_mtime > _TOUCH_SECONDS:
            os.utime(path)
