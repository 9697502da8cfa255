"""Find out whether a file declares an audio track that FFmpeg's list of streams lacks.

Damage hides streams from FFmpeg, and so does a file joined to another one (``cat a.mkv b.mkv``): it
reads the first header only. In a container that declares where its parts are, only those that
describe streams are searched; a format made for streaming is read to its end, since a stream may
begin anywhere in it.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from tasks.audio.extent import (
    AVI_LIST,
    CLUSTER,
    EBML,
    SEGMENT,
    TRACKS,
    Readable,
    asf_end,
    bytes_at,
    ebml_element,
    riff_end,
)
from tasks.audio.mp4 import MAX_INDEX_SIZE, index_bytes, top_level_boxes

_BLOCK_SIZE = 2**20
_OVERLAP = 2_048  # more than the longest mark
_MAX_ELEMENTS = 10_000

# Bytes that announce sound in each format, even where damage keeps FFmpeg from listing the stream.
_MARKS = {
    "mov": rb"hdlr.{8}soun|smhd",  # the handler and the media header of a sound track
    # A track's codec ID, its type, its audio settings.
    "matroska": rb"\x86[\x81-\x90]A_|\x83\x81\x02|\xe1[\x80-\xbf].{0,3}\xb5[\x84\x88]",
    "avi": rb"auds|0[0-9]wb..[\x00-\x0f]\x00",  # a stream header, a chunk of wave data
    "asf": rb"\x40\x9e\x69\xf8\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b",  # stream type
    "ogg": rb"\x01vorbis|OpusHead|\x7fFLAC|Speex   ",
    "flv": rb"FLV\x01[\x04-\x07]\x00\x00\x00\x09|\AFLV.[\x04-\x07]",  # the flag in the header
    # A packetised stream of audio; one listed in the system header of a program stream.
    "mpegts": rb"\x00\x00\x01[\xc0-\xdf]",
    "mpeg": rb"\x00\x00\x01[\xc0-\xdf]|\x00\x00\x01\xbb.{8}(?:[\xb9-\xff]..)*[\xb8\xbd\xc0-\xdf]",
}
FORMATS = _MARKS.keys()

# How files begin, by patterns so long that pictures do not match them by chance. Each is searched
# for separately: one that begins with a literal is found ten times as fast as an alternation.
_STARTS_IN_A_STREAM = (
    rb"\x00\x00\x00.ftyp[ -~]{4}",
    rb"\x1a\x45\xdf\xa3.{1,48}(?:matroska|webm)",
    rb"RIFF....(?:AVI |WAVE)",
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    rb"FLV\x01[\x01-\x07]\x00\x00\x00\x09",
    rb"fLaC\x00\x00\x00\x22",
)
# In a file of the same format these patterns occur all the time, so they prove nothing there. The
# header of a pack is shorter in MPEG-1 than in MPEG-2.
_STARTS_OF_STREAMS = {
    "ogg": rb"OggS\x00\x02",
    "mpegts": rb"\x47.{187}(?:\x47.{187}){7}",
    "mpeg": rb"\x00\x00\x01\xba(?:.{8}|.{10})\x00\x00\x01",
}
_STARTS = (
    *_STARTS_IN_A_STREAM,
    *_STARTS_OF_STREAMS.values(),
    rb"moov....mvhd",
    rb"ID3[\x02-\x04]\x00",
    rb"FORM....AIF[CF]",
    rb"caff\x00\x01\x00\x00",
    rb"riff\x2e\x91\xcf\x11",
    rb"\.snd\x00\x00\x00",
)

_SOUND = "its header names an audio track"
_JOINED = "another file is joined to it, and FFmpeg reads only the first one"
_UNKNOWN = "its header is damaged, so it may or may not have an audio track"

# RFC 9559: SeekHead, Info, Tracks, Cues, Attachments, Chapters, Tags, Cluster; Void, CRC-32.
_SEGMENT_PARTS = {
    *map(bytes.fromhex, ("114d9b74", "1549a966", "1c53bb6b", "1941a469", "1043a770", "1254c367")),
    TRACKS, CLUSTER, b"\xec", b"\xbf",
}  # fmt: skip
_AVI_STREAMS_WITHOUT_SOUND = {b"vids", b"txts"}


def doubt(file: Readable, name: str) -> str | None:
    """Return why a file may have sound that FFmpeg does not list; None where that is impossible.

    Args:
        name: FFmpeg's name of the format, one of :data:`FORMATS`.
    """
    searches: dict[str, Callable[[Readable], str | None]] = {
        "mov": _mp4,
        "matroska": _matroska,
        "avi": _avi,
        "asf": _asf,
    }
    if name in searches:
        found = searches[name](file)
    else:
        found = _SOUND if _occurs((_MARKS[name],), file, 0) else None
    return found or joined(file, name)


def joined(file: Readable, name: str) -> str | None:
    """Return why another file may follow the one that FFmpeg reads; None if that is impossible."""
    ends: dict[str, Callable[[Readable], int | None]] = {
        "mov": _mp4_end,
        "matroska": _matroska_end,
        "avi": riff_end,
        "wav": riff_end,
        "asf": asf_end,
    }
    end = ends[name](file) if name in ends else None
    if end is not None:
        return _JOINED if _occurs(_STARTS, file, end) else None
    others = (start for other, start in _STARTS_OF_STREAMS.items() if other != name)
    return _JOINED if _occurs((*_STARTS_IN_A_STREAM, *others), file, 1) else None


def _mp4(file: Readable) -> str | None:
    """Search every index of the file (``moov``)."""
    for box in top_level_boxes(file):
        if box.type == b"moov":
            index = bytes_at(file, box.start, min(box.end - box.start, MAX_INDEX_SIZE))
            if _search("mov", index):
                return _SOUND
    return _SOUND if _search("mov", index_bytes(file)) else None


def _mp4_end(file: Readable) -> int | None:
    """Return the end of the last box, or where a second index begins."""
    end, indexed = None, False
    for box in top_level_boxes(file):
        if indexed and box.type == b"moov":
            return end
        indexed = indexed or box.type == b"moov"
        end = box.end
    return end


def _matroska(file: Readable) -> str | None:
    """Search the description of the tracks."""
    start = _matroska_segment(file)
    tracks = _matroska_tracks(file, start[0]) if start else None
    if tracks is None:
        return _UNKNOWN
    return _SOUND if _search("matroska", tracks) else None


def _matroska_end(file: Readable) -> int | None:
    """Return where the segment ends; None where it declares no length, as in a live stream."""
    segment = _matroska_segment(file)
    return segment[1] if segment else None


def _matroska_segment(file: Readable) -> tuple[int, int | None] | None:
    """Return where the content of the segment begins, and where it ends if the writer knew."""
    header = ebml_element(bytes_at(file, 0, 12))
    if header is None or header.name != EBML or header.length is None:
        return None
    start = header.size + header.length
    segment = ebml_element(bytes_at(file, start, 12))
    if segment is None or segment.name != SEGMENT:
        return None
    start += segment.size
    return start, None if segment.length is None else start + segment.length


def _matroska_tracks(file: Readable, offset: int) -> bytes | None:
    """Return the element that describes the tracks; None where damage may hide some of it."""
    for _ in range(_MAX_ELEMENTS):
        element = ebml_element(bytes_at(file, offset, 12))
        if element is None or element.name not in _SEGMENT_PARTS or element.length is None:
            return None
        end = offset + element.size + element.length
        if element.name == TRACKS:
            following = ebml_element(bytes_at(file, end, 12))
            intact = following is None or following.name in _SEGMENT_PARTS
            too_large = element.length > MAX_INDEX_SIZE
            return bytes_at(file, offset, end - offset) if intact and not too_large else None
        offset = end
    return None


def _avi(file: Readable) -> str | None:
    """Search the first MiB; check that the header lists every stream, and none of unknown type."""
    types, count = [], -1
    for chunk_type, data in _avi_header(file):
        if chunk_type == b"avih":
            count = int.from_bytes(data[24:28], "little")
        elif chunk_type == b"strh":
            types.append(data[:4])
    if _search("avi", bytes_at(file, 0, _BLOCK_SIZE)):
        return _SOUND
    if len(types) != count or not _AVI_STREAMS_WITHOUT_SOUND.issuperset(types):
        return _UNKNOWN
    return None


def _avi_header(file: Readable) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type and data of each chunk in an AVI's header list and the lists inside it."""
    head = bytes_at(file, 12, 12)
    if not (head.startswith(AVI_LIST) and head.endswith(b"hdrl")):
        return
    data = bytes_at(file, 24, min(int.from_bytes(head[4:8], "little") - 4, MAX_INDEX_SIZE))
    offset = 0
    while offset + 8 <= len(data):
        chunk_type = data[offset : offset + 4]
        length = int.from_bytes(data[offset + 4 : offset + 8], "little")
        if chunk_type == AVI_LIST:
            offset += 12  # only its header: its chunks are next
            continue
        yield chunk_type, data[offset + 8 : offset + 8 + length]
        offset += 8 + length + length % 2


def _asf(file: Readable) -> str | None:
    """Search the header object."""
    header_size = int.from_bytes(bytes_at(file, 16, 8), "little")
    if not 0 < header_size <= MAX_INDEX_SIZE:
        return _UNKNOWN
    return _SOUND if _search("asf", bytes_at(file, 0, header_size)) else None


def _search(name: str, data: bytes) -> bool:
    return re.search(_MARKS[name], data, re.DOTALL) is not None


def _occurs(patterns: Sequence[bytes], file: Readable, offset: int) -> bool:
    """Tell whether one of the patterns occurs in the file from ``offset`` on."""
    searches, tail = [re.compile(pattern, re.DOTALL).search for pattern in patterns], b""
    while data := bytes_at(file, offset, _BLOCK_SIZE):
        joint = tail + data
        if any(search(joint) for search in searches):
            return True
        offset, tail = offset + len(data), data[-_OVERLAP:]
    return False
