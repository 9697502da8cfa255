"""Which audio stream is heard, where it is announced, and to its last frame."""

import contextlib
import io
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tasks.audio.clip import make_clip
from tasks.audio.container import open_container
from tasks.audio.decode import decode
from tasks.audio.proof import count_streams
from tasks.audio.window import Window
from tasks.errors import VideoError
from tests import needs
from tests.audio.hearing import ffmpeg_hears, likeness
from tests.audio.media import Planar, melody, tone, write_media

pytestmark = pytest.mark.long

PICTURES = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d={seconds}"]
TS_PACKET = 188


def ffmpeg(*arguments: str | Path) -> None:
    command = [needs.program("ffmpeg"), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def hear(data: bytes, window: Window) -> np.ndarray:
    """The clip of a file; empty where it is EMPTY."""
    return make_clip(decode(io.BytesIO(data), window).segments, window).waveform


def resampled(sound: Planar, rate: int, window: Window) -> np.ndarray:
    return make_clip([(rate, sound[0])], window).waveform


def failure(data: bytes, window: Window) -> VideoError:
    with pytest.raises(VideoError) as caught:
        decode(io.BytesIO(data), window)
    return caught.value


@pytest.mark.parametrize("audio_first", [True, False])
@pytest.mark.parametrize("seconds", [0.12, 1.0])
@pytest.mark.parametrize(
    ("suffix", "codec", "pictures"),
    [
        (".mp4", "aac", "mpeg4"),
        (".mkv", "libopus", "mpeg4"),
        (".ts", "mp2", "mpeg2video"),
        (".wmv", "wmav2", "wmv2"),
        (".avi", "mp3", "mpeg4"),
        (".nut", "aac", "mpeg4"),
    ],
)
def test_the_last_frames_are_heard_whatever_the_order_of_the_streams(
    tmp_path: Path,
    window: Window,
    suffix: str,
    codec: str,
    pictures: str,
    seconds: float,
    audio_first: bool,
) -> None:
    wav = write_media(tmp_path / "a.wav", melody(seconds, 48_000), 48_000, "pcm_s16le")
    path = tmp_path / f"a{suffix}"
    order = ["1:a", "0:v"] if audio_first else ["0:v", "1:a"]
    ffmpeg(*[part.format(seconds=seconds) for part in PICTURES], "-i", wav, "-map", order[0],
           "-map", order[1], "-c:a", codec, "-c:v", pictures, path)  # fmt: skip

    heard = hear(path.read_bytes(), window)

    assert heard.size == pytest.approx(ffmpeg_hears(path, window).size, abs=16)


def test_chapters_behind_the_sound_of_an_audio_book(tmp_path: Path, window: Window) -> None:
    wav = write_media(tmp_path / "a.wav", melody(3, 48_000), 48_000, "pcm_s16le")
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(
        ";FFMETADATA1\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=3000\ntitle=Two\n"
    )
    path = tmp_path / "a.m4b"
    ffmpeg("-i", wav, "-i", chapters, "-map_metadata", "1", "-c:a", "aac", "-f", "ipod", path)

    assert b"text" in path.read_bytes()
    assert hear(path.read_bytes(), window).size == pytest.approx(
        ffmpeg_hears(path, window).size, abs=16
    )


def two_tracks(path: Path, codec: str, pictures: str = "mpeg4") -> Path:
    """A video with a tone in the first audio stream and a melody in the second."""
    first = write_media(path.with_name("1.wav"), tone(3, 48_000), 48_000, "pcm_s16le")
    second = write_media(path.with_name("2.wav"), melody(3, 48_000), 48_000, "pcm_s16le")
    ffmpeg(*[part.format(seconds=3) for part in PICTURES], "-i", first, "-i", second,
           "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:a", codec, "-c:v", pictures,
           path)  # fmt: skip
    return path


@pytest.mark.parametrize("suffix", [".ts", ".mp4", ".mkv", ".avi"])
def test_the_first_audio_stream_is_heard(tmp_path: Path, window: Window, suffix: str) -> None:
    data = two_tracks(tmp_path / f"a{suffix}", "mp3").read_bytes()

    assert likeness(hear(data, window), resampled(tone(3, 48_000), 48_000, window)) > 0.99
    assert decode(io.BytesIO(data), window).notes is None


def without_pid(data: bytes, pid: int) -> bytes:
    """A transport stream less the packets of one PID."""
    packets = [data[start : start + TS_PACKET] for start in range(0, len(data), TS_PACKET)]
    return b"".join(p for p in packets if int.from_bytes(p[1:3], "big") & 0x1FFF != pid)


@pytest.mark.parametrize("codec", ["aac", "mp2", "ac3"])
def test_a_first_audio_stream_without_packets_leaves_the_second(
    tmp_path: Path, window: Window, codec: str
) -> None:
    data = two_tracks(tmp_path / "a.ts", codec, "mpeg2video").read_bytes()
    dead = without_pid(data, 0x101)

    decoded = decode(io.BytesIO(dead), window)

    assert len(dead) < len(data)
    heard = make_clip(decoded.segments, window).waveform
    assert likeness(heard, resampled(melody(3, 48_000), 48_000, window)) > 0.97
    assert decoded.notes is not None
    assert "the first audio stream has no sound" in decoded.notes


@pytest.mark.parametrize(
    ("suffix", "known", "unknown"),
    [(".mkv", b"A_MPEG/L3", b"A_NOBODY!"), (".mp4", b"Opus", b"xyzw"), (".mov", b"alac", b"xyzw")],
)
def test_a_first_audio_stream_without_a_decoder_leaves_the_second(
    tmp_path: Path, window: Window, suffix: str, known: bytes, unknown: bytes
) -> None:
    codec = {".mkv": "mp3", ".mp4": "libopus", ".mov": "alac"}[suffix]
    data = two_tracks(tmp_path / f"a{suffix}", codec).read_bytes()
    assert data.count(known) >= 2
    one, none = data.replace(known, unknown, 1), data.replace(known, unknown)

    if suffix == ".mov":  # the sample entry, and the box of the same name in it
        one = one.replace(known, unknown, 1)

    heard = hear(one, window)

    assert likeness(heard, resampled(melody(3, 48_000), 48_000, window)) > 0.97
    assert failure(none, window).kind in ("unsupported", "corrupt")


def test_sound_that_a_transport_stream_announces_later(tmp_path: Path, window: Window) -> None:
    silent = write_media(tmp_path / "1.ts", None, seconds=2, pictures="mpeg2video")
    video = write_media(tmp_path / "2.ts", melody(3, 48_000), 48_000, "mp2", pictures="mpeg2video")

    heard = hear(silent.read_bytes() + video.read_bytes(), window)

    assert likeness(heard, resampled(melody(3, 48_000), 48_000, window)) > 0.97


def flv_tags(data: bytes) -> list[tuple[int, bytes]]:
    """The tags of an FLV (types 8 and 9 are sound and pictures), each with its length behind it."""
    tags, offset = [], 13
    while offset < len(data):
        end = offset + 15 + int.from_bytes(data[offset + 1 : offset + 4], "big")
        tags.append((data[offset], data[offset:end]))
        offset = end
    return tags


@pytest.mark.parametrize("flag", [b"\x05", b"\x01"])
@pytest.mark.parametrize("metadata", [True, False])
def test_an_flv_whose_sound_comes_behind_its_pictures_is_not_empty(
    tmp_path: Path, window: Window, flag: bytes, metadata: bool
) -> None:
    path = write_media(tmp_path / "a.flv", melody(3, 44_100), 44_100, "mp3")
    data = path.read_bytes()
    kept = (9, 18) if metadata else (9,)
    first = [tag for kind, tag in flv_tags(data) if kind in kept]
    late = [tag for kind, tag in flv_tags(data) if kind == 8]
    flv = data[:4] + flag + data[5:13] + b"".join(first + late)

    assert hear(flv, window).size == pytest.approx(3 * 16_000, rel=0.1)


def test_an_flv_whose_sound_comes_behind_ffmpegs_probe_is_not_empty(
    tmp_path: Path, window: Window
) -> None:
    data = write_media(tmp_path / "a.flv", melody(3, 44_100), 44_100, "mp3").read_bytes()
    pictures = b"".join(tag for kind, tag in flv_tags(data) if kind == 9)
    late = b"".join(tag for kind, tag in flv_tags(data) if kind == 8)
    many = pictures * (6_000_000 // len(pictures) + 1)

    assert failure(data[:4] + b"\x01" + data[5:13] + many + late, window).kind == "corrupt"


def silent_flv_joined_to_one_with_sound(folder: Path) -> bytes:
    silent, sounding = folder / "silent.flv", folder / "sounding.flv"
    write_media(silent, None, seconds=3, pictures="flv1", muxer="flv")
    write_media(sounding, melody(3, 44_100), 44_100, "mp3", pictures="flv1")
    data = silent.read_bytes()
    many = data[13:] * (300_000 // len(data))  # beyond what FFmpeg has read when it is opened
    return data + many + sounding.read_bytes()[13:]


def test_an_flv_joined_to_one_without_sound_is_not_empty(tmp_path: Path, window: Window) -> None:
    assert failure(silent_flv_joined_to_one_with_sound(tmp_path), window).kind == "corrupt"


def test_a_stream_that_is_announced_late_is_counted(tmp_path: Path) -> None:
    # Whether PyAV raises an IndexError for it depends on memory that it never set: on chance.
    data = silent_flv_joined_to_one_with_sound(tmp_path)
    with open_container(io.BytesIO(data)) as container:
        assert count_streams(container) == 1
        with contextlib.suppress(IndexError):
            for _ in container.demux():
                pass
        assert count_streams(container) == 2


def test_a_transport_stream_with_sound_in_the_middle_is_not_empty(
    tmp_path: Path, window: Window
) -> None:
    # Sound that is neither at the start nor at the end, nor in packets that are sound by their id.
    pictures, sound = tmp_path / "pictures.ts", tmp_path / "sound.ts"
    ffmpeg("-f", "lavfi", "-i", "nullsrc=s=320x240:r=25:d=20,geq=random(1)*255:128:128",
           "-c:v", "mpeg2video", "-q:v", "9", pictures)  # fmt: skip
    ffmpeg("-f", "lavfi", "-i", "sine=d=3", "-c:a", "ac3", "-mpegts_start_pid", "0x300", sound)
    data = pictures.read_bytes()
    assert len(data) > 1_000_000

    assert failure(data + sound.read_bytes() + data, window).kind == "corrupt"


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "aac"),
        (".mp4", "ac3"),
        (".mp4", "libopus"),
        (".mp4", "flac"),
        (".mp4", "mp3"),
        (".m4a", "alac"),
        (".mov", "alac"),
    ],
)
@pytest.mark.parametrize("with_pictures", [True, False])
def test_encrypted_sound_says_so(
    tmp_path: Path, window: Window, suffix: str, codec: str, with_pictures: bool
) -> None:
    wav = write_media(tmp_path / "a.wav", melody(2, 48_000), 48_000, "pcm_s16le")
    path = tmp_path / f"a{suffix}"
    pictures = [*PICTURES, "-c:v", "mpeg4"] if with_pictures else []
    ffmpeg("-i", wav, *[part.format(seconds=2) for part in pictures], "-c:a", codec, "-strict",
           "experimental", "-f", "mp4", "-encryption_scheme", "cenc-aes-ctr",
           "-encryption_key", "01" * 16, "-encryption_kid", "02" * 16, path)  # fmt: skip

    error = failure(path.read_bytes(), window)

    assert error.kind == "encrypted"
    assert "encrypted" in error.reason


def test_sound_that_is_encrypted_from_somewhere_on_says_so(tmp_path: Path, window: Window) -> None:
    # A clear lead: two sample entries, the first one clear. Opus decodes to noise without a key.
    wav = write_media(tmp_path / "a.wav", melody(2, 48_000), 48_000, "pcm_s16le")
    path = tmp_path / "a.mp4"
    ffmpeg("-i", wav, "-c:a", "libopus", "-strict", "experimental", path)
    data = bytearray(path.read_bytes())
    entry = data.index(b"stsd") + 12
    size = int.from_bytes(data[entry : entry + 4], "big")
    assert data.index(b"moov") > data.index(b"mdat")
    encrypted = data[entry : entry + 4] + b"enca" + data[entry + 8 : entry + size]
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        start = data.index(box) - 4
        length = int.from_bytes(data[start : start + 4], "big") + size
        data[start : start + 4] = length.to_bytes(4, "big")
    data[entry - 1] = 2
    data[entry + size : entry + size] = encrypted

    assert failure(bytes(data), window).kind == "encrypted"


def test_encrypted_sound_of_matroska_says_so(tmp_path: Path, window: Window) -> None:
    # RFC 9559: ContentEncodings, written over the element Name of the same length.
    def element(number: str, content: bytes) -> bytes:
        return bytes.fromhex(number) + bytes([0x80 | len(content)]) + content

    encryption = element("47e1", b"\5") + element("47e2", b"\7" * 16)
    encoding = element("5032", b"\1") + element("5033", b"\1") + element("5035", encryption)
    encodings = element("6d80", element("6240", encoding))
    title = "A" * (len(encodings) - 3)
    wav = write_media(tmp_path / "a.wav", melody(2, 48_000), 48_000, "pcm_s16le")
    path = tmp_path / "a.mkv"
    ffmpeg("-i", wav, "-c:a", "libopus", "-metadata:s:a:0", f"title={title}", path)
    data, name = path.read_bytes(), element("536e", title.encode())
    assert name in data

    assert failure(data.replace(name, encodings), window).kind == "encrypted"
