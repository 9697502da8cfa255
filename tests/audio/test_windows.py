"""Several windows: each lies where a whole decode of FFmpeg's command line has the same sound."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.audio.clip import make_clip
from tasks.audio.decode import decode
from tasks.audio.extraction import Remarks, extract_clips
from tasks.audio.pool import DecoderPool
from tasks.audio.window import Channels, Window, Windows, spread
from tests.audio.hearing import Sound, ffmpeg_hears
from tests.audio.making import CASES, Container, container_named, make, sound_for
from tests.audio.media import melody, write_long_media, write_media

pytestmark = pytest.mark.long

RATE = 16_000
WINDOW = Window(RATE, 2 * RATE)
WHOLE = Window(RATE, 60 * RATE)
SECONDS = 17.0
MAX_SECONDS_APART = 0.05


def heard(data: bytes, windows: Windows) -> tuple[list[tuple[float, Sound]], Remarks]:
    """The start and sound of each window, and the remarks."""
    clips = extract_clips(io.BytesIO(data), WINDOW, windows)
    found: list[tuple[float, Sound]] = []
    while True:
        try:
            start, clip = next(clips)
        except StopIteration as end:
            return found, end.value
        found.append((start, clip.waveform))


def position(part: Sound, whole: Sound) -> tuple[float, float]:
    """Where in ``whole`` the part lies, in seconds, and how like it is to what lies there."""
    size = 1 << (part.size + whole.size).bit_length()
    product = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size)), size)
    delay = int(product.argmax())
    delay -= size if delay > size // 2 else 0
    there = whole[max(0, delay) :].astype(np.float64)
    here = part[max(0, -delay) :][: there.size].astype(np.float64)
    there = there[: here.size]
    alike = here @ there / (np.linalg.norm(here) * np.linalg.norm(there) or 1.0)
    return delay / RATE, float(alike)


def check(clips: list[tuple[float, Sound]], whole: Sound) -> None:
    first = clips[0][0]
    for start, sound in clips:
        assert sound.size == pytest.approx(WINDOW.num_samples, abs=MAX_SECONDS_APART * RATE)
        at, alike = position(sound, whole)
        assert at == pytest.approx(start - first, abs=MAX_SECONDS_APART)
        assert alike > 0.9
    assert clips[-1][0] - first + WINDOW.seconds == pytest.approx(whole.size / RATE, abs=0.1)


@pytest.mark.parametrize(("container", "codec"), CASES)
def test_windows_lie_where_a_whole_decode_has_them(
    tmp_path: Path, container: Container, codec: str
) -> None:
    sound = sound_for(container, codec, SECONDS, seed=zlib.crc32(codec.encode()))
    path = make(tmp_path / "file", container, sound, codec)
    data, whole = path.read_bytes(), ffmpeg_hears(path, WHOLE)

    known = decode(io.BytesIO(data), WHOLE).notes

    spread_out, remarks = heard(data, 3)
    assert remarks.notes == known
    assert len(spread_out) == 3
    check(spread_out, whole)

    every, remarks = heard(data, "all")
    assert remarks.notes == known
    assert len(every) == 9
    check(every, whole)

    for start, sound in (spread_out[1], every[4], every[-1]):
        ((at, alone),) = extract_clips(io.BytesIO(data), WINDOW, "start", only_at=start)
        assert at == pytest.approx(start, abs=1e-3)
        shift, alike = position(alone.waveform, sound)
        assert abs(shift) < MAX_SECONDS_APART
        assert alike > 0.85  # Yamaha's ADPCM carries its state through the file


@pytest.mark.parametrize(
    ("end", "count", "starts"),
    [
        (0.5, 6, [0]),
        (2.0, 6, [0]),
        (2.02, 6, [0]),  # the rest is no sound of its own
        (2.1, 6, [0, 0.1]),
        (5.0, 2, [0, 3]),
        (5.0, 6, [0, 1.5, 3]),
        (17.0, 1, [0]),
        (17.0, 4, [0, 5, 10, 15]),
    ],
)
def test_windows_are_spread_from_the_start_to_the_end(
    end: float, count: int, starts: list[float]
) -> None:
    assert spread(0, end, 2, count) == pytest.approx(starts)
    assert spread(9, 9 + end, 2, count) == pytest.approx([9 + start for start in starts])


@pytest.mark.parametrize("name", ["mp4", "mkv", "ts", "flv", "ogv", "adts"])
@pytest.mark.parametrize("seconds", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("windows", ["start", 1, 2, 6, "all"])
def test_a_short_video_is_heard_whole_and_nothing_is_padded(
    tmp_path: Path, name: str, seconds: float, windows: Windows
) -> None:
    container = container_named(name)
    data = make(tmp_path / "file", container, sound_for(container, "", seconds)).read_bytes()

    clips, _ = heard(data, windows)

    if windows in ("start", 1) or seconds < 2.2:
        assert 1 <= len(clips) <= 2
    else:
        assert len(clips) == (2 if windows == 2 else 3)
        assert all(sound.size >= WINDOW.num_samples - RATE // 20 for _, sound in clips)
        assert clips[-1][0] + WINDOW.seconds - clips[0][0] == pytest.approx(seconds, abs=0.15)


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "flv", "opus", "mp3", "wav"])
def test_the_window_at_the_start_is_the_same_whatever_follows(
    tmp_path: Path, container: str
) -> None:
    medium = container_named(container)
    data = make(tmp_path / "file", medium, sound_for(medium, "", 9.0)).read_bytes()
    ((start, sound),), remarks = heard(data, "start")

    assert remarks.notes is None
    for windows in (1, 2, 4, "all"):
        clips, _ = heard(data, windows)
        assert clips[0][0] == start
        assert np.array_equal(clips[0][1], sound)


@settings(max_examples=min(30, settings().max_examples))
@given(
    name=st.sampled_from(["mp4", "mkv", "webm", "ts", "flv", "avi", "ogv", "mp3", "wav"]),
    seconds=st.floats(0.05, 6),
    windows=st.sampled_from(["start", 1]),
    channels=st.sampled_from(["mix", "first"]),
    seed=st.integers(0, 99),
)
def test_one_window_is_the_decoded_start_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    seconds: float,
    windows: Windows,
    channels: Channels,
    seed: int,
) -> None:
    """As it was before there were windows."""
    container = container_named(name)
    path = tmp_path_factory.mktemp("media") / "file"
    data = make(path, container, sound_for(container, "", seconds, seed)).read_bytes()
    window = Window(RATE, 2 * RATE, channels)
    decoded = decode(io.BytesIO(data), window)
    expected = make_clip(decoded.segments, window)

    found = [clip for _, clip in extract_clips(io.BytesIO(data), window, windows)]

    assert [clip.to_bytes() for clip in found] == [expected.to_bytes()]


@pytest.mark.parametrize("windows", [4, "all"])
@pytest.mark.parametrize(
    ("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {}), ("a.ts", {})]
)
def test_a_video_that_is_cut_off_is_judged_by_what_is_left(
    tmp_path: Path, name: str, options: dict[str, str], windows: Windows
) -> None:
    path = write_media(tmp_path / name, melody(20, 48_000), 48_000, options=options)
    data = path.read_bytes()

    clips, (notes, _) = heard(data[: len(data) * 6 // 10], windows)

    assert len(clips) == (4 if windows == 4 else 6)
    assert 8 < clips[-1][0] < 11
    if name != "a.ts":  # nothing in it tells how long it was
        assert notes is not None
        assert "cut off after 1" in notes


def test_windows_that_are_damaged_are_left_out_with_a_note(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", melody(20, 48_000), 48_000, pictures=None)
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat")
    size = int.from_bytes(data[begin - 4 : begin], "big")
    damaged = slice(begin + size * 8 // 10, begin + size - 8)
    data[damaged] = b"\xff" * (damaged.stop - damaged.start)

    clips, (notes, _) = heard(bytes(data), 4)

    assert len(clips) == 3
    assert notes is not None
    assert "1 window left out" in notes


@pytest.mark.parametrize(
    ("name", "read_through"),
    [("mp4", None), ("mkv", None), ("avi", None), ("ts", None), ("flv", "flv"), ("mp3", "mp3")],
)
def test_a_format_without_an_index_is_read_through_and_says_so(
    tmp_path: Path, name: str, read_through: str | None
) -> None:
    container = container_named(name)
    data = make(tmp_path / "file", container, sound_for(container, "", 30.0)).read_bytes()
    asked: tuple[Windows, ...] = (3, "all", "start")
    for windows in asked:
        _, remarks = heard(data, windows)
        # Of all of it, nothing else was asked for.
        assert remarks.read_through == (read_through if windows == 3 else None)


@pytest.mark.parametrize("windows", [3, "all"])
def test_silence_is_heard(tmp_path: Path, windows: Windows) -> None:
    sound = melody(17, 48_000)
    sound[:, 5 * 48_000 :] = 0
    path = write_media(tmp_path / "a.mp4", sound, 48_000)

    clips, (notes, _) = heard(path.read_bytes(), windows)

    assert notes is None
    assert len(clips) == (3 if windows == 3 else 9)
    assert all(np.abs(sound).max() < 0.01 for _, sound in clips[3:])


def test_the_sound_may_be_shorter_than_the_pictures(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.ts"):
        path = write_media(tmp_path / name, melody(17, 48_000), 48_000, seconds=40)

        clips, _ = heard(path.read_bytes(), 3)

        assert [start - clips[0][0] for start, _ in clips] == pytest.approx([0, 7.5, 15], abs=0.1)


def test_all_of_a_long_video_streams_with_flat_memory(tmp_path: Path) -> None:
    peaks = []
    for minutes in (20, 180):
        seconds = 60 * minutes
        path = write_long_media(tmp_path / f"{minutes}.mp4", seconds, seconds * 2_000)
        window = Window(RATE, 10 * RATE)
        with DecoderPool(1) as pool, pool.extract(str(path), window, windows="all").clips as clips:
            assert len(clips) == seconds // 10
            status = Path(f"/proc/{pool.pids[0]}/status").read_text()
        peaks.append(int(status.split("VmHWM:")[1].split()[0]))
    # The index of an MP4 grows with it.
    assert peaks[1] < peaks[0] + 30_000
