"""Read the audio tracks of an MP4's index before FFmpeg does: edit lists and encryption.

ISO/IEC 14496-12. Reads nothing that FFmpeg does not read too.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tasks.audio.extent import MAX_BOXES, MP4_BOXES, Readable, box_header, bytes_at, is_mp4
from tasks.errors import FailureKind, VideoError

# Sample entries whose samples are encrypted: Common Encryption, FairPlay, Audible.
_ENCRYPTED_ENTRIES = {b"enca", b"drms", b"aavd"}
_PICTURE_BRANDS = {b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"miaf"}
_MAX_EDITS = 1_000
MAX_INDEX_SIZE = 2**26
MAX_FRAGMENTS = 2**17
_PRIMING_SECONDS = 1.0  # codecs need up to 0.2 s to start
_LONG_SECONDS = 300.0


class Edit(NamedTuple):
    """One entry of an edit list: plays ``seconds`` of the media from ``start``, both in seconds.

    Attributes:
        start: negative for silence before the sound.
        seconds: 0 where the writer did not know, as in fragments.
    """

    seconds: float
    start: float
    rate: int


@dataclass(frozen=True)
class Mp4Track:
    """An audio track.

    Attributes:
        number: the track's ID, which FFmpeg takes as the stream's.
    """

    number: int
    encrypted: bool
    edits: list[Edit]

    @property
    def needs_exact_edits(self) -> bool:
        """Whether the edits remove more than the codec's priming at the start of a long track.

        Then FFmpeg has to apply them sample by sample, which takes 15 ms for an hour.
        """
        edits = self.edits[1:] if self.edits and self.edits[0].start < 0 else self.edits
        if len(edits) != 1:
            return bool(self.edits)  # even a list that plays nothing: FFmpeg decides
        (edit,) = edits
        if not edit.seconds:
            return False  # FFmpeg would play nothing, players play on from there
        priming_only = 0 <= edit.start < _PRIMING_SECONDS and edit.rate == 1
        return not priming_only or edit.seconds < _LONG_SECONDS


class Box(NamedTuple):
    """The type of a box, and the offsets at which its content begins and ends."""

    type: bytes
    start: int
    end: int


def audio_tracks(file: Readable) -> list[Mp4Track]:
    """Return the audio tracks that an MP4's index lists; none for other files or a broken index."""
    data = index_bytes(file)
    index, moov = io.BytesIO(data), Box(b"moov", 0, len(data))
    try:
        header = _find(index, moov, b"mvhd")
        timescale = _timescale(index, header) if header else 0
        traks = [box for box in _boxes(index, moov) if box.type == b"trak"]
        found = [_track(index, trak, timescale) for trak in traks]
    except (struct.error, ZeroDivisionError, IndexError):
        return []
    return [track for track in found if track]


def absence(file: Readable) -> VideoError | None:
    """Return why an MP4 without media data or without a header, or a picture, is no video.

    None for other files, even truncated ones.
    """
    types = {box.type for box in top_level_boxes(file)}
    if b"moov" in types:
        if b"moof" in types or b"mdat" in types or b"mvex" not in index_bytes(file):
            return None
        reason = (
            "only an initialisation segment, or cut off after it: no media data follow its header"
        )
        return VideoError(FailureKind.CORRUPT, reason)
    if b"moof" in types:
        reason = "a segment of a stream, without the initialisation segment that describes it"
        return VideoError(FailureKind.CORRUPT, reason)
    if bytes_at(file, 8, 4) in _PICTURE_BRANDS:
        return VideoError(FailureKind.NOT_MEDIA, "a picture (HEIF or AVIF), not a video")
    return None


def index_bytes(file: Readable) -> bytes:
    """Return the content of an MP4's index (the box ``moov``); nothing where there is none."""
    moov = _find(file, Box(b"", 0, 2**63), b"moov") if is_mp4(file) else None
    return bytes_at(file, moov.start, min(moov.end - moov.start, MAX_INDEX_SIZE)) if moov else b""


def top_level_boxes(file: Readable) -> Iterator[Box]:
    """Yield the boxes of the file, fragments too; after its index, up to the first unknown type."""
    indexed = False
    for box in _boxes(file, Box(b"", 0, 2**63), MAX_FRAGMENTS) if is_mp4(file) else ():
        if indexed and box.type not in MP4_BOXES:
            return
        indexed = indexed or box.type == b"moov"
        yield box


def _track(file: Readable, trak: Box, movie_timescale: int) -> Mp4Track | None:
    """Return the track that the box ``trak`` describes; None if it is not audio."""
    handler = _find(file, trak, b"mdia", b"hdlr")
    if not handler or bytes_at(file, handler.start + 8, 4) != b"soun":
        return None
    header, media = _find(file, trak, b"tkhd"), _find(file, trak, b"mdia", b"mdhd")
    entries = _find(file, trak, b"mdia", b"minf", b"stbl", b"stsd")
    edits = _find(file, trak, b"edts", b"elst")
    if not header or not media or not entries:
        return None
    listed = Box(entries.type, entries.start + 8, entries.end)  # some may be encrypted, others not
    version = bytes_at(file, header.start, 1)
    (number,) = struct.unpack(">I", bytes_at(file, header.start + (20 if version[0] else 12), 4))
    return Mp4Track(
        number,
        any(entry.type in _ENCRYPTED_ENTRIES for entry in _boxes(file, listed)),
        _edits(file, edits, movie_timescale, _timescale(file, media)) if edits else [],
    )


def _edits(file: Readable, box: Box, movie_timescale: int, timescale: int) -> list[Edit]:
    version, count = struct.unpack(">B3xI", bytes_at(file, box.start, 8))
    entry = struct.Struct(">Qqhh" if version == 1 else ">Iihh")
    count = min(count, _MAX_EDITS, (box.end - box.start - 8) // entry.size)
    table = bytes_at(file, box.start + 8, count * entry.size)
    return [
        Edit(duration / movie_timescale, time / timescale, rate)
        for duration, time, rate, _ in entry.iter_unpack(table)
    ]


def _timescale(file: Readable, header: Box) -> int:
    """Return the ticks a second, of a movie header or a media header."""
    version = bytes_at(file, header.start, 1)
    offset = header.start + (20 if version[:1] == b"\1" else 12)
    (ticks,) = struct.unpack(">I", bytes_at(file, offset, 4))
    return int(ticks)


def _find(file: Readable, parent: Box, *path: bytes) -> Box | None:
    """Return the first box along a path of types."""
    for box_type in path:
        found = next((box for box in _boxes(file, parent) if box.type == box_type), None)
        if found is None:
            return None
        parent = found
    return parent


def _boxes(file: Readable, parent: Box, limit: int = MAX_BOXES) -> Iterator[Box]:
    offset = parent.start
    for _ in range(limit):
        header = box_header(file, offset) if offset < parent.end else None
        if header is None:
            return
        yield Box(header.type, offset + header.size, offset + (header.length or 2**63))
        if not header.length:
            return
        offset += header.length
