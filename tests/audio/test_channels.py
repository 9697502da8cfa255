"""Every number of channels, in every codec that can be encoded, gives the same sound."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tests.audio.hearing import level, likeness, product_hears
from tests.audio.making import CONTAINERS, make
from tests.audio.media import Planar, melody

pytestmark = pytest.mark.long

SECONDS = 1.1  # a frame of TTA is 1.04 s

# What each codec can encode. Those that know one or two channels only are in test_differential.
COUNTS: dict[str, Sequence[int]] = {
    "aac": range(1, 9),
    "ac3": range(1, 7),
    "alac": range(1, 9),
    "dca": (1, 2, 5, 6),
    "eac3": range(1, 7),
    "flac": range(1, 9),
    "libopus": range(1, 9),
    "libvorbis": range(1, 33),
    "mlp": range(1, 7),
    "pcm_bluray": (1, 2, 3, 4, 5, 6, 8),
    "pcm_dvd": (1, 2, 6, 8),
    "s302m": (2, 4, 6, 8),
    "truehd": (2,),  # of more, FFmpeg 8 decodes nothing that FFmpeg 5 encodes
    "tta": range(1, 17),
    "wavpack": range(1, 33),
} | dict.fromkeys(
    ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw"),
    range(1, 33),
)
QUICK = {1, 2, 6, 8, 9, 32}

# Where a codec knows another layout of as many channels than FFmpeg's first one.
LAYOUTS = {
    ("alac", 3): "3.0",
    ("alac", 7): "6.1(back)",
    ("alac", 8): "7.1(wide)",
    ("libopus", 3): "3C",
    ("libopus", 4): "4C",
    ("pcm_bluray", 3): "3.0",
    ("pcm_bluray", 5): "5.0(side)",
    ("pcm_bluray", 6): "5.1(side)",
    ("pcm_dvd", 6): "5.1(side)",
}
WITHOUT_A_LAYOUT = {9, 11, 13, 15, *range(17, 24), *range(25, 33)}

# The last one wins: WAV and Matroska take any number of channels.
CONTAINER_OF = {
    codec: container
    for container in sorted(CONTAINERS, key=lambda found: found.name in ("mkv", "wav"))
    for codec in container.codecs
}

CASES = [
    pytest.param(codec, count, marks=[] if count in QUICK else pytest.mark.slow)
    for codec, counts in COUNTS.items()
    for count in counts
]


@pytest.mark.parametrize(("codec", "count"), CASES)
def test_every_number_of_channels_gives_the_same_sound(
    tmp_path: Path, pool: DecoderPool, window: Window, codec: str, count: int
) -> None:
    sound = melody(SECONDS, 48_000, level=0.4)
    path = _file(tmp_path / "file", codec, np.repeat(sound, count, axis=0))

    heard, right = product_hears(pool, path, window), melody(SECONDS, 16_000, level=0.4)[0]

    assert likeness(heard, right) > 0.9
    assert level(heard) == pytest.approx(level(right), rel=0.1)


@pytest.mark.parametrize("count", range(1, 33))
def test_what_is_on_the_last_channel_alone_is_heard(
    tmp_path: Path, pool: DecoderPool, window: Window, count: int
) -> None:
    sound = np.zeros((count, round(SECONDS * 48_000)), np.float32)
    sound[-1] = melody(SECONDS, 48_000)
    path = _file(tmp_path / "file", "pcm_s16le", sound)

    heard = product_hears(pool, path, window)

    assert likeness(heard, melody(SECONDS, 16_000)[0]) > 0.9


def _file(path: Path, codec: str, sound: Planar) -> Path:
    count = len(sound)
    number = f"{count}C" if count in WITHOUT_A_LAYOUT else f"{count}c"
    return make(path, CONTAINER_OF[codec], sound, codec, layout=LAYOUTS.get((codec, count), number))
