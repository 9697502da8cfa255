"""Whole files: the clip is what FFmpeg's command line decodes, in length, level and waveform."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tests.audio.hearing import ffmpeg_hears, level, likeness, product_hears
from tests.audio.making import CASES, CHANNELS, RATES, Container, make
from tests.audio.media import melody

pytestmark = pytest.mark.long

ANY_RATE = {"pcm_s16le", "pcm_s16be", "pcm_f32le", "flac", "alac", "wavpack", "tta", "aac"}

# FFmpeg's versions differ by what the codec needs to start, up to 32 ms (MP3 in CAF).
MAX_SECONDS_APART = 0.035


@pytest.mark.parametrize(("container", "codec"), CASES)
def test_the_clip_is_what_ffmpeg_decodes(
    tmp_path: Path, pool: DecoderPool, window: Window, container: Container, codec: str
) -> None:
    path = _file(tmp_path / "file", container, codec)

    ours, theirs = product_hears(pool, path, window), ffmpeg_hears(path, window)

    assert theirs.size
    assert ours.size == pytest.approx(theirs.size, abs=MAX_SECONDS_APART * window.sampling_rate)
    assert level(ours) == pytest.approx(level(theirs), rel=0.02)
    assert likeness(ours, theirs) > 0.9  # a delay is no whole number of samples


def _file(path: Path, container: Container, codec: str) -> Path:
    """A file of a length, rate and number of channels that chance picks, the same ones each time.

    The same sound is on each channel, so that any mix of them is right.
    """
    chance = np.random.default_rng(zlib.crc32(f"{codec} in {container.name}".encode()))
    rate = container.rate_of(codec)
    if codec in ANY_RATE and rate not in RATES.values():
        rate = int(chance.choice([22_050, 32_000, 44_100, 48_000]))
    sound = melody(chance.choice([0.2, 1.0, 3.0, 12.0]), rate)
    sound = np.repeat(sound, chance.choice(CHANNELS.get(codec, (1, 2))), axis=0)
    pictures = not container.sound_alone or bool(chance.integers(2))
    return make(path, container, sound, codec, rate=rate, pictures=pictures)
