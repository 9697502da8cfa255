"""The same sound comes out of every container, codec, rate and number of channels."""

from pathlib import Path

import librosa
import numpy as np
import pytest

from tasks.audio.clip import Clip, make_clip
from tasks.audio.decode import decode
from tasks.audio.window import Window
from tests.audio.media import Planar, melody, write_media

pytestmark = pytest.mark.long

SECONDS = 2.0

# File name, codec, its options for the muxer. 48 kHz, so that every codec takes it.
FORMATS = [
    ("aac.mp4", "aac", {}),
    ("fragmented.mp4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ("index-first.mp4", "aac", {"movflags": "faststart"}),
    ("mp3.mp4", "mp3", {}),
    ("ac3.mp4", "ac3", {}),
    ("opus.mp4", "libopus", {}),
    ("flac.mp4", "flac", {}),
    ("alac.mov", "alac", {}),
    ("pcm.mov", "pcm_s16be", {}),
    ("mu-law.mov", "pcm_mulaw", {}),
    ("aac.3gp", "aac", {}),
    ("alac.m4a", "alac", {}),
    ("aac.mkv", "aac", {}),
    ("vorbis.mkv", "vorbis", {"strict": "experimental"}),
    ("flac.mkv", "flac", {}),
    ("ac3.mkv", "ac3", {}),
    ("pcm.mkv", "pcm_s24le", {}),
    ("opus.webm", "libopus", {}),
    ("live.webm", "libopus", {"live": "1"}),
    ("aac.ts", "aac", {}),
    ("mp2.ts", "mp2", {}),
    ("ac3.ts", "ac3", {}),
    ("aac.flv", "aac", {}),
    ("mp3.avi", "mp3", {}),
    ("pcm.avi", "pcm_s16le", {}),
    ("ac3.avi", "ac3", {}),
    ("mpeg.mpg", "mp2", {}),
    ("plain.wav", "pcm_s16le", {}),
    ("plain.mp3", "mp3", {}),
    ("plain.flac", "flac", {}),
    ("plain.ogg", "libopus", {}),
    ("adts.aac", "aac", {}),
]
WIDTHS = ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_s64le", "pcm_f32le", "pcm_f64le",
          "pcm_alaw", "pcm_mulaw"]  # fmt: skip


def hear(path: Path, window: Window) -> Clip:
    with path.open("rb") as file:
        return make_clip(decode(file, window).segments, window)


def likeness(clip: Clip, sound: Planar, rate: int) -> tuple[float, float]:
    """Correlation with the source at the best delay (codecs add some), and the ratio of levels."""
    source = librosa.resample(sound.mean(axis=0), orig_sr=rate, target_sr=clip.sampling_rate)
    size = source.size + clip.samples.size
    spectra = np.fft.rfft(source, size) * np.conj(np.fft.rfft(clip.waveform, size))
    best = np.fft.irfft(spectra, size).max()
    levels = np.linalg.norm(source), np.linalg.norm(clip.waveform)
    return float(best / (levels[0] * levels[1])), float(levels[1] / levels[0])


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("name", "codec", "options"), FORMATS, ids=[name for name, *_ in FORMATS])
def test_every_container_and_codec_gives_the_sound_back(
    tmp_path: Path, window: Window, name: str, codec: str, options: dict[str, str], channels: int
) -> None:
    channels = min(channels, 2) if codec in ("mp3", "mp2") else channels  # they know no more
    channels = 2 if codec == "vorbis" else channels  # FFmpeg's encoder knows no other
    sound = np.repeat(melody(SECONDS, 48_000), channels, axis=0)
    path = write_media(tmp_path / name, sound, 48_000, codec, options=options)

    clip = hear(path, window)

    alike, level = likeness(clip, sound, 48_000)
    assert alike > 0.95
    assert level == pytest.approx(1, abs=0.1)
    assert clip.samples.size == pytest.approx(SECONDS * 16_000, abs=0.15 * 16_000)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("name", ["a.wav", "a.mkv"])
def test_every_sampling_rate_is_taken_from_the_sound_itself(
    tmp_path: Path, window: Window, name: str, rate: int
) -> None:
    sound = melody(SECONDS, rate)
    path = write_media(tmp_path / name, sound, rate, "pcm_s16le" if name == "a.wav" else "flac")

    clip = hear(path, window)

    alike, level = likeness(clip, sound, rate)
    assert alike > 0.99
    assert level == pytest.approx(1, abs=0.02)
    assert clip.samples.size == pytest.approx(SECONDS * 16_000, abs=2)


@pytest.mark.parametrize("codec", WIDTHS)
def test_integers_of_every_width_are_scaled_to_one(
    tmp_path: Path, window: Window, codec: str
) -> None:
    sound = melody(SECONDS, 16_000, level=0.5)
    path = write_media(tmp_path / "a.wav", sound, 16_000, codec)

    waveform = hear(path, window).waveform

    assert np.abs(waveform - sound[0]).max() < 0.02


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_the_same_sound_has_the_same_level_whatever_the_channels(
    tmp_path: Path, window: Window, channels: int
) -> None:
    sound = np.repeat(melody(SECONDS, 16_000, level=0.8), channels, axis=0)
    path = write_media(tmp_path / "a.wav", sound, 16_000, "pcm_s16le")

    assert hear(path, window).peak == pytest.approx(0.8, abs=0.001)
