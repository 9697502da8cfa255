"""Whether a file is all there, as far as its own outer structure tells.

FFmpeg reads a file that is cut off as one that ends there, in some formats without a word. That is
well for the sound before the cut, but no sound at all must not be taken for a silent video.
"""

import struct
from collections.abc import Callable
from io import SEEK_END
from typing import Protocol


class Readable(Protocol):
    """What FFmpeg, too, needs of a file."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


# A file of real sound has a handful of outermost parts, a capture split into gigabytes hundreds.
_MOST_PARTS = 1_000
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
MP4_STARTS = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot"}
_OTHER_STARTS = (b"FLV", b"OggS", b"fLaC", b"ID3", b"\x00\x00\x01\xba", b"RF64", b"OTTO")


def is_whole(file: Readable) -> bool | None:
    """Whether ``file`` reaches as far as its structure says; None where it says nothing.

    Reads a few bytes of each outermost part: the chunks of RIFF (wav, avi), the boxes of MP4 and
    its kin, the segment of Matroska. The parts of a fragmented MP4 promise nothing of those to
    come, nor do the formats that are made for streaming.
    """
    measure = _measure_of(bytes_at(file, 0, 12))
    size = file.seek(0, SEEK_END)
    place, parts = 0, 0
    while measure and place < size and parts < _MOST_PARTS:
        length = measure(bytes_at(file, place, 16))
        if length is None:
            return None
        place, parts = place + length, parts + 1
    return place <= size if measure and parts else None


def is_known(file: Readable) -> bool:
    """Whether ``file`` begins as media do, though nothing in it may be readable."""
    start = bytes_at(file, 0, 12)
    return _measure_of(start) is not None or start.startswith(_OTHER_STARTS)


def bytes_at(file: Readable, place: int, count: int) -> bytes:
    """So many bytes of the file, fewer at its end."""
    file.seek(place)
    return file.read(count)


_Measure = Callable[[bytes], int | None]  # the first bytes of a part -> its length in the file


def _measure_of(start: bytes) -> _Measure | None:
    if start.startswith(b"RIFF"):
        return _riff_length
    if start.startswith(_EBML):
        return _ebml_length
    return box_length if start[4:8] in MP4_STARTS else None


def _riff_length(head: bytes) -> int | None:
    """A chunk: four letters, a 32-bit length; both extremes mean that the writer did not know."""
    if not head.startswith(b"RIFF"):
        return len(head)  # whatever a tool has appended
    (length,) = struct.unpack("<I", head[4:8].ljust(4, b"\0"))
    return None if length in (0, 0xFFFF_FFFF) else 8 + length


def box_length(head: bytes) -> int | None:
    """ISO/IEC 14496-12, 4.2: a length of 1 stands for 64 bits further on, 0 for the whole rest."""
    length, kind = struct.unpack(">I4s", head[:8].ljust(8, b"\0"))
    if kind == b"moof":
        return None
    if length == 1:
        (length,) = struct.unpack(">Q", head[8:16].ljust(8, b"\0"))
    return max(length, 8) if length else len(head)


def _ebml_length(head: bytes) -> int | None:
    """RFC 8794: the leading zeros of a number tell its width; all ones mean an unknown length."""
    if not head.startswith((_EBML, _SEGMENT)):
        return len(head)
    width = 9 - head[4].bit_length() if len(head) > 4 else 9
    number = int.from_bytes(head[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
    known = width <= 8 and number != (1 << 7 * width) - 1
    return 4 + width + number if known else None
