"""What a player leaves out: what an MP4's edit list cuts, and nothing in other containers."""

import io
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tasks.audio.clip import make_clip
from tasks.audio.decode import decode
from tasks.audio.window import Window
from tasks.errors import VideoError
from tests import needs
from tests.audio.hearing import ffmpeg_hears, likeness
from tests.audio.media import melody, tone, write_media

pytestmark = pytest.mark.long

CUT_AT = 45
ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def ffmpeg(*arguments: object) -> None:
    command = [needs.program("ffmpeg"), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def hear(data: bytes, window: Window) -> np.ndarray:
    return make_clip(decode(io.BytesIO(data), window).segments, window).waveform


def long_video(path: Path, codec: str, seconds: int) -> Path:
    """A tone for 45 seconds, then a melody; with a key picture every ten seconds."""
    sound = np.concatenate([tone(CUT_AT, 48_000), melody(seconds - CUT_AT, 48_000)], axis=1)
    wav = write_media(path.with_name("a.wav"), sound, 48_000, "pcm_s16le")
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s=64x64:r=5:d={seconds}", "-i", wav, "-g", "50",
           "-c:v", "mpeg4", "-c:a", codec, "-strict", "experimental", path)  # fmt: skip
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("codec", "seconds"), [("aac", 70), ("aac", 360), ("ac3", 240), ("alac", 240), ("mp3", 70)]
)
def test_what_was_cut_off_the_start_without_decoding_is_not_heard(
    tmp_path: Path, window: Window, suffix: str, codec: str, seconds: int
) -> None:
    whole = long_video(tmp_path / f"whole{suffix}", codec, seconds)
    path = tmp_path / f"a{suffix}"
    ffmpeg("-ss", CUT_AT, "-i", whole, "-c", "copy", path)

    heard, expected = hear(path.read_bytes(), window), ffmpeg_hears(path, window)

    assert heard.size == pytest.approx(expected.size, abs=16)
    assert likeness(heard, expected) > 0.99
    if suffix != ".mkv":
        assert b"elst" in path.read_bytes()


@pytest.mark.parametrize("length", [5, 9])
def test_what_was_cut_off_the_end_without_decoding_is_not_heard(
    tmp_path: Path, window: Window, length: int
) -> None:
    whole = long_video(tmp_path / "whole.mp4", "aac", 70)
    path = tmp_path / "a.mp4"
    ffmpeg("-ss", CUT_AT, "-t", length, "-i", whole, "-c", "copy", path)

    heard, expected = hear(path.read_bytes(), window), ffmpeg_hears(path, window)

    assert heard.size == pytest.approx(expected.size, abs=16)
    assert likeness(heard, expected) > 0.99


@pytest.mark.parametrize("seconds", [60, 360])
def test_several_edits_are_played_one_after_the_other(
    tmp_path: Path, window: Window, seconds: int
) -> None:
    # A delay is an empty edit before the sound's own: room for two of ours.
    wav = write_media(tmp_path / "a.wav", melody(seconds, 48_000), 48_000, "pcm_s16le")
    path = tmp_path / "a.m4a"
    ffmpeg("-itsoffset", "2", "-i", wav, "-c:a", "aac", "-f", "mp4", path)
    data = bytearray(path.read_bytes())
    start = data.index(b"elst") + 4
    version, count = struct.unpack_from(">B3xI", data, start)
    assert (version, count) == (0, 2)
    struct.pack_into(">IiIIiI", data, start + 8,
                     4_000, 30 * 48_000, 0x1_0000, 5_000, 10 * 48_000, 0x1_0000)  # fmt: skip
    path.write_bytes(data)

    heard, expected = hear(bytes(data), window), ffmpeg_hears(path, window)

    assert heard.size == pytest.approx(9 * 16_000, abs=800)
    assert heard.size == pytest.approx(expected.size, abs=16)
    assert likeness(heard, expected) > 0.99


@pytest.mark.parametrize("start", [0, 2])
def test_an_edit_of_no_length_plays_on_to_the_end(
    tmp_path: Path, window: Window, start: int
) -> None:
    # The writer did not know; ExoPlayer and browsers play on, FFmpeg plays nothing.
    path = write_media(tmp_path / "a.mp4", melody(5, 48_000), 48_000, pictures=None)
    data = bytearray(path.read_bytes())
    edit = data.rindex(b"elst") + 12
    whole = hear(bytes(data), window)
    (priming,) = struct.unpack_from(">i", data, edit + 4)
    struct.pack_into(">Ii", data, edit, 0, priming + start * 48_000)

    heard = hear(bytes(data), window)

    assert heard.size == pytest.approx((5 - start) * 16_000, abs=800)
    assert likeness(heard, whole[start * 16_000 :]) > 0.99


@pytest.mark.parametrize("fault", ["truncated", "no timescale", "many"])
def test_a_broken_edit_list_costs_no_more_than_itself(
    tmp_path: Path, window: Window, fault: str
) -> None:
    path = write_media(tmp_path / "a.mp4", melody(3, 48_000), 48_000)
    data = bytearray(path.read_bytes())
    sound = data.rindex(b"elst")
    if fault == "truncated":
        data[sound - 4 : sound] = struct.pack(">I", 12)
    elif fault == "no timescale":
        data[data.index(b"mvhd") + 16 : data.index(b"mvhd") + 20] = bytes(4)
    else:
        data[sound + 8 : sound + 12] = struct.pack(">I", 2**31)

    assert hear(bytes(data), window).size == pytest.approx(3 * 16_000, rel=0.1)


@pytest.mark.parametrize("start", [-0x100_0000, -(2**31)])
def test_an_edit_that_plays_nothing_of_the_sound_is_a_failure(
    tmp_path: Path, window: Window, start: int
) -> None:
    path = write_media(tmp_path / "a.m4a", melody(2, 48_000), 48_000, "alac", muxer="ipod")
    data = bytearray(path.read_bytes())
    edit = data.rindex(b"elst") + 12
    struct.pack_into(">Ii", data, edit, 255, start)
    path.write_bytes(data)

    assert not ffmpeg_hears(path, window).size
    with pytest.raises(VideoError, match="its index lists"):
        hear(bytes(data), window)


def test_negative_times_of_flv_are_sound(tmp_path: Path, window: Window) -> None:
    path = write_media(tmp_path / "a.flv", melody(6, 44_100), 44_100, "mp3")
    data, offset = bytearray(path.read_bytes()), 13
    while offset < len(data):  # a tag: kind, length of its data, time in ms (the high byte last)
        length = int.from_bytes(data[offset + 1 : offset + 4], "big")
        time = int.from_bytes(data[offset + 7 : offset + 8] + data[offset + 4 : offset + 7], "big")
        low = struct.pack(">i", time - 4_000)
        data[offset + 4 : offset + 8] = low[1:] + low[:1]
        offset += 15 + length

    assert hear(bytes(data), window).size == pytest.approx(6 * 16_000, rel=0.02)


@pytest.mark.parametrize("wraps_at", [0.5, 3.0, 20.0])
@pytest.mark.parametrize(("muxer", "codec"), [("mpegts", "mp2"), ("mpegts", "aac"), ("vob", "ac3")])
def test_a_clock_that_wraps_loses_no_sound(
    tmp_path: Path, window: Window, muxer: str, codec: str, wraps_at: float
) -> None:
    wav = write_media(tmp_path / "a.wav", melody(6, 48_000), 48_000, "pcm_s16le")
    path = tmp_path / "a.ts"
    # The clocks of MPEG-TS and MPEG-PS have 33 bits of 90 kHz.
    offset = 2**33 / 90_000 - wraps_at - 1.4
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=6", "-i", wav, "-c:v", "mpeg2video",
           "-c:a", codec, "-output_ts_offset", f"{offset:.3f}", "-f", muxer, path)  # fmt: skip

    heard, expected = hear(path.read_bytes(), window), ffmpeg_hears(path, window)

    assert heard.size == pytest.approx(6 * 16_000, rel=0.02)
    assert likeness(heard, expected) > 0.99


def test_a_wrong_preroll_of_asf_loses_no_sound(tmp_path: Path, window: Window) -> None:
    wav = write_media(tmp_path / "a.wav", melody(6, 48_000), 48_000, "pcm_s16le")
    path = tmp_path / "a.wmv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=6", "-i", wav, "-c:v", "wmv2",
           "-c:a", "wmav2", path)  # fmt: skip
    data = bytearray(path.read_bytes())
    preroll = data.index(ASF_FILE_PROPERTIES) + 80
    (milliseconds,) = struct.unpack_from("<Q", data, preroll)
    before = hear(bytes(data), window)
    struct.pack_into("<Q", data, preroll, milliseconds + 4_000)

    assert hear(bytes(data), window).size == before.size > 5.8 * 16_000
