"""Statistics of one decoding: how much sound there was, and what was lost."""

from dataclasses import dataclass

import av.error

from tasks.audio.container import ffmpeg_message
from tasks.shown import counted

MAX_GAP_SECONDS = 0.05  # timestamps jitter by milliseconds


@dataclass
class Statistics:
    """Counts of one stream: written while it is decoded, read afterwards.

    Attributes:
        frames: decoded frames.
        decoded_seconds: their duration.
        gap_seconds: duration of the gaps between them, by their timestamps.
        corrupt_packets: packets that could not be read or decoded.
        last_error: why the last of them could not.
        first_time: when the first frame is to be played, by its timestamp.
        last_pts: seconds from the start of the file to the last packet of any stream, known once
            the whole file has been read.
    """

    frames: int = 0
    decoded_seconds: float = 0.0
    gap_seconds: float = 0.0
    corrupt_packets: int = 0
    last_error: str = ""
    first_time: float | None = None
    last_pts: float | None = None
    _next_time: float | None = None

    @property
    def mostly_corrupt(self) -> bool:
        """Whether the frames are more likely noise, decoded from damage, than sound."""
        return self.corrupt_packets > self.frames

    @property
    def has_clock(self) -> bool:
        """Whether the timestamps tell when the frames are played: in some files they stand still,
        in others they run away."""
        if self.first_time is None or self._next_time is None:
            return False
        played = self._next_time - self.first_time - self.gap_seconds
        drift = abs(played - self.decoded_seconds)
        return drift < 0.1 * self.decoded_seconds and self.gap_seconds <= self.decoded_seconds

    def add_frame(self, time: float | None, seconds: float) -> None:
        """Count a frame of ``seconds``, to be played at ``time``."""
        self.frames += 1
        self.decoded_seconds += seconds
        if self._next_time is None:
            self._next_time = self.first_time = time
        if self._next_time is None:
            return
        gap = 0.0 if time is None else time - self._next_time
        if gap > MAX_GAP_SECONDS:
            self.gap_seconds += gap
        self._next_time += gap + seconds

    def add_error(self, error: av.error.FFmpegError) -> None:
        """Count a packet that could not be read or decoded.

        Raises:
            MemoryError: ``error`` is one.
        """
        if isinstance(error, MemoryError):
            raise error
        self.corrupt_packets += 1
        self.last_error = ffmpeg_message(error)

    def add(self, other: "Statistics") -> None:
        """Add the counts of another part of the same stream."""
        self.frames += other.frames
        self.decoded_seconds += other.decoded_seconds
        self.gap_seconds += other.gap_seconds
        self.corrupt_packets += other.corrupt_packets
        self.last_error = other.last_error or self.last_error

    def notes(self) -> list[str]:
        """Return remarks on what was lost, for a person."""
        notes = []
        if self.corrupt_packets:
            notes.append(
                f"{counted(self.corrupt_packets, 'corrupt packet')} left out ({self.last_error})"
            )
        if self.gap_seconds:
            notes.append(f"{self.gap_seconds:.1f} seconds missing in between")
        return notes
