"""Mutations that know how media are built: boxes of MP4, elements of EBML, chunks of RIFF, TS.

Each leaves the rest as it was, so that a demuxer gets as far as the part that is wrong.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from tests.fuzz.mutations import Mutation, set_number

_BOXES_OF_BOXES = {
    b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"udta", b"mvex", b"moof",
    b"traf", b"mfra",
}  # fmt: skip
_EBML_MASTERS = {
    0x1A45DFA3, 0x18538067, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x1F43B675,
    0xA0, 0x1C53BB6B, 0xBB, 0xB7, 0x1254C367, 0x7373,
}  # fmt: skip
_LISTS = {b"RIFF", b"LIST", b"RF64"}
_TS_PACKET = 188
_MAX_PARTS = 2_000


@dataclass(frozen=True)
class Part:
    """One part of a file: ``[start, body)`` holds its name and its length, the rest follows.

    Attributes:
        length_at: offset of its length.
    """

    start: int
    length_at: int
    body: int
    end: int


# The parts in [start, end), nested ones too.
Parse = Callable[[bytearray, int, int], Iterator[Part]]


def mutations_for(data: bytes) -> Sequence[Mutation]:
    """What is known of the format of ``data``; none where nothing is."""
    if data[4:8] in (b"ftyp", b"moov", b"styp", b"mdat", b"wide"):
        return _mutations(boxes)
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return _mutations(elements)
    if data.startswith((b"RIFF", b"RF64")):
        return _mutations(chunks)
    if data[:1] == data[_TS_PACKET : _TS_PACKET + 1] == b"\x47":
        return (damage_packets,)
    return ()


def boxes(data: bytearray, start: int, end: int) -> Iterator[Part]:
    """ISO/IEC 14496-12: 32 bits of length, four letters; a length of 1 stands for 64 bits more."""
    while start + 8 <= end:
        length, head = int.from_bytes(data[start : start + 4]), 8
        if length == 1:
            length, head = int.from_bytes(data[start + 8 : start + 16]), 16
        stop = min(end, start + max(length, head)) if length else end
        yield Part(start, start, start + head, stop)
        if bytes(data[start + 4 : start + 8]) in _BOXES_OF_BOXES:
            yield from boxes(data, start + head, stop)
        start = stop


def elements(data: bytearray, start: int, end: int) -> Iterator[Part]:
    """RFC 8794: the leading zeros of a number tell its width; all ones are an unknown length."""
    while start + 2 <= end and data[start]:
        length_at = start + 9 - data[start].bit_length()
        if length_at >= end or not data[length_at]:
            return
        width = 9 - data[length_at].bit_length()
        body = length_at + width
        unknown = (1 << 7 * width) - 1
        length = int.from_bytes(data[length_at:body]) & unknown
        stop = end if length == unknown else min(end, body + length)
        yield Part(start, length_at, body, stop)
        if int.from_bytes(data[start:length_at]) in _EBML_MASTERS:
            yield from elements(data, body, stop)
        start = max(stop, body)


def chunks(data: bytearray, start: int, end: int) -> Iterator[Part]:
    """RIFF: four letters, 32 bits of length, little-endian; even lengths."""
    while start + 8 <= end:
        length = int.from_bytes(data[start + 4 : start + 8], "little")
        stop = min(end, start + 8 + length + length % 2)
        yield Part(start, start + 4, start + 8, stop)
        if bytes(data[start : start + 4]) in _LISTS:
            yield from chunks(data, start + 12, stop)
        start = stop


def _mutations(parse: Parse) -> Sequence[Mutation]:
    """The mutations of one part, which chance picks; short parts are as likely as long ones."""

    def with_part(change: Callable[[bytearray, Random, Part], None]) -> Mutation:
        def mutation(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
            parts = list(islice(parse(data, 0, len(data)), _MAX_PARTS))
            if parts:
                change(data, chance, chance.choice(parts))
            else:
                set_number(data, chance, others)

        return mutation

    # Twice what concerns lengths and tables, of which a demuxer believes the most.
    changes = (set_length, set_length, set_in_body, set_in_body, rename, remove, repeat, move)
    return [with_part(change) for change in changes]


def set_length(data: bytearray, chance: Random, part: Part) -> None:
    width = min(part.body - part.length_at, 4)
    marker = data[part.length_at] if part.length_at > part.start else 0
    field = bytearray(data[part.length_at : part.length_at + width])
    set_number(field, chance, ())
    if chance.random() < 0.5 and marker:
        field[0] |= marker & -(1 << marker.bit_length() - 1)  # an EBML number of the same width
    data[part.length_at : part.length_at + width] = field[:width]


def set_in_body(data: bytearray, chance: Random, part: Part) -> None:
    """A number near the beginning: flags, counts and the first entries of a table."""
    body = bytearray(data[part.body : min(part.end, part.body + chance.choice((16, 64, 1024)))])
    if body:
        size = len(body)
        set_number(body, chance, ())
        data[part.body : part.body + size] = body[:size]


def rename(data: bytearray, chance: Random, part: Part) -> None:
    data[chance.randrange(part.start, part.body)] ^= 1 << chance.randrange(8)


def remove(data: bytearray, chance: Random, part: Part) -> None:
    if part.end - part.start < len(data):
        del data[part.start : part.end]


def repeat(data: bytearray, chance: Random, part: Part) -> None:
    data[part.start : part.start] = data[part.start : part.end]


def move(data: bytearray, chance: Random, part: Part) -> None:
    """To the end of the file."""
    moved = data[part.start : part.end]
    del data[part.start : part.end]
    data += moved


def damage_packets(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    """Packets of a transport stream: lost, repeated, of another stream, or with an odd number."""
    count = len(data) // _TS_PACKET
    if not count:
        return
    start = _TS_PACKET * min(int(count ** chance.random()) - 1, count - 1)  # mostly early ones
    end = start + _TS_PACKET * chance.choice((1, 2, 10))
    change = chance.randrange(4)
    if change == 0 and end < len(data):
        del data[start:end]
    elif change == 1:
        data[start:start] = data[start:end]
    elif change == 2:
        data[start + 1 : start + 3] = chance.randbytes(2)
    else:
        packet = bytearray(data[start : start + 64])
        set_number(packet, chance, others)
        data[start : start + 64] = packet[:64]
