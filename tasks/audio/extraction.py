"""Extract as much of a video as was requested: one clip for each window.

The first window is decoded as if it were the only one (:mod:`tasks.audio.decode`), which decides
whether there is sound. The windows after it are read by :class:`tasks.audio.seeking.Reader`.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tasks.audio.clip import Clip, make_clip
from tasks.audio.decode import MARGIN_SECONDS, Found, decode
from tasks.audio.downmix import to_mono
from tasks.audio.extent import Readable, is_whole
from tasks.audio.frames import GRACE_SECONDS
from tasks.audio.samples import collect
from tasks.audio.seeking import Reader, Timed
from tasks.audio.statistics import Statistics
from tasks.audio.window import FRAME_SECONDS, Segment, Window, Windows, spread
from tasks.shown import counted

TimedClip = tuple[float, Clip]
"""The start of a window, in seconds from the start of the video, and its clip."""


class Remarks(NamedTuple):
    """Remarks on a video for a person, once all requested windows are decoded.

    Attributes:
        notes: on its sound, or None.
        read_through: FFmpeg's name of its format, if that offers no way to seek, so that all of the
            file was read.
    """

    notes: str | None = None
    read_through: str | None = None


def extract_clips(
    file: Readable,
    window: Window,
    windows: Windows,
    alive: Callable[[], None] = lambda: None,
    only_at: float | None = None,
) -> Generator[TimedClip, None, Remarks]:
    """Yield a clip for each window, in order; none when the video has no sound.

    Args:
        alive: called for each packet after the first window, since the next clip may take long.
        only_at: yield only the window that starts there, in seconds.

    Raises:
        VideoError, MemoryError: as :func:`tasks.audio.decode.decode`.
    """
    decoded = decode(file, window)
    clip = make_clip(decoded.segments, window)
    found = decoded.found
    if clip.is_empty or found is None:
        return Remarks(decoded.notes)
    start = max(0.0, (found.statistics.first_time or 0.0) - found.zero)
    more = found.statistics.decoded_seconds >= window.seconds + MARGIN_SECONDS
    at_start = windows in ("start", 1) if only_at is None else only_at <= start + MARGIN_SECONDS
    if at_start or not more:
        yield start, clip
        return Remarks(decoded.notes)
    decoded.segments.clear()  # the memory is needed for the rest
    with Reader(file, found, alive) as reader:
        rest = _Rest(file, reader, window, found)
        if only_at is not None:
            yield from rest.at(only_at + reader.zero)
            return Remarks()
        yield start, clip
        if windows == "all":
            yield from rest.all()
            return Remarks(rest.notes())
        yield from rest.spread(int(windows))
        return Remarks(rest.notes(), None if reader.can_seek else reader.format)


@dataclass
class _Stretch:
    """Frames in order, as many as a window needs.

    Attributes:
        start: of the window, in seconds; the first frame may begin before it.
    """

    start: float
    frames: deque[Timed] = field(default_factory=deque)

    def add(self, timed: Timed) -> None:
        if _end(timed) > self.start - MARGIN_SECONDS:
            self.frames.append(timed)

    def seconds(self) -> float:
        """Return how many seconds of sound there are from the start on."""
        return sum(max(0.0, _end(one) - max(one[0], self.start)) for one in self.frames)

    def after(self, seconds: float) -> float:
        """Return the time at which ``seconds`` of sound have been played since the start."""
        for one in self.frames:
            begin = max(one[0], self.start)
            if _end(one) - begin >= seconds:
                return begin + seconds
            seconds -= max(0.0, _end(one) - begin)
        return self.start

    def clip(self, window: Window) -> Clip:
        """Mix, resample and quantise the frames."""
        if not self.frames:
            return make_clip([], window)
        lead = max(0.0, self.start - self.frames[0][0])
        segments: list[Segment] = []
        # The frames hold the window and, in the first and the last one, a little more.
        longest = sum(_end(one) - one[0] for one in self.frames)
        frames = (frame for _, frame in self.frames)
        for rate, names, planar in collect(frames, longest):
            segments.append((rate, to_mono(planar, names, window.channels)))
        return make_clip(segments, window, lead)


def _end(timed: Timed) -> float:
    time, frame = timed
    return time + frame.samples / frame.sample_rate


class _Rest:
    """The windows after the first."""

    def __init__(self, file: Readable, reader: Reader, window: Window, found: Found) -> None:
        self._file, self._reader, self._window, self._found = file, reader, window, found
        self._total = Statistics()
        self._total.add(found.statistics)
        self._end: float | None = None
        self._lost = 0

    def spread(self, count: int) -> Iterator[TimedClip]:
        """Yield windows spread over the video, the last one ending where its sound ends."""
        self._end = self._reader.end()
        starts = spread(self._reader.start, self._end, self._window.seconds, count)
        for start in starts[1:]:
            yield from self.at(start)

    def all(self) -> Iterator[TimedClip]:
        """Yield the windows one after another; the last one ends where the sound ends."""
        seconds = self._window.seconds
        start = self._reader.start + seconds + self._found.statistics.gap_seconds
        stretch, held = _Stretch(start), 0.0
        self._reader.statistics = Statistics()
        for timed in self._reader.frames(start - MARGIN_SECONDS):
            self._end = _end(timed)
            stretch.add(timed)
            held += self._end - timed[0]
            if held < seconds + MARGIN_SECONDS or stretch.seconds() < seconds + MARGIN_SECONDS:
                continue
            yield from self._result(stretch)
            following = _Stretch(stretch.after(seconds))
            for earlier in stretch.frames:
                following.add(earlier)
            stretch, held = following, following.seconds()
            self._reader.statistics = Statistics()
        self._total.add(self._reader.statistics)
        if self._end is not None and stretch.seconds() >= FRAME_SECONDS:
            # Decoded a second time: its frames are counted already.
            total, self._total = self._total, Statistics()
            yield from self.at(self._end - seconds)
            self._total = total

    def notes(self) -> str | None:
        """Return remarks on the sound for a person, or None."""
        notes = self._total.notes()
        stated, end = self._reader.stated_end, self._end
        early = stated is not None and end is not None and end < stated - GRACE_SECONDS
        if early and end is not None and is_whole(self._file) is False:
            notes.insert(0, f"cut off after {end - self._reader.zero:.1f} seconds")
        if self._lost:
            notes.append(
                f"{counted(self._lost, 'window')} left out, in which nothing could be decoded"
            )
        return "; ".join(notes + self._found.notes) or None

    def at(self, start: float) -> Iterator[TimedClip]:
        """Yield the window at the timestamp ``start``, in seconds."""
        stretch, seconds = _Stretch(start), self._window.seconds + MARGIN_SECONDS
        self._reader.statistics = Statistics()
        for timed in self._reader.frames(start - MARGIN_SECONDS):
            if timed[0] >= start + seconds:
                break
            stretch.add(timed)
            if _end(timed) >= start + seconds:
                break
        yield from self._result(stretch)

    def _result(self, stretch: _Stretch) -> Iterator[TimedClip]:
        """Yield the clip of a window, if anything in it could be decoded."""
        statistics = self._reader.statistics
        self._total.add(statistics)
        clip = stretch.clip(self._window)
        if clip.is_empty or statistics.mostly_corrupt:
            self._lost += 1
        else:
            yield max(0.0, stretch.start - self._reader.zero), clip
