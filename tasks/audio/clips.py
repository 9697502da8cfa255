"""The clips of one video: in memory while all of them together are few, in temporary files beyond
that."""

import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import IO, Self
from weakref import WeakSet

from tasks.errors import TransientError

MEMORY_BYTES = 256 * 2**20
"""Limit for the clips that a process holds in memory: some 800 of AST's window. The first clip of a
video is always in memory, so that a video with one clip need not add up those of the others."""


class Clips:
    """The clips of one video in order, each with its start in seconds.

    May be read any number of times, by one thread at a time, until it is closed.
    """

    def __init__(self, clips: Iterable[tuple[float, bytes]] = ()) -> None:
        self._clips: list[tuple[float, bytes]] = []
        self._in_memory = 0
        # The clips after those: their starts and sizes, and the file that holds their bytes.
        self._spilled: list[tuple[float, int]] = []
        self._file: IO[bytes] | None = None
        with _lock:
            _all.add(self)
        for start, clip in clips:
            self.add(start, clip)

    def add(self, start: float, clip: bytes) -> None:
        """Append a clip, as :meth:`tasks.audio.clip.Clip.to_bytes` wrote it.

        Raises:
            TransientError: the disk is full; other videos may soon free their part of it.
        """
        if not self._clips or (self._file is None and _has_room_for(len(clip))):
            self._in_memory += len(clip)
            self._clips.append((start, clip))
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
            self._file.seek(0, 2)
            if self._file.write(clip) < len(clip):
                raise OSError("no space left")
        except OSError as error:
            folder = tempfile.gettempdir()
            reason = f"its clips cannot be written to the temporary folder {folder}: {error}"
            raise TransientError(reason) from error
        self._spilled.append((start, len(clip)))

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        """Yield the start in seconds and the bytes of each clip."""
        yield from self._clips
        offset = 0
        for start, size in self._spilled:
            assert self._file is not None
            self._file.seek(offset)
            yield start, self._file.read(size)
            offset += size

    def __len__(self) -> int:
        return len(self._clips) + len(self._spilled)

    def __reduce__(self) -> tuple[type, tuple[list[tuple[float, bytes]]]]:
        """Pickle the clips themselves: another process cannot read the file."""
        return Clips, (list(self),)

    def close(self) -> None:
        """Free the memory, and remove the file, if there is one."""
        self._clips.clear()
        self._spilled.clear()
        self._in_memory = 0
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_lock = threading.Lock()
_all: WeakSet[Clips] = WeakSet()


def _has_room_for(size: int) -> bool:
    with _lock:
        return sum(clips._in_memory for clips in _all) + size <= MEMORY_BYTES
