"""The content-addressed cache: clips, scores and failures, for later runs and other machines.

An entry is named by a hash of everything that decides its content (the video's identity and the
settings; for scores the model too), so a changed batch size, device or manifest still finds it, and
nothing in it is ever out of date. It is plain bytes behind a checksum, never a pickle: a shared
bucket cannot run code here, and a damaged entry is a miss.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from fsspec.implementations.local import LocalFileSystem

from tasks.audio.window import Windows
from tasks.errors import ConfigurationError, StorageError, TransientError
from tasks.packs import Packs, touch
from tasks.shown import shown_url
from tasks.storage import resolve, translated

_DIGEST = hashlib.sha256
_DIGEST_SIZE = _DIGEST().digest_size

_PROBE = "probe"

SCORES = "scores-1"
"""The folder of what is kept for whole units: the scores and the failures of videos."""

Keep = Literal["auto", "clips", "tags"]


def default_cache() -> str:
    """Return the folder in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return str(Path(base).expanduser() / "video-audio-tags")


def entry_key(kind: str, *parts: object) -> str:
    """Return the name of an entry.

    Args:
        kind: its folder, which includes the version of its format.
        parts: JSON values: everything that decides the entry's content.
    """
    name = _DIGEST(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{kind}/{name[:2]}/{name}"


class Cache:
    """Entries under one folder, local or remote.

    A bad entry costs no more than the time to compute it again: one that cannot be read is a miss,
    and one that cannot be written is not kept.

    Args:
        url: the folder; any fsspec URL.
        keep: what is kept of a video: ``tags`` only its scores; ``clips`` also all its clips;
            ``auto`` also its clip if only its start is extracted and the folder is local.

    Attributes:
        fs: the file system of the folder.
        root: the folder's path there.
        trouble: why an entry could not be written, since :meth:`take_trouble` was called last;
            None if none failed.
    """

    def __init__(self, url: str, keep: Keep = "auto") -> None:
        self.url = url
        self.trouble: str | None = None
        try:
            self.fs, self.root = resolve(url)
        except StorageError as error:
            raise ConfigurationError(
                f"{shown_url(url)} cannot be opened: {error.reason}."
            ) from error
        self.is_local = isinstance(self.fs, LocalFileSystem)
        self.keep: Keep = keep
        self._packs = Packs(f"{url}/{SCORES}")

    def keeps_clips(self, windows: Windows) -> bool:
        """Tell whether clips are looked up and kept, when these windows are extracted."""
        # Clips beyond the start are large and rarely needed again: only their scores are kept.
        cheap = self.is_local and windows == "start"
        return self.keep == "clips" or (self.keep == "auto" and cheap)

    def check(self) -> None:
        """Write an entry and read it back, so that a store that does not work fails here.

        Raises:
            ConfigurationError: the store refuses, or does not answer.
        """
        with self.probe():
            pass

    @contextmanager
    def probe(self) -> Iterator[str]:
        """Write an entry and read it back; yield its key, and remove it when the block ends.

        Raises:
            ConfigurationError: the store refuses, or does not answer.
        """
        # A unique name: another run may probe at the same time, and remove its own entry.
        key = f"{_PROBE}-{uuid.uuid4().hex}"
        path, content = f"{self.root}/{key}", b"can be written"
        try:
            with translated():
                if self.is_local:  # s3fs would make the bucket
                    self.fs.makedirs(self.root, exist_ok=True)
                self._write(path, _DIGEST(content).digest() + content)
                self.fs.cat_file(path)
        except StorageError as error:
            raise ConfigurationError(
                f"The cache {shown_url(self.url)} cannot be used: {error.reason}."
                " Name another folder by --cache, or use --no-cache."
            ) from error
        try:
            yield key
        finally:
            with suppress(StorageError), translated():  # a store may allow writing but not deleting
                self.fs.rm_file(path)

    def get(self, key: str) -> bytes | None:
        """Return the entry's content; None when it is not there, damaged, or cannot be read.

        Raises:
            TransientError: the storage did not answer.
        """
        path = f"{self.root}/{key}"
        try:
            with translated():
                entry: bytes = self.fs.cat_file(path)
        except StorageError as error:
            if error.is_transient:
                raise TransientError(f"the cache cannot be read: {error.reason}") from error
            return None
        if self.is_local:
            touch(path)
        digest, content = entry[:_DIGEST_SIZE], entry[_DIGEST_SIZE:]
        return content if _DIGEST(content).digest() == digest else None

    def put(self, key: str, content: bytes) -> None:
        """Write an entry in one step, if the store accepts it."""
        try:
            with translated():
                self._write(f"{self.root}/{key}", _DIGEST(content).digest() + content)
        except StorageError as error:
            self.trouble = error.reason

    def find_packed(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of the keys that are in a pack.

        Raises:
            TransientError: the storage did not answer.
        """
        try:
            return self._packs.get(keys)
        except StorageError as error:
            if error.is_transient:
                raise TransientError(f"the cache cannot be read: {error.reason}") from error
            return {}

    def put_packed(self, contents: Mapping[str, bytes]) -> None:
        """Write the contents as one object, if the store accepts it."""
        try:
            self._packs.put(contents)
        except StorageError as error:
            self.trouble = error.reason

    def take_trouble(self) -> str | None:
        """Return why an entry could not be written since the last call; None if none failed."""
        trouble, self.trouble = self.trouble, None
        return trouble

    def _write(self, path: str, entry: bytes) -> None:
        if not self.is_local:
            self.fs.pipe_file(path, entry)
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(f"{path}.{uuid.uuid4().hex}")
        try:
            temporary.write_bytes(entry)
            temporary.replace(path)
        except BaseException:  # above all a full disk
            temporary.unlink(missing_ok=True)
            raise
