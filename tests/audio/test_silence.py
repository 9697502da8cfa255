"""EMPTY needs proof: what may have had sound is a failure, whole files without sound are not."""

import io
import re
import struct
import subprocess
from pathlib import Path

import pytest

from tasks.audio.decode import Decoded, decode
from tasks.audio.window import Window
from tasks.errors import VideoError
from tests import needs
from tests.audio.media import melody, write_media

pytestmark = pytest.mark.long

INDEX_FIRST = {"movflags": "faststart"}


def is_empty(data: bytes, window: Window) -> bool:
    """Whether a file is taken for one without sound; a failure is none."""
    try:
        return not decode(io.BytesIO(data), window).segments
    except VideoError:
        return False


def failure(data: bytes, window: Window) -> VideoError:
    with pytest.raises(VideoError) as caught:
        decode(io.BytesIO(data), window)
    return caught.value


def video(
    path: Path,
    codec: str = "aac",
    pictures: str | None = "",
    options: dict[str, str] | None = None,
) -> bytes:
    """Three seconds of a melody, with pictures unless told otherwise."""
    rate = 44_100 if path.suffix == ".flv" else 48_000
    codec_options = {"b": "64000"}
    sound = melody(3, rate)
    return write_media(
        path, sound, rate, codec, pictures=pictures, options=options, codec_options=codec_options
    ).read_bytes()


VIDEOS = [
    ("a.mp4", "aac", "mpeg4"),
    ("a.mov", "pcm_s16le", "mjpeg"),
    ("a.mkv", "libopus", "mpeg4"),
    ("a.avi", "mp3", "mpeg4"),
    ("a.avi", "pcm_s16le", "mjpeg"),
    ("a.flv", "mp3", "flv1"),
    ("a.ts", "mp2", "mpeg2video"),
    ("a.mpg", "mp2", "mpeg1video"),
    ("a.wmv", "wmav2", "wmv2"),
    ("a.nut", "mp3", "mpeg4"),
    ("a.ogv", "libopus", "libvpx"),
]


@pytest.mark.parametrize(("name", "codec", "pictures"), VIDEOS)
@pytest.mark.parametrize("zeroed", [64, 512, 4_096, 20_000])
def test_a_damaged_head_is_not_silence(
    tmp_path: Path, window: Window, name: str, codec: str, pictures: str, zeroed: int
) -> None:
    data = video(tmp_path / name, codec, pictures=pictures)

    assert not is_empty(bytes(zeroed) + data[zeroed:], window)


def test_a_raw_picture_stream_is_no_proof(tmp_path: Path, window: Window) -> None:
    path = tmp_path / "a.m4v"
    write_media(path, None, seconds=2, pictures="mpeg4", muxer="m4v")

    assert failure(path.read_bytes(), window).kind == "corrupt"


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
@pytest.mark.parametrize("pictures", ["mpeg4", None])
def test_no_damaged_name_in_an_index_is_silence(
    tmp_path: Path, window: Window, name: str, pictures: str | None
) -> None:
    data = video(tmp_path / name, pictures=pictures)
    names = [b"trak", b"tkhd", b"mdia", b"mdhd", b"hdlr", b"soun", b"minf", b"smhd", b"stbl",
             b"stsd", b"mp4a", b"stts", b"stsc", b"stsz", b"stco", b"moov", b"mvhd"]  # fmt: skip
    found = [match.start() for box in names for match in re.finditer(box, data)]

    assert len(found) >= len(names)
    for offset in found:
        damaged = data[:offset] + b"q" + data[offset + 1 :]
        assert not is_empty(damaged, window), (data[offset : offset + 4], offset)


@pytest.mark.parametrize(
    ("name", "codec", "mark"), [("a.avi", "mp3", b"auds"), ("a.mkv", "aac", b"A_AAC")]
)
def test_no_damaged_name_of_a_stream_is_silence(
    tmp_path: Path, window: Window, name: str, codec: str, mark: bytes
) -> None:
    data = video(tmp_path / name, codec)
    assert mark in data

    for offset in range(len(mark)):
        damaged = data.replace(mark, mark[:offset] + b"\x91" + mark[offset + 1 :])
        assert not is_empty(damaged, window)


def test_no_damaged_bit_of_a_matroska_track_is_silence(tmp_path: Path, window: Window) -> None:
    data = video(tmp_path / "a.mkv")
    start, end = data.index(b"\x16\x54\xae\x6b"), data.index(b"\x1f\x43\xb6\x75")  # Tracks, Cluster

    for offset in range(start, end):
        damaged = bytearray(data)
        damaged[offset] ^= 1 << offset % 8
        assert not is_empty(bytes(damaged), window), offset - start


@pytest.mark.parametrize("pictures", ["mpeg4", None])
def test_an_mp4_that_ends_after_its_index_is_a_failure(
    tmp_path: Path, window: Window, pictures: str | None
) -> None:
    data = video(tmp_path / "a.mp4", options=INDEX_FIRST, pictures=pictures)
    media = data.index(b"mdat") - 4

    for size in (media, media + 8, media + 16):
        assert failure(data[:size], window).kind == "corrupt"


def test_an_mp4_that_is_cut_off_behind_its_picture_track_is_a_failure(
    tmp_path: Path, window: Window
) -> None:
    data = video(tmp_path / "a.mp4")
    picture_track = data.index(b"trak")
    sound_track = data.index(b"trak", picture_track + 4)

    for size in range(sound_track - 8, len(data), 37):
        assert not is_empty(data[:size], window), size


@pytest.mark.parametrize("first", [b"uuid", b"meta", b"emsg", b"PICT", b"what"])
def test_an_mp4_that_begins_with_any_box_is_not_silence_where_it_is_cut(
    tmp_path: Path, window: Window, first: bytes
) -> None:
    boxes = struct.pack(">I4s32xI4s", 40, first, 2_000_008, b"free") + bytes(2_000_000)
    data = boxes + video(tmp_path / "a.mp4")
    sound_track = data.index(b"trak", data.index(b"trak") + 4)

    for size in (sound_track - 4, sound_track + 60, sound_track + 100):
        assert failure(data[:size], window).kind == "corrupt"


@pytest.mark.parametrize(
    ("name", "muxer", "codec"),
    [
        ("a.gif", "gif", "gif"),
        ("a.ivf", "ivf", "libvpx"),
        ("a.ogv", "ogv", "libvpx"),
        ("a.wmv", "asf", "wmv2"),
        ("a.mpg", "mpeg", "mpeg1video"),
        ("fragmented.mp4", "mp4", "mpeg4"),
        ("live.mkv", "matroska", "mpeg4"),
    ],
)
def test_whole_videos_without_an_audio_stream_are_empty(
    tmp_path: Path, window: Window, name: str, muxer: str, codec: str
) -> None:
    options = {
        "fragmented.mp4": {"movflags": "frag_keyframe+empty_moov"},
        "live.mkv": {"live": "1"},
    }
    path = write_media(
        tmp_path / name, None, seconds=1, pictures=codec, muxer=muxer, options=options.get(name)
    )

    assert decode(path.open("rb") if False else io.BytesIO(path.read_bytes()), window) == Decoded(
        []
    )


APPENDED = [
    b"TAG" + b"Title".ljust(125, b"\0"),  # ID3v1
    b"\xff\xd8\xff\xe0" + bytes(5_000) + b"\xff\xd9",  # a picture
    bytes(10_000),
    b"<?xml version='1.0'?><x:xmpmeta/>" * 100,
]


@pytest.mark.parametrize("appended", APPENDED, ids=["id3v1", "jpeg", "zeros", "xmp"])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "aac", {}),
        ("index-first.mp4", "aac", INDEX_FIRST),
        ("a.mkv", "libopus", {}),
        ("a.avi", "mp3", {}),
        ("a.wav", "pcm_s16le", {}),
        ("a.flac", "flac", {}),
        ("a.mp3", "mp3", {}),
        ("a.flv", "mp3", {}),
    ],
)
def test_what_is_appended_to_a_whole_file_is_not_a_cut(
    tmp_path: Path, window: Window, name: str, codec: str, options: dict[str, str], appended: bytes
) -> None:
    data = video(tmp_path / name, codec, options=options)

    decoded = decode(io.BytesIO(data + appended), window)

    assert "cut off" not in (decoded.notes or "")
    assert sum(sound.size / rate for rate, sound in decoded.segments) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("codec", ["flac", "mp3", "ac3"])
def test_a_few_frames_amid_corrupt_packets_are_no_sound(
    tmp_path: Path, window: Window, codec: str
) -> None:
    data = bytearray(video(tmp_path / "a.mkv", codec, pictures=None))
    start = data.index(b"\x1f\x43\xb6\x75") + 3_000
    for match in re.finditer(rb"\xa3.{2,3}\x81", data[start:], re.DOTALL):  # SimpleBlock, track 1
        frame = start + match.end() + 3
        data[frame : frame + 30] = b"\xf5" * 30

    error = failure(bytes(data), window)

    assert error.kind == "corrupt"


def test_a_tag_larger_than_ffmpegs_probe_is_sound_or_a_failure(
    tmp_path: Path, window: Window
) -> None:
    data = video(tmp_path / "a.flac", "flac")
    size = 1_500_000
    synchsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    tagged = b"ID3\x04\0\0" + synchsafe + bytes(size) + data

    try:
        decoded = decode(io.BytesIO(tagged), window)
    except VideoError:
        return
    assert sum(sound.size / rate for rate, sound in decoded.segments) == pytest.approx(3, abs=0.1)


def test_less_than_a_second_of_sound_beside_a_long_video_is_heard(
    tmp_path: Path, window: Window
) -> None:
    wav = write_media(tmp_path / "a.wav", melody(0.5, 48_000), 48_000, "pcm_s16le")
    path = tmp_path / "a.mp4"
    command = [needs.program("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x64:d=20"]
    subprocess.run([*command, "-i", wav, "-c:v", "mpeg4", "-c:a", "aac", path], check=True)

    decoded = decode(io.BytesIO(path.read_bytes()), window)

    assert decoded.notes is None
    assert sum(sound.size / rate for rate, sound in decoded.segments) == pytest.approx(0.5, abs=0.1)
