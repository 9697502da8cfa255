"""Read the sound of a stream from any time on: by a seek that is checked, or by reading on.

A seek is never trusted: the first packet after it must not begin after the target. FFmpeg is asked
to seek only in formats that have an index, a constant rate, or timestamps to search by; in others
it would silently read from the start, however long the file is.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from io import SEEK_END
from itertools import chain, dropwhile
from typing import Self

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard

from tasks.audio.container import decode_in_this_thread, open_container
from tasks.audio.decode import Found
from tasks.audio.extent import Readable, is_mp4
from tasks.audio.frames import (
    MAX_BROKEN_READS,
    MAX_CORRUPT_PACKETS,
    MAX_SAMPLING_RATE,
    MIN_SAMPLING_RATE,
    time_of,
)
from tasks.audio.proof import format_name
from tasks.audio.statistics import MAX_GAP_SECONDS, Statistics

Timed = tuple[float, av.AudioFrame]

# Decoded before the target and dropped: Opus needs 0.08 s to settle, MP3 at low rates 0.5 s,
# and HE-AAC repeats its header now and then.
PREROLL_SECONDS = 1.0
# A target at most this far ahead is reached sooner by reading on than by a seek.
_NEAR_SECONDS = 5.0
# How long before the target to seek; the second number is for a first seek that lands after it.
_EARLIER_SECONDS = (0.0, 10.0)
# How long before the stated end to seek, until a packet is found there.
_TAILS_SECONDS = (15.0, 60.0, 600.0, 6_000.0)
_TAIL_BYTES = 2**21

_SEEKABLE = {"mov", "matroska", "avi", "asf", "caf", "flac", "mpegts", "mpeg", "mxf", "nut"}
# In the first four FFmpeg computes offsets as if every codec had a constant rate, which holds for
# PCM; in Ogg it understands the timestamps of two codecs.
_SEEKABLE_WITH = dict.fromkeys(("wav", "w64", "aiff", "au"), "pcm_") | {"ogg": ("opus", "vorbis")}
_SEEKABLE_BY_BYTES = {"mpegts", "mpeg"}


class Reader:
    """One audio stream, opened a second time.

    Attributes:
        statistics: where frames and errors are counted; the caller may replace it.
        start: the timestamp in seconds of the first sound.
        zero: the timestamp in seconds at which the video starts.
        format: FFmpeg's name of the container's format.
        can_seek: whether it can be read from any time without reading what is before.
    """

    def __init__(self, file: Readable, found: Found, alive: Callable[[], None]) -> None:
        self._file, self._found, self._alive = file, found, alive
        self.statistics = Statistics()
        self.start = found.statistics.first_time or 0.0
        self.zero = found.zero
        self._stack = ExitStack()
        self._open()
        codecs = _SEEKABLE_WITH.get(self.format, ())
        self._has_clock = found.statistics.has_clock
        self.can_seek = self._has_clock and (
            self.format in _SEEKABLE or self._stream.codec_context.name.startswith(codecs)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def frames(self, start: float) -> Iterator[Timed]:
        """Decode from ``start`` on: yield the frames that end after it, each with its time."""
        expected: float | None = None
        for frame in self._decoded(self._packets_from(start - PREROLL_SECONDS), start):
            time = frame.time
            # Timestamps are rounded, and some go back: only a gap changes the running time.
            if expected is None:
                time = self.start if time is None or not self._has_clock else time
            elif not self._has_clock or time is None or time - expected <= MAX_GAP_SECONDS:
                time = expected
            expected = time + frame.samples / frame.sample_rate
            if expected > start:
                self.statistics.add_frame(time, frame.samples / frame.sample_rate)
                yield time, frame

    def end(self) -> float:
        """Return when the sound ends: by its last packet or, without a clock, by all its frames."""
        if not self._has_clock:
            frames = (frame for _, frame in self.frames(self.start))
            return self.start + sum(frame.samples / frame.sample_rate for frame in frames)
        for found in self._seeks_to_the_end() if self.can_seek else ():
            if found and (end := self._read_to_the_end()) is not None:
                return end
        self._open()
        return self._read_to_the_end() or self.start

    def _seeks_to_the_end(self) -> Iterator[bool]:
        """Seek to shortly before the end, then further back; yield whether FFmpeg did so."""
        if (stated := self.stated_end) is not None:
            for seconds in _TAILS_SECONDS:
                if seconds < stated - self.start:
                    yield self._seek(stated - seconds)
        if self.format in _SEEKABLE_BY_BYTES:
            size = self._file.seek(0, SEEK_END)
            yield self._seek_to(max(0, size - _TAIL_BYTES), self._stream, by_bytes=True)

    @property
    def stated_end(self) -> float | None:
        """The end of the stream, or else of the file, in seconds, by the file's header."""
        duration, base = self._stream.duration, float(self._stream.time_base or 0)
        if duration is not None:
            return ((self._stream.start_time or 0) + duration) * base
        if self._container.duration is not None:
            return ((self._container.start_time or 0) + self._container.duration) / av.time_base
        return None

    def _open(self) -> None:
        """Open the file anew, at its start."""
        self._stack.close()
        found = self._found
        self._container: InputContainer = self._stack.enter_context(
            open_container(
                self._file,
                exact_edits=found.exact_edits,
                thorough=found.thorough,
                index=not is_mp4(self._file),  # FFmpeg would visit each fragment for it
            )
        )
        self.format = format_name(self._container)
        self._stream: AudioStream = self._container.streams.audio[found.number]
        decode_in_this_thread(self._stream)
        if self.format == "mov":
            # Otherwise FFmpeg reads the pictures from the last key frame on, wherever they are.
            for stream in self._container.streams:
                if stream.index != self._stream.index:
                    stream.discard = Discard.all
        self._position: float | None = self.start

    def _packets_from(self, target: float) -> Iterator["av.Packet[AudioStream]"]:
        """Return the packets that end after ``target``; all where their ends are unknown."""
        if not self._has_clock:
            self._open()
            return self._packets()
        packets: Iterator[av.Packet[AudioStream]] | None = None
        position = self._position
        if position is None or not 0 <= target - position <= _NEAR_SECONDS:
            packets = self._packets_after_a_seek(target) if self.can_seek else None
            if packets is None and (position is None or self.can_seek or target < position):
                self.can_seek = self.can_seek and target <= self.start
                self._open()
        if packets is None:
            self._stream.codec_context.flush_buffers()
            packets = self._packets()
        return dropwhile(lambda _: (self._position or 0.0) < target, packets)

    def _packets_after_a_seek(self, target: float) -> Iterator["av.Packet[AudioStream]"] | None:
        """Return the packets from before ``target`` on; None when no seek gets there."""
        if target <= self.start:
            return None
        for earlier in _EARLIER_SECONDS:
            if self._seek(target - earlier):
                packets = self._packets()
                first = next(packets, None)
                if first is not None and (time := time_of(first)) is not None and time <= target:
                    return chain([first], packets)
        return None

    def _seek(self, time: float) -> bool:
        # In Matroska and others only the pictures have an index.
        by = self._stream if self.format == "mov" else None
        base = float(by.time_base or 1) if by else 1 / av.time_base
        return self._seek_to(int(max(time, self.start) / base), by)

    def _seek_to(self, offset: int, stream: AudioStream | None, by_bytes: bool = False) -> bool:
        """Let FFmpeg seek, in the stream's time base or its own; tell whether it did so."""
        self._position = None
        try:
            self._container.seek(offset, stream=stream, unsupported_byte_offset=by_bytes)
        except av.error.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            return False
        return True

    def _packets(self) -> Iterator["av.Packet[AudioStream]"]:
        """Yield the packets from the position on; moves the position to the end of each."""
        for _ in range(MAX_BROKEN_READS):
            try:
                for packet in self._container.demux(self._stream):
                    if not packet.size:
                        continue
                    if (time := time_of(packet)) is None:
                        time = self._position
                    if time is not None:
                        seconds = (packet.duration or 0) * float(packet.time_base or 0)
                        self._position = time + seconds
                    self._alive()
                    yield packet
                return
            except av.error.FFmpegError as error:
                self.statistics.add_error(error)
            except IndexError:
                return

    def _read_to_the_end(self) -> float | None:
        """Return when the last packet ends, in seconds; None if none has a time."""
        last: float | None = None
        step = 0.0
        for packet in self._packets():
            if self._position is None:
                continue
            if last is not None:  # a packet without a duration lasts as long as the step to it
                step = 0.0 if packet.duration else self._position - last
            last = max(self._position, last or self._position)
        self._position = None
        return None if last is None else last + step

    def _decoded(
        self, packets: Iterable["av.Packet[AudioStream]"], start: float
    ) -> Iterator[av.AudioFrame]:
        """Yield the decoded frames; a packet that cannot be decoded is skipped."""
        corrupt = 0
        for packet in chain(packets, [None]):
            try:
                frames = self._stream.decode(packet)
            except av.error.FFmpegError as error:
                # After a seek a decoder may fail until it has the packets that it needs.
                if isinstance(error, MemoryError) or (self._position or 0.0) > start:
                    self.statistics.add_error(error)
                corrupt += 1
                if corrupt >= MAX_CORRUPT_PACKETS:
                    return
                continue
            for frame in frames:
                if frame.samples and MIN_SAMPLING_RATE <= frame.sample_rate <= MAX_SAMPLING_RATE:
                    corrupt = 0
                    yield frame
        self._position = None  # the decoder is flushed
