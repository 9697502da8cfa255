"""Decode the start of a video's sound: as much as the window needs, and no more.

Runs in the child processes of the pool.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from tasks.audio.announced import joined
from tasks.audio.container import decode_in_this_thread, open_container
from tasks.audio.downmix import to_mono
from tasks.audio.extent import Readable, is_mp4, is_whole
from tasks.audio.frames import GRACE_SECONDS, after_edits, decoded, packets_of, until_full
from tasks.audio.mp4 import Mp4Track, absence, audio_tracks
from tasks.audio.proof import LATE_FORMATS, encryption, format_name, prove_no_audio_stream
from tasks.audio.samples import collect
from tasks.audio.statistics import Statistics
from tasks.audio.window import FRAME_SECONDS, Segment, Window
from tasks.errors import FailureKind, VideoError
from tasks.shown import counted

# Decoded beyond the window, so that the resampler's filter has sound on both sides of the cut.
MARGIN_SECONDS = 0.05

# Formats whose header states a duration, of each stream or of the whole; elsewhere FFmpeg
# estimates it.
_STATED_BY_STREAM = {"mov", "wav", "w64", "flac", "aiff", "caf"}
_STATED = _STATED_BY_STREAM | {"matroska", "avi", "flv", "asf"}


@dataclass(frozen=True)
class Decoded:
    """The decoded start of a video.

    Attributes:
        segments: mono sound at its own rate, in order, one segment for each stretch of one format.
            An empty list means that the video has no sound.
        corrupt_packets: packets that could not be read or decoded before the window was full.
        notes: remarks on the sound for a person, or None.
        found: the audio stream that was decoded; None when the video has no sound.
    """

    segments: list[Segment]
    corrupt_packets: int = 0
    notes: str | None = None
    found: "Found | None" = None


@dataclass(frozen=True)
class Found:
    """The audio stream that was decoded, for a caller that reads more of it.

    Attributes:
        number: its index among the audio streams.
        exact_edits: how its container was opened, see :func:`open_container`.
        thorough: likewise.
        zero: the timestamp in seconds at which the video starts.
        statistics: of the decoding of its start.
        notes: further remarks for a person.
    """

    number: int
    exact_edits: bool
    thorough: bool
    zero: float
    statistics: Statistics
    notes: list[str]


@dataclass
class _Track:
    """One audio stream, and the result of decoding its start.

    Attributes:
        format: FFmpeg's name of the container's format.
        number: its index among the audio streams.
        exact_edits: how the container was opened, see :func:`open_container`.
        thorough: likewise.
        zero: the timestamp in seconds at which the video starts.
        stated_seconds: its duration according to the file's header; None where that states none.
        stated_frames: its frames according to the file's index; 0 where that states none.
        ends_early: the file ends before the end that its header states.
        failure: why it cannot be decoded at all.
    """

    format: str
    number: int = 0
    exact_edits: bool = True
    thorough: bool = False
    zero: float = 0.0
    stated_seconds: float | None = None
    stated_frames: int = 0
    ends_early: bool = False
    failure: VideoError | None = None
    segments: list[Segment] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)

    @property
    def has_sound(self) -> bool:
        """Whether enough was decoded, and not mostly from damaged packets."""
        enough = self.statistics.decoded_seconds >= FRAME_SECONDS
        return enough and not self.statistics.mostly_corrupt


def decode(file: Readable, window: Window) -> Decoded:
    """Decode the start of the first audio stream that has a decoder and sound.

    Raises:
        VideoError: ``not-media``; ``corrupt`` (no sound, and no proof that there is none);
            ``encrypted``; ``unsupported`` (no decoder for its audio).
        MemoryError: the file needs more memory than the process may use.
    """
    silent: list[_Track] = []
    for track in _tracks(file, window):
        if track.has_sound:
            statistics = track.statistics
            other = ["the first audio stream has no sound, another one was taken"] if silent else []
            found = Found(
                track.number, track.exact_edits, track.thorough, track.zero, statistics, other
            )
            notes = "; ".join(_notes(file, track, window) + other) or None
            return Decoded(track.segments, statistics.corrupt_packets, notes, found)
        silent.append(track)
    if silent:
        _prove_no_sound(file, silent)
    return Decoded([])


def _tracks(file: Readable, window: Window) -> Iterator[_Track]:
    """Decode one audio stream after another, each from the start of the file.

    Raises:
        VideoError: there is no audio stream, and no proof that there is none.
    """
    index = {track.number: track for track in audio_tracks(file)}
    # An index that cannot be read here may still hold edits that FFmpeg applies.
    exact = not index or any(track.needs_exact_edits for track in index.values())
    for thorough in (False, True):
        for number in count():
            with open_container(file, exact_edits=exact, thorough=thorough) as container:
                may_be_late = format_name(container) in LATE_FORMATS
                if number >= len(container.streams.audio):
                    if number == 0 and (thorough or not may_be_late):
                        prove_no_audio_stream(file, container)
                    break
                stream = container.streams.audio[number]
                in_index = index.get(stream.id)
                track = _Track(format_name(container), number, exact, thorough)
                _decode_stream(container, stream, window, in_index, track)
            yield track
        if not may_be_late:
            return


def _decode_stream(
    container: InputContainer,
    stream: AudioStream,
    window: Window,
    in_index: Mp4Track | None,
    track: _Track,
) -> None:
    """Decode one audio stream into ``track`` until the window is full."""
    track.stated_frames = stream.frames
    if stream.duration is not None and (stream.frames or track.format in _STATED_BY_STREAM):
        track.stated_seconds = stream.duration * float(stream.time_base or 0)
    if (in_index and in_index.encrypted) or "enc_key_id" in stream.metadata:  # MP4; Matroska
        track.failure = VideoError(FailureKind.ENCRYPTED, "its audio is encrypted")
        return
    if cast("object", stream.codec_context) is None:
        track.failure = VideoError(FailureKind.UNSUPPORTED, "no decoder for its audio stream")
        return
    decode_in_this_thread(stream)
    packets = packets_of(container, stream, window, track.statistics)
    frames = decoded(packets, stream, track.statistics)
    if track.format == "mov":
        # Not in other formats, where sound may have negative times: clocks wrap (MPEG-TS), and
        # timestamps may be odd (FLV, ASF).
        frames = after_edits(frames)
    seconds = window.seconds + MARGIN_SECONDS
    for rate, names, planar in collect(until_full(frames, seconds, track.statistics), seconds):
        track.segments.append((rate, to_mono(planar, names, window.channels)))
    # An edit list counts from 0, even if it leaves out the start.
    track.zero = 0.0 if track.format == "mov" else (container.start_time or 0) / av.time_base
    if track.statistics.last_pts is not None and track.format in _STATED:
        stated_end = (container.duration or 0) / av.time_base
        track.ends_early = track.statistics.last_pts < stated_end - GRACE_SECONDS


def _notes(file: Readable, track: _Track, window: Window) -> list[str]:
    """Return remarks on the sound of a track for a person."""
    statistics = track.statistics
    if statistics.decoded_seconds < window.seconds:
        whole = is_whole(file)
        if whole is False or (whole is None and track.ends_early):
            return [f"cut off after {statistics.last_pts or 0:.1f} seconds", *statistics.notes()]
    return statistics.notes()


def _prove_no_sound(file: Readable, tracks: list[_Track]) -> None:
    """Prove that a file in which no audio stream has sound is not damaged.

    Raises:
        VideoError: it may be damaged.
    """
    whole, broken_index = is_whole(file), is_mp4(file) and not audio_tracks(file)
    for track in tracks:
        statistics, stated = track.statistics, track.stated_seconds
        if error := track.failure or absence(file):
            raise error
        if track.format == "mpegts" and (error := encryption(file)):
            raise error
        reason = ""
        if statistics.corrupt_packets:
            reason = statistics.last_error
        elif whole is False or track.ends_early:
            reason = "it is cut off"
        elif broken_index:
            reason = "its index is damaged"
        elif (stated or 0) > statistics.decoded_seconds + FRAME_SECONDS * 4:
            reason = f"{stated:.1f} seconds are missing"
        elif track.stated_frames and not statistics.frames:
            reason = f"its index lists {counted(track.stated_frames, 'frame')}"
        elif whole is None and not (track.format == "flac" and stated and statistics.frames):
            reason = "its format does not tell whether the file is complete"
        else:
            reason = joined(file, track.format) or ""
        if reason:
            raise VideoError(
                FailureKind.CORRUPT,
                f"has an audio stream, but no sound ({counted(statistics.frames, 'frame')} decoded,"
                f" {counted(statistics.corrupt_packets, 'packet')} corrupt): {reason}",
            )
