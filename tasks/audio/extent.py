"""Detect truncated files from the sizes that their containers declare.

FFmpeg takes the cut for the end, in some formats without a word.
"""

import struct
from io import SEEK_END
from typing import NamedTuple, Protocol


class Readable(Protocol):
    """The methods of a file that this folder and FFmpeg use."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


# A long capture, split into parts of a gigabyte, has hundreds of top-level boxes; others a handful.
MAX_BOXES = 1_000
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
TRACKS, CLUSTER = b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"
AVI_LIST = b"LIST"
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_OGG_LAST_PAGE = 4  # in a page's flags
_MAX_OGG_PAGE = 27 + 255 + 255 * 255
MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot", b"moof",
              b"mfra", b"sidx", b"ssix", b"prft", b"emsg", b"uuid", b"meta", b"meco", b"pdin",
              b"udta", b"PICT"}  # fmt: skip
_OTHER_STARTS = (b"RIFF", b"RF64", _W64, EBML, _ASF_HEADER, b"FLV", b"OggS", b"fLaC", b"ID3",
                 b"\x00\x00\x01\xba")  # fmt: skip
# Some writers count the RIFF header in, or forget the last chunk's padding.
_RIFF_SLACK = 9


def is_whole(file: Readable) -> bool | None:
    """Tell whether ``file`` is as long as its container declares; None where it declares nothing.

    Bytes that a tool has appended to a whole file are ignored. A fragmented MP4 does not declare
    how many fragments follow, and formats made for streaming declare nothing.
    """
    size, head = file.seek(0, SEEK_END), bytes_at(file, 0, 16)
    if head.startswith((b"RIFF", b"RF64")):
        end = riff_end(file)
        return None if end is None else end <= size + _RIFF_SLACK
    if head.startswith(EBML):
        return _matroska_is_whole(file, size)
    if head.startswith(b"OggS"):
        return _ogg_is_whole(file, size)
    if head == _W64:
        return int.from_bytes(bytes_at(file, 16, 8), "little") <= size  # the outermost chunk
    if head.startswith(_ASF_HEADER):
        end = asf_end(file)
        return None if end is None else end <= size
    return _mp4_is_whole(file, size) if is_mp4(file) else None


def is_known(file: Readable) -> bool:
    """Tell whether ``file`` begins like a media file, even if nothing in it can be read."""
    return is_mp4(file) or bytes_at(file, 0, 16).startswith(_OTHER_STARTS)


def is_mp4(file: Readable) -> bool:
    """Tell whether the first or second box of ``file`` is one of MP4 or QuickTime.

    FFmpeg skips a first box that it does not know.
    """
    if (box_type := bytes_at(file, 0, 8)[4:]) in MP4_BOXES:
        return True
    first = box_header(file, 0) if box_type.isalnum() else None
    second = box_header(file, first.length) if first and first.length else None
    return second is not None and second.type in MP4_BOXES


def bytes_at(file: Readable, offset: int, count: int) -> bytes:
    """Read ``count`` bytes of the file from ``offset`` on, fewer at its end."""
    file.seek(offset)
    return file.read(count)


class BoxHeader(NamedTuple):
    """The header of an MP4 box.

    Attributes:
        size: bytes of the header.
        length: bytes of the whole box; 0 means up to the end of the file.
    """

    type: bytes
    size: int
    length: int


def box_header(file: Readable, offset: int) -> BoxHeader | None:
    """Return the header of the box at ``offset``; None where there is none."""
    head = bytes_at(file, offset, 16)
    if len(head) < 8:
        return None
    length, box_type = struct.unpack(">I4s", head[:8])
    if length != 1:
        return BoxHeader(box_type, 8, length) if length == 0 or length >= 8 else None
    length = int.from_bytes(head[8:], "big")  # 64 bits
    return BoxHeader(box_type, 16, length) if length >= 16 else None


def _mp4_is_whole(file: Readable, size: int) -> bool | None:
    """Tell whether every box lies within the file, the index and the media data among them."""
    offset, missing = 0, {b"moov", b"mdat"}
    for _ in range(MAX_BOXES):
        header = box_header(file, offset)
        if header is None or (header.type not in MP4_BOXES and not missing):
            break
        if header.type == b"moof" or not header.length:
            return None
        missing.discard(header.type)
        offset += header.length
    return not missing and offset <= size


def riff_end(file: Readable) -> int | None:
    """Return where the RIFF chunks (AVI may have several) end; None if the writer did not know."""
    offset = 0
    while (head := bytes_at(file, offset, 28)).startswith((b"RIFF", b"RF64")):
        if offset and head[8:12] != b"AVIX":
            break  # another file
        length = int.from_bytes(head[4:8], "little")
        if head.startswith(b"RF64"):  # EBU Tech 3306: 64 bits in the chunk ds64
            length = int.from_bytes(head[20:28], "little")
        if length in (0, 0xFFFF_FFFF):
            return None
        offset += 8 + length
    return offset


def _matroska_is_whole(file: Readable, size: int) -> bool | None:
    """Tell whether the segment, the element after the EBML header, lies within the file."""
    offset = 0
    for name in (EBML, SEGMENT):
        element = ebml_element(bytes_at(file, offset, 12))
        if element is None or element.name != name or element.length is None:
            return None
        offset += element.size + element.length
    return offset <= size


class Element(NamedTuple):
    """The header of an EBML element.

    Attributes:
        name: its ID.
        size: bytes of the header.
        length: bytes of the content; None where the writer did not know.
    """

    name: bytes
    size: int
    length: int | None


def ebml_element(head: bytes) -> Element | None:
    """Return the header that ``head`` begins with (RFC 8794); None where there is none.

    The leading zeros of a number tell its width; all ones mean an unknown length.
    """
    id_width = 9 - head[0].bit_length() if head else 9
    width = 9 - head[id_width].bit_length() if len(head) > id_width else 9
    if id_width > 4 or width > 8 or len(head) < id_width + width:
        return None
    unknown = (1 << 7 * width) - 1
    length = int.from_bytes(head[id_width : id_width + width], "big") & unknown
    return Element(head[:id_width], id_width + width, None if length == unknown else length)


def _ogg_is_whole(file: Readable, size: int) -> bool:
    """Tell whether the last page is complete, and marked as the last of its stream (RFC 3533)."""
    tail = bytes_at(file, max(0, size - _MAX_OGG_PAGE), _MAX_OGG_PAGE)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & _OGG_LAST_PAGE:
        return False
    segments = page[27 : 27 + page[26]]
    return len(page) >= 27 + page[26] + sum(segments)


def asf_end(file: Readable) -> int | None:
    """Return the file's length by the file properties in its header; None if they state none."""
    head = bytes_at(file, 0, 4_096)
    start = head.find(_ASF_FILE_PROPERTIES)
    declared = int.from_bytes(head[start + 40 : start + 48], "little") if start > 0 else 0
    return declared or None
