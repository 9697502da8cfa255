"""A long MP4 as if its index were short.

FFmpeg reads the index of every track before the first packet: for an hour a third of all that its
first seconds cost, and more for a film. So it is shown the same file with a few bytes changed:
tracks other than the one that is heard are called ``free`` (ISO/IEC 14496-12, 8.1.2: a box whose
content is irrelevant), and the tables of that one claim no more than their first entries.

What is heard so is right as far as it goes. Where that is not to the end of the window (an edit
list that begins far inside, say), the file is heard again as it is.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from tasks.audio.extent import MP4_STARTS, Readable, box_length, bytes_at

# Of 1,024 samples at 96 kHz: 43 s, four windows.
KEPT_PACKETS = 4_096
# Below, the index costs less than what it is replaced by.
_LONG_PACKETS = 2 * KEPT_PACKETS
_MOST_BOXES = 1_000

_Patches = dict[int, bytes]  # by their place in the file


class _Box(NamedTuple):
    """Offsets of a box: where it starts, where its content starts, and where both end."""

    kind: bytes
    start: int
    content: int
    end: int


class _Patched:
    """A file with a few bytes of it changed."""

    def __init__(self, file: Readable, patches: _Patches) -> None:
        self._file, self._patches = file, patches

    def read(self, size: int, /) -> bytes:
        place = self._file.tell()
        data = self._file.read(size)
        for start, patch in self._patches.items():
            begin, end = max(start, place), min(start + len(patch), place + len(data))
            if begin < end:
                changed = patch[begin - start : end - start]
                data = data[: begin - place] + changed + data[end - place :]
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def with_short_index(file: Readable) -> Readable | None:
    """``file`` as it would be with little more than the start of its first audio track; None
    where that is no gain: other formats, fragments, short files, an index that is damaged."""
    if bytes_at(file, 0, 8)[4:] not in MP4_STARTS:
        return None
    whole = _Box(b"", 0, 0, file.seek(0, 2))
    index = _find(file, whole, b"moov")
    if index is None:
        return None
    tracks = [box for box in _boxes(file, index) if box.kind == b"trak"]
    heard = next((track for track in tracks if _is_sound(file, track)), None)
    patches = _shorter_tables(file, heard) if heard else None
    if not patches:
        return None
    hidden = {track.start + 4: b"free" for track in tracks if track is not heard}
    return _Patched(file, patches | hidden)


def _is_sound(file: Readable, track: _Box) -> bool:
    handler = _find(file, track, b"mdia", b"hdlr")
    return handler is not None and bytes_at(file, handler.content + 8, 4) == b"soun"


def _shorter_tables(file: Readable, track: _Box) -> _Patches | None:
    """Smaller counts in the tables that have an entry for each packet or chunk (ISO/IEC 14496-12,
    8.7.3 to 8.7.5); None when there are not many packets."""
    table = _find(file, track, b"mdia", b"minf", b"stbl")
    if table is None:
        return None
    patches: _Patches = {}
    for box in _boxes(file, table):
        if box.kind == b"stsz":
            size_of_all, packets = _numbers(file, box.content + 4, 2)
            if size_of_all or packets < _LONG_PACKETS:
                return None  # all packets alike (PCM): nothing is listed
            patches[box.content + 8] = struct.pack(">I", KEPT_PACKETS)
        elif box.kind in (b"stco", b"co64"):
            (chunks,) = _numbers(file, box.content + 4, 1)
            patches[box.content + 4] = struct.pack(">I", min(chunks, KEPT_PACKETS))
        elif box.kind == b"stsc":  # runs of chunks alike, each with the number of its first
            (runs,) = _numbers(file, box.content + 4, 1)
            firsts = partial(_first_of_run, file, box)
            kept = bisect_right(range(runs), KEPT_PACKETS, key=firsts)
            patches[box.content + 4] = struct.pack(">I", kept)
    return patches


def _first_of_run(file: Readable, box: _Box, run: int) -> int:
    return _numbers(file, box.content + 8 + 12 * run, 1)[0]


def _find(file: Readable, box: _Box, *path: bytes) -> _Box | None:
    """The first box of these kinds, each inside the one before."""
    for kind in path:
        found = next((child for child in _boxes(file, box) if child.kind == kind), None)
        if found is None:
            return None
        box = found
    return box


def _boxes(file: Readable, parent: _Box) -> Iterator[_Box]:
    """The boxes inside another, up to the first that is damaged."""
    place = parent.content
    for _ in range(_MOST_BOXES):
        head = bytes_at(file, place, 16)
        length = box_length(head)
        if len(head) < 8 or length is None or place + length > parent.end:
            return
        header = 16 if head[:4] == b"\0\0\0\1" else 8
        yield _Box(head[4:8], place, place + header, place + length)
        place += length


def _numbers(file: Readable, place: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f">{count}I", bytes_at(file, place, 4 * count).ljust(4 * count, b"\0"))
