"""Damaged files: what can be heard is heard, and what is lost is never taken for silence."""

import io
import time
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.audio.clip import make_clip
from tasks.audio.decode import Decoded, decode
from tasks.audio.window import Window
from tasks.errors import VideoError
from tests.audio.media import Planar, melody, tone, write_media

pytestmark = pytest.mark.long

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
INDEX_FIRST = {"movflags": "faststart"}
CONTAINERS = [
    ("index-first.mp4", "aac", INDEX_FIRST),
    ("fragmented.mp4", "aac", FRAGMENTED),
    ("a.mkv", "aac", {}),
    ("a.webm", "libopus", {}),
    ("live.webm", "libopus", {"live": "1"}),
    ("a.ts", "aac", {}),
    ("a.flv", "aac", {}),
    ("a.avi", "mp3", {}),
]
every_container = pytest.mark.parametrize(
    ("name", "codec", "options"), CONTAINERS, ids=[name for name, *_ in CONTAINERS]
)


def hear(data: bytes, window: Window) -> Decoded:
    return decode(io.BytesIO(data), window)


def seconds(decoded: Decoded) -> float:
    return sum(waveform.size / rate for rate, waveform in decoded.segments)


def kind_of_failure(data: bytes, window: Window) -> str:
    with pytest.raises(VideoError) as failure:
        hear(data, window)
    assert failure.value.reason
    return failure.value.kind


@every_container
def test_a_hole_in_the_middle_costs_only_itself(
    tmp_path: Path, window: Window, name: str, codec: str, options: dict[str, str]
) -> None:
    path = write_media(tmp_path / name, melody(4, 48_000), 48_000, codec, options=options)
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat", len(data) // 2) + 100 if name[0] == "f" else len(data) // 2
    data[middle : middle + 1_000] = bytes(1_000)

    assert seconds(hear(bytes(data), window)) > 3.5


def test_corrupt_packets_are_counted_and_noted(tmp_path: Path, window: Window) -> None:
    path = write_media(tmp_path / "a.mp4", melody(4, 48_000), 48_000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3_000] = bytes(3_000)

    decoded = hear(bytes(data), window)

    assert decoded.corrupt_packets > 0
    assert decoded.notes is not None
    assert f"{decoded.corrupt_packets} corrupt packets" in decoded.notes


@every_container
@pytest.mark.parametrize("share", [0.6, 0.2])
def test_a_file_that_is_cut_off_is_heard_up_to_there(
    tmp_path: Path, window: Window, name: str, codec: str, options: dict[str, str], share: float
) -> None:
    data = write_media(
        tmp_path / name, melody(5, 48_000), 48_000, codec, options=options
    ).read_bytes()

    decoded = hear(data[: int(share * len(data))], window)

    assert seconds(decoded) == pytest.approx(share * 5, abs=0.5)
    if not name.startswith(("fragmented", "live", "a.ts")):  # these promise no more than they have
        assert decoded.notes is not None
        assert "cut off after" in decoded.notes


@every_container
@pytest.mark.parametrize("share", [0.01, 0.003])
def test_a_file_that_is_cut_off_before_its_sound_is_an_error(
    tmp_path: Path, window: Window, name: str, codec: str, options: dict[str, str], share: float
) -> None:
    data = write_media(
        tmp_path / name, melody(5, 48_000), 48_000, codec, options=options
    ).read_bytes()

    assert kind_of_failure(data[: int(share * len(data))], window) == "corrupt"


@every_container
def test_a_file_that_is_cut_off_before_its_late_sound_is_an_error(
    tmp_path: Path, window: Window, name: str, codec: str, options: dict[str, str]
) -> None:
    path = write_media(
        tmp_path / name, melody(1, 48_000), 48_000, codec, options=options, sound_starts=6
    )
    data = path.read_bytes()

    assert seconds(hear(data, window)) == pytest.approx(1, abs=0.1)
    assert kind_of_failure(data[: len(data) // 2], window) == "corrupt"


def test_an_index_that_is_cut_off_is_an_error(tmp_path: Path, window: Window) -> None:
    data = write_media(tmp_path / "a.mp4", melody(2, 48_000), 48_000).read_bytes()

    assert kind_of_failure(data[: data.index(b"moov") + 10], window) == "corrupt"


@pytest.mark.parametrize("size", [20, 100, 500])
def test_a_sound_file_that_is_cut_off_before_its_sound_is_an_error(
    tmp_path: Path, window: Window, size: int
) -> None:
    data = write_media(tmp_path / "a.wav", tone(1, 16_000), 16_000, "pcm_s16le").read_bytes()

    assert kind_of_failure(data[:size], window) == "corrupt"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.ts", "a.flv", "a.avi"])
def test_no_audio_stream_is_no_sound(tmp_path: Path, window: Window, name: str) -> None:
    path = write_media(tmp_path / name, None, seconds=1)

    assert hear(path.read_bytes(), window) == Decoded([])


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_an_audio_stream_without_sound_in_a_whole_file_is_no_sound(
    tmp_path: Path, window: Window, name: str
) -> None:
    path = write_media(tmp_path / name, tone(0, 48_000), 48_000, "mp3", seconds=2)
    data = path.read_bytes()

    assert hear(data, window) == Decoded([])
    assert kind_of_failure(data[: len(data) // 2], window) == "corrupt"


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mp4", "aac"), ("a.webm", "libopus")],
)
def test_less_than_a_frame_of_sound_is_no_sound(
    tmp_path: Path, window: Window, name: str, codec: str
) -> None:
    path = write_media(tmp_path / name, tone(0.01, 48_000), 48_000, codec)

    assert hear(path.read_bytes(), window).segments == []


def test_a_header_that_says_there_is_no_sound_is_believed(tmp_path: Path, window: Window) -> None:
    data = write_media(tmp_path / "a.wav", tone(1, 16_000), 16_000, "pcm_s16le").read_bytes()
    header = data[: data.index(b"data") + 8]
    empty = b"RIFF" + (len(header) - 8).to_bytes(4, "little") + header[8:-4] + bytes(4)

    assert hear(empty, window) == Decoded([])
    assert kind_of_failure(header, window) == "corrupt"


def test_the_format_may_change_in_mid_stream(tmp_path: Path, window: Window) -> None:
    stereo = np.repeat(tone(1, 48_000, 500), 2, axis=0)
    parts = [
        write_media(tmp_path / "1.aac", tone(1, 44_100, 500), 44_100).read_bytes(),
        write_media(tmp_path / "2.aac", stereo, 48_000).read_bytes(),
    ]

    segments = hear(b"".join(parts), window).segments

    assert [rate for rate, _ in segments] == [44_100, 48_000]
    for rate, waveform in segments:
        middle = waveform[rate // 4 : rate // 4 + rate // 2]
        assert np.abs(np.fft.rfft(middle)).argmax() * 2 == pytest.approx(500, abs=2)
        assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)


def test_decoding_stops_when_the_window_is_full(tmp_path: Path, window: Window) -> None:
    path = write_media(tmp_path / "a.mkv", tone(60, 16_000), 16_000, "pcm_s16le", pictures=None)

    class Counted(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

    file = Counted(path.read_bytes())
    decoded = decode(file, window)

    assert window.seconds < seconds(decoded) < window.seconds + 0.2
    assert file.count < 0.3 * path.stat().st_size


def test_latin_1_metadata_is_no_error(tmp_path: Path, window: Window) -> None:
    path = write_media(tmp_path / "a.mp4", tone(1, 48_000), 48_000, metadata={"title": "Cafe noir"})
    data = path.read_bytes().replace(b"Cafe noir", b"Caf\xe9 noir")

    assert b"\xe9" in data
    assert seconds(hear(data, window)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("rate", [4_000_000, 2**31 - 1])
def test_an_absurd_sampling_rate_is_refused(tmp_path: Path, window: Window, rate: int) -> None:
    data = write_media(tmp_path / "a.wav", tone(1, 16_000), 16_000, "pcm_s16le").read_bytes()
    lying = data[:24] + rate.to_bytes(4, "little") + data[28:]

    assert kind_of_failure(lying, window) == "corrupt"


def test_hundreds_of_channels_are_mixed(window: Window) -> None:
    channels = 500
    head = (1).to_bytes(2, "little") + channels.to_bytes(2, "little")
    head += (16_000).to_bytes(4, "little") + (32_000 * channels).to_bytes(4, "little")
    head += (2 * channels).to_bytes(2, "little") + (16).to_bytes(2, "little")
    sound = np.full((8_000, channels), 1_000, "<i2").tobytes()
    chunks = b"WAVEfmt \x10\0\0\0" + head + b"data" + len(sound).to_bytes(4, "little") + sound

    decoded = hear(b"RIFF" + len(chunks).to_bytes(4, "little") + chunks, window)

    assert seconds(decoded) == pytest.approx(0.5)
    assert decoded.segments[0][1] == pytest.approx(1_000 / 2**15)


def flac_of(rate: int, sound: Planar) -> bytes:
    """A FLAC whose header and frames claim another rate than that of its encoder."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", "flac") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound, "flt", "mono")
        frame.rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("rate", [1, 10, 999])
def test_a_rate_that_nobody_uses_is_refused_before_any_resampling(
    window: Window, rate: int
) -> None:
    began = time.process_time()

    assert kind_of_failure(flac_of(rate, np.full((1, 4_096), 0.5, np.float32)), window) == "corrupt"

    assert time.process_time() - began < 5


@pytest.mark.parametrize("rate", [4_000, 6_000, 8_000, 352_800, 384_000])
def test_the_rates_of_telephones_and_studios_are_heard(window: Window, rate: int) -> None:
    assert seconds(hear(flac_of(rate, tone(1, rate)), window)) == pytest.approx(1)


ENORMOUS = [np.nan, np.inf, -np.inf, 1e38, -3e38, 1e30]


@pytest.mark.parametrize("value", ENORMOUS)
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", "pcm_f32le"),
        ("a.wav", "pcm_f64le"),
        ("a.mkv", "pcm_f32le"),
        ("a.mov", "pcm_f32le"),
    ],
)
def test_samples_that_are_no_levels_are_silenced_or_corrupt(
    tmp_path: Path, window: Window, name: str, codec: str, value: float
) -> None:
    sound = tone(1, 16_000)
    sound[:, 5_000:6_000:7] = value
    some = write_media(tmp_path / name, sound, 16_000, codec, pictures=None).read_bytes()
    sound[:] = value
    all_of_them = write_media(tmp_path / name, sound, 16_000, codec, pictures=None).read_bytes()

    clip = make_clip(hear(some, window).segments, window)

    assert clip.peak == pytest.approx(0.5, abs=0.01)
    assert kind_of_failure(all_of_them, window) == "corrupt"


@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_f64le"])
@pytest.mark.parametrize("level", [1.41, 2.8, 30.0, 32_768.0])
def test_float_sound_above_full_scale_is_not_clipped(
    tmp_path: Path, window: Window, codec: str, level: float
) -> None:
    path = write_media(tmp_path / "a.wav", tone(1, 16_000, level=level), 16_000, codec)

    waveform = make_clip(hear(path.read_bytes(), window).segments, window).waveform

    assert waveform == pytest.approx(tone(1, 16_000, level=level)[0], abs=level / 10_000)


@pytest.mark.parametrize("channels", [9, 24, 30, 64])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_the_last_of_many_channels_is_heard(
    tmp_path: Path, window: Window, channels: int, codec: str
) -> None:
    sound = np.zeros((channels, 16_000), np.float32)
    sound[-1] = melody(1, 16_000)[0]
    layout = f"{channels} channels"
    path = write_media(tmp_path / "a.wav", sound, 16_000, codec, layout=layout)

    ((_, heard),) = hear(path.read_bytes(), window).segments

    assert heard == pytest.approx(sound[-1], abs=1e-4)
