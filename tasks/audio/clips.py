"""The clips of one video, in memory while they are few and in a temporary file beyond that."""

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

# Some 50 clips of AST's window, or 8 minutes of sound.
MEMORY_BYTES = 16 * 2**20


class Clips:
    """The clips of one video in order, each with its start in seconds.

    May be read any number of times, by one thread at a time, until it is closed.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - see close()
        self._rows: list[tuple[float, int]] = []

    def add(self, start: float, clip: bytes) -> None:
        """Append a clip, as :meth:`tasks.audio.clip.Clip.to_bytes` wrote it."""
        self._file.seek(0, 2)
        self._file.write(clip)
        self._rows.append((start, len(clip)))

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        """Yield the start in seconds and the bytes of each clip."""
        offset = 0
        for start, size in self._rows:
            self._file.seek(offset)
            yield start, self._file.read(size)
            offset += size

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Free the memory, or remove the file."""
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
