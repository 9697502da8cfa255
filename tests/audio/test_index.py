"""A long MP4 is heard by the start of its index, and sounds exactly as by all of it."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.audio.container import open_container
from tasks.audio.decode import Decoded, decode
from tasks.audio.index import KEPT_PACKETS, with_short_index
from tasks.audio.window import Window
from tasks.errors import VideoError
from tests.audio.media import melody, write_long_media, write_media

SECONDS, PICTURE_BYTES = 400, 4_000_000


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Bytes of a long video; the same ones are made once."""
    made: dict[tuple[str, str], bytes] = {}

    def write(suffix: str = ".mp4", movflags: str = "") -> bytes:
        if (suffix, movflags) not in made:
            path = tmp_path_factory.mktemp("long") / f"a{suffix}"
            options = {"movflags": movflags} if movflags else {}
            write_long_media(path, SECONDS, PICTURE_BYTES, options)
            made[suffix, movflags] = path.read_bytes()
        return made[suffix, movflags]

    return write


def hear(data: bytes, window: Window) -> Decoded:
    return decode(io.BytesIO(data), window)


def without_shortcut(data: bytes) -> bytes:
    """The same file behind a box that makes it look like another format to the shortcut alone."""
    return data.replace(b"ftyp", b"xxxx", 1)


def assert_same_sound(ours: Decoded, theirs: Decoded) -> None:
    assert [rate for rate, _ in ours.segments] == [rate for rate, _ in theirs.segments]
    for (_, mine), (_, other) in zip(ours.segments, theirs.segments, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
@pytest.mark.parametrize("movflags", ["", "faststart"])
def test_it_sounds_the_same(
    write: Callable[..., bytes], window: Window, suffix: str, movflags: str
) -> None:
    data = write(suffix, movflags)
    assert with_short_index(io.BytesIO(data)) is not None
    whole = hear(without_shortcut(data), window)
    assert len(whole.segments) == 1
    assert whole.notes is None
    assert_same_sound(hear(data, window), whole)


def test_ffmpeg_sees_one_track_and_its_start(write: Callable[..., bytes]) -> None:
    short = with_short_index(io.BytesIO(write()))
    assert short is not None
    with open_container(short) as container:
        assert [stream.type for stream in container.streams] == ["audio"]
        packets = sum(1 for packet in container.demux() if packet.size)
    assert packets == KEPT_PACKETS


def test_a_window_beyond_the_start_is_heard_by_the_whole_index(
    write: Callable[..., bytes],
) -> None:
    seconds = KEPT_PACKETS * 1_024 / 44_100 + 10
    window = Window(sampling_rate=16_000, num_samples=round(16_000 * seconds))
    assert_same_sound(hear(write(), window), hear(without_shortcut(write()), window))


def test_an_edit_list_that_begins_beyond_the_start(
    write: Callable[..., bytes], window: Window
) -> None:
    data = bytearray(write(movflags="faststart"))
    track = data.index(b"soun")
    entry = data.rindex(b"elst", 0, track) + 4 + 4 + 4 + 4  # version and flags, count, duration
    begin = 200 * 44_100
    data[entry : entry + 4] = begin.to_bytes(4, "big")
    heard, whole = hear(bytes(data), window), hear(without_shortcut(bytes(data)), window)
    assert len(whole.segments) == 1
    assert_same_sound(heard, whole)


def test_a_damaged_packet_is_noted_all_the_same(
    write: Callable[..., bytes], window: Window
) -> None:
    data = bytearray(write())
    start = data.index(b"mdat") + 20_000
    data[start : start + 30_000] = b"\xff" * 30_000
    heard, whole = hear(bytes(data), window), hear(without_shortcut(bytes(data)), window)
    assert heard.corrupt_packets > 0
    assert heard.corrupt_packets == whole.corrupt_packets
    assert_same_sound(heard, whole)


@pytest.mark.parametrize(
    ("suffix", "movflags"), [(".mkv", ""), (".mp4", "frag_keyframe+empty_moov")]
)
def test_other_layouts_have_no_index_to_shorten(
    write: Callable[..., bytes], suffix: str, movflags: str
) -> None:
    assert with_short_index(io.BytesIO(write(suffix, movflags))) is None


def test_a_short_video_is_opened_as_it_is(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", melody(2, 48_000), 48_000)
    assert with_short_index(io.BytesIO(path.read_bytes())) is None


def test_a_long_video_without_sound_is_opened_as_it_is(tmp_path: Path, window: Window) -> None:
    path = write_media(tmp_path / "a.mp4", None, seconds=10)
    assert with_short_index(io.BytesIO(path.read_bytes())) is None
    assert hear(path.read_bytes(), window).segments == []


def test_an_index_cut_anywhere_is_no_new_error(write: Callable[..., bytes]) -> None:
    data = write(movflags="faststart")
    for end in range(0, data.index(b"mdat"), 997):
        assert with_short_index(io.BytesIO(data[:end])) is None


def test_random_damage_in_the_index_costs_no_more_than_without(
    write: Callable[..., bytes], window: Window
) -> None:
    data = write(movflags="faststart")
    chance = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(data)
        place = int(chance.integers(8, data.index(b"mdat") - 8))
        damaged[place : place + 4] = chance.bytes(4)
        whole = samples_heard(without_shortcut(bytes(damaged)), window)
        assert samples_heard(bytes(damaged), window) >= whole


def samples_heard(data: bytes, window: Window) -> int:
    """How much is heard; nothing of a file that is refused."""
    try:
        return sum(sound.size for _, sound in hear(data, window).segments)
    except VideoError:
        return 0
