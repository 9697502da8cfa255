"""What was heard of a file so far, and what was lost on the way."""

from dataclasses import dataclass

import av.error

from tasks.audio.container import explain

HOLE_SECONDS = 0.05  # timestamps jitter by milliseconds


@dataclass
class Progress:
    """What happened so far: written while a file is decoded, read once that has ended.

    Attributes:
        heard: seconds of sound.
        missing: seconds of holes between what was heard, by the timestamps.
        reached: how many seconds into the file the packets go, over all of its streams.
        corrupt: packets that could not be read or decoded.
        last_error: why not, of the last of them.
    """

    heard: float = 0.0
    missing: float = 0.0
    reached: float = 0.0
    corrupt: int = 0
    last_error: str = ""
    _expected: float | None = None

    def hear(self, time: float | None, length: float) -> None:
        """Count a frame of so many seconds, that says when it is to be heard."""
        self.heard += length
        if time is None:
            return
        hole = 0.0 if self._expected is None else time - self._expected
        self.missing += hole if hole > HOLE_SECONDS else 0.0
        self._expected = time + length

    def lose(self, error: av.error.FFmpegError) -> None:
        """Count what could not be read or decoded. Raises the error when memory has run out."""
        if isinstance(error, MemoryError):
            raise error
        self.corrupt += 1
        self.last_error = explain(error)

    def notes(self, cut_off: bool = False) -> str | None:
        """What a person should know, or None when all is well."""
        notes = [f"cut off after {self.reached:.1f} seconds"] if cut_off else []
        if self.corrupt:
            notes.append(f"{self.corrupt} corrupt packets left out ({self.last_error})")
        if self.missing:
            notes.append(f"{self.missing:.1f} seconds missing in between")
        return "; ".join(notes) or None
