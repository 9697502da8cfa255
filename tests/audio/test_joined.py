"""What FFmpeg's list of streams does not show is no proof of silence: joined and hidden streams."""

import io
import random
import struct
from pathlib import Path

import pytest

from tasks.audio.decode import Decoded, decode
from tasks.audio.window import Window
from tasks.errors import VideoError
from tests.audio.making import Container, container_named, make, sound_for
from tests.audio.media import write_media

pytestmark = pytest.mark.long

NAMES = [
    "mp4", "index-first-mp4", "fragmented-mp4", "mov", "mkv", "live-mkv", "webm", "live-webm",
    "avi", "wmv", "flv", "ts", "mpg", "ogv",
]  # fmt: skip
every_container = pytest.mark.parametrize("name", NAMES)
VOID, INFO, TRACKS = b"\xec", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b"
CLUSTER = b"\x1f\x43\xb6\x75"
PES_OF_PICTURES = 0x100


def hear(data: bytes, window: Window) -> Decoded:
    return decode(io.BytesIO(data), window)


def failure(data: bytes, window: Window) -> VideoError:
    with pytest.raises(VideoError) as caught:
        hear(data, window)
    return caught.value


def seconds(decoded: Decoded) -> float:
    return sum(sound.size / rate for rate, sound in decoded.segments)


def silent(folder: Path, name: str) -> bytes:
    return make(folder / "silent", container_named(name), None, seconds=1).read_bytes()


def sounding(folder: Path, name: str, codec: str = "") -> bytes:
    container: Container = container_named(name)
    return make(folder / "sounding", container, sound_for(container, codec), codec).read_bytes()


def is_empty(data: bytes, window: Window) -> bool:
    try:
        return hear(data, window) == Decoded([])
    except VideoError:
        return False


@every_container
@pytest.mark.parametrize("between", [0, 5_000, 2_000_000])
def test_a_silent_file_joined_to_one_of_its_kind_that_sounds_is_not_empty(
    tmp_path: Path, window: Window, name: str, between: int
) -> None:
    joined = silent(tmp_path, name) + bytes(between) + sounding(tmp_path, name)

    assert is_empty(silent(tmp_path, name), window)
    assert not is_empty(joined, window)


@every_container
@pytest.mark.parametrize(
    "second", ["mp4", "fragmented-mp4", "mkv", "avi", "wmv", "flv", "ts", "mpg", "ogv"]
)
def test_a_silent_file_joined_to_another_kind_that_sounds_is_not_empty(
    tmp_path: Path, window: Window, name: str, second: str
) -> None:
    assert not is_empty(silent(tmp_path, name) + sounding(tmp_path, second), window)


@pytest.mark.parametrize("second", NAMES)
def test_a_video_behind_a_moving_picture_is_no_silence(
    tmp_path: Path, window: Window, second: str
) -> None:
    gif = write_media(tmp_path / "a.gif", None, seconds=1, pictures="gif").read_bytes()

    assert is_empty(gif, window)
    assert not is_empty(gif + sounding(tmp_path, second), window)


@every_container
@pytest.mark.parametrize("second", ["", "mp4", "mkv"])
def test_a_file_with_too_little_sound_joined_to_one_that_sounds_is_not_empty(
    tmp_path: Path, window: Window, name: str, second: str
) -> None:
    container = container_named(name)
    too_little = make(tmp_path / "little", container, sound_for(container)[:, :200]).read_bytes()

    assert not is_empty(too_little + sounding(tmp_path, second or name), window)


@every_container
def test_a_silent_file_behind_one_that_sounds_is_heard(
    tmp_path: Path, window: Window, name: str
) -> None:
    data = sounding(tmp_path, name)

    assert seconds(hear(data + silent(tmp_path, name), window)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "appended",
    [b"TAG" + bytes(125), b"\xff\xd8\xff\xe0" + bytes(5_000) + b"\xff\xd9", bytes(10_000),
     random.Random(0).randbytes(300_000)],
    ids=["id3v1", "jpeg", "zeros", "noise"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["mp4", "index-first-mp4", "mov", "mkv", "webm", "avi"])
def test_what_is_no_video_may_follow_a_silent_one(
    tmp_path: Path, window: Window, name: str, appended: bytes
) -> None:
    assert is_empty(silent(tmp_path, name) + appended, window)


def second(data: bytes, name: bytes) -> int:
    """The offset of an element; the first time its name occurs is in the SeekHead."""
    return data.index(name, data.index(name) + len(name))


def behind_a_void(data: bytes, size: int) -> bytes:
    """A Matroska file whose tracks are described behind so many empty bytes.

    The length of its segment is enlarged; where its parts lie (SeekHead, Cues) becomes wrong.
    """
    start = second(data, INFO)
    segment = data.index(b"\x18\x53\x80\x67") + 4
    length = int.from_bytes(data[segment + 1 : segment + 8]) + size + 9
    void = VOID + b"\x01" + size.to_bytes(7) + bytes(size)
    return (
        data[: segment + 1] + length.to_bytes(7) + data[segment + 8 : start] + void + data[start:]
    )


@pytest.mark.parametrize("size", [0, 5_000, 1_500_000])
def test_tracks_of_matroska_far_behind_the_head(tmp_path: Path, window: Window, size: int) -> None:
    with_sound = behind_a_void(sounding(tmp_path, "mkv"), size)

    assert is_empty(behind_a_void(silent(tmp_path, "mkv"), size), window)
    assert seconds(hear(with_sound, window)) == pytest.approx(1, abs=0.1)
    start = second(with_sound, TRACKS)
    for offset in range(start, with_sound.index(CLUSTER, start), 3):
        damaged = bytearray(with_sound)
        damaged[offset] ^= 0x10
        assert not is_empty(bytes(damaged), window), offset - start


@pytest.mark.parametrize("size", [5_000, 1_500_000])
def test_streams_of_asf_far_behind_the_head(tmp_path: Path, window: Window, size: int) -> None:
    def padded(data: bytes) -> bytes:
        header, count = struct.unpack_from("<QI", data, 16)
        padding = bytes.fromhex("74d40618dfca0945a4ba9aabcb96aae8") + struct.pack("<Q", 24 + size)
        head = data[:16] + struct.pack("<QI", header + 24 + size, count + 1) + data[28:30]
        return head + padding + bytes(size) + data[30:]

    sound = padded(sounding(tmp_path, "wmv"))
    stream_type = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
    assert stream_type in sound

    assert is_empty(padded(silent(tmp_path, "wmv")), window)
    assert not is_empty(sound, window)
    assert not is_empty(sound.replace(stream_type[:4], bytes(4)), window)


@pytest.mark.parametrize("kind", [b"xuds", b"iavs", b"mids", b"\0\0\0\0"])
@pytest.mark.parametrize("codec", ["mp3", "pcm_s16le"])
def test_a_stream_of_avi_whose_kind_is_unknown_is_no_proof(
    tmp_path: Path, window: Window, kind: bytes, codec: str
) -> None:
    data = sounding(tmp_path, "avi", codec)

    damaged = data.replace(b"auds", kind).replace(b"01wb", b"01xx")

    assert not is_empty(damaged, window)


def test_a_stream_of_avi_whose_header_is_gone_is_no_proof(tmp_path: Path, window: Window) -> None:
    data = sounding(tmp_path, "avi")
    sound = data.index(b"strl", data.index(b"strl") + 4)
    damaged = data[:sound] + b"JUNK" + data[sound + 4 :]

    for hidden in (damaged, damaged.replace(b"strh", b"strx"), damaged.replace(b"hdrl", b"hdrx")):
        assert not is_empty(hidden.replace(b"auds", b"xxxx").replace(b"01wb", b"01xx"), window)


def test_an_initialisation_segment_is_called_one(tmp_path: Path, window: Window) -> None:
    for data in (sounding(tmp_path, "fragmented-mp4"), silent(tmp_path, "fragmented-mp4")):
        first = data.index(b"moof") - 4

        assert "initialisation segment" in failure(data[:first], window).reason


def test_a_segment_without_its_initialisation_is_called_one(tmp_path: Path, window: Window) -> None:
    data = sounding(tmp_path, "fragmented-mp4")

    error = failure(data[data.index(b"moof") - 4 :], window)

    assert error.kind == "corrupt"
    assert "without the initialisation segment" in error.reason


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


@pytest.mark.parametrize("brand", [b"avif", b"heic", b"mif1"])
def test_a_picture_is_called_one(window: Window, brand: bytes) -> None:
    file_type = box(b"ftyp", brand + bytes(4) + b"mif1miaf")
    handler = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    data = file_type + box(b"meta", bytes(4) + handler) + box(b"mdat", bytes(500))

    error = failure(data, window)

    assert (error.kind, "picture" in error.reason) == ("not-media", True)


def scrambled(data: bytes, size: int, first: int) -> bytes:
    """A transport stream as a conditional access system leaves it: headers clear, payload noise."""
    packets, chance = bytearray(data), random.Random(0)
    for start in range(0, len(packets), size):
        head = start + first
        has_payload, adapted = packets[head + 3] & 0x10, packets[head + 3] & 0x20
        pid = int.from_bytes(packets[head + 1 : head + 3]) & 0x1FFF
        if has_payload and PES_OF_PICTURES <= pid < 0x1FFF and pid not in (0x1000,):
            packets[head + 3] |= 0x80
            body = head + 4 + (1 + packets[head + 4] if adapted else 0)
            packets[body : head + 188] = chance.randbytes(max(0, head + 188 - body))
    return bytes(packets)


@pytest.mark.parametrize("codec", ["aac", "mp2", "ac3"])
def test_a_scrambled_transport_stream_says_so(tmp_path: Path, window: Window, codec: str) -> None:
    error = failure(scrambled(sounding(tmp_path, "ts", codec), 188, 0), window)

    assert (error.kind, "scrambled" in error.reason) == ("encrypted", True)
