"""The clips of one video: in memory while they are few, in a temporary file beyond that."""

import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import IO, Any, Self

# Some 50 clips of AST's window, or 8 minutes of sound.
MEMORY_BYTES = 16 * 2**20


class Clips:
    """The clips of one video in order, each with its start in seconds.

    May be read any number of times, by one thread at a time, until it is closed.
    """

    def __init__(self, clips: Iterable[tuple[float, bytes]] = ()) -> None:
        self._clips: list[tuple[float, bytes]] = []
        # Those behind them: starts and sizes, and the file that holds the bytes.
        self._spilled: list[tuple[float, int]] = []
        self._file: IO[bytes] | None = None
        self._size = 0
        for start, clip in clips:
            self.add(start, clip)

    def add(self, start: float, clip: bytes) -> None:
        """Append a clip, as :meth:`tasks.audio.clip.Clip.to_bytes` wrote it."""
        self._size += len(clip)
        if self._size <= MEMORY_BYTES:
            self._clips.append((start, clip))
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._file.seek(0, 2)
        self._file.write(clip)
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

    def __reduce__(self) -> tuple[type, tuple[Any]]:
        """Travel to another process with everything in it."""
        return Clips, (list(self),)

    def close(self) -> None:
        """Remove the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
