"""What a page plays is what the model heard, and the picture shows it."""

import io

import av
import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from flows.show.sound import BITS_PER_SECOND, MEL_BINS, encode, spectrogram
from tasks.audio.clip import Clip, make_clip
from tasks.audio.window import Window


def clip_of(sound: NDArray[np.float64], rate: int = 16_000) -> Clip:
    return make_clip([(rate, sound.astype(np.float32))], Window(rate, len(sound)))


def tone(hertz: float, seconds: float, rate: int = 16_000) -> NDArray[np.float64]:
    sound: NDArray[np.float64] = 0.3 * np.sin(
        2 * np.pi * hertz / rate * np.arange(int(seconds * rate))
    )
    return sound


def decoded(opus: bytes) -> NDArray[np.float32]:
    """The sound of a file at 48 kHz, as FFmpeg decodes it."""
    with av.open(io.BytesIO(opus), "r") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(frames)


def image(png: bytes) -> NDArray[np.uint8]:
    """The picture as FFmpeg decodes it, shape (rows, columns, red green blue)."""
    with av.open(io.BytesIO(png), "r") as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return picture.astype(np.uint8)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_the_sound_is_that_of_the_clip(rate: int) -> None:
    """Sweeps and bursts, in time: what is shifted by 2 ms would not be alike."""
    seconds = np.arange(3 * rate) / rate
    sweep = np.sin(2 * np.pi * (200 + 300 * seconds) * seconds) * (np.sin(9 * seconds) > 0)
    clip = clip_of(0.4 * sweep, rate)
    heard = decoded(encode(clip))
    expected = soxr.resample(clip.waveform, rate, 48_000)
    assert len(heard) == pytest.approx(len(expected), abs=100)
    shorter = min(len(heard), len(expected))
    assert np.corrcoef(heard[:shorter], expected[:shorter])[0, 1] > 0.98


def test_ten_seconds_are_about_thirty_kilobytes() -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, 163_840)
    assert len(encode(clip_of(noise))) == pytest.approx(BITS_PER_SECOND / 8 * 10.24, rel=0.25)


def test_the_shortest_and_the_loudest_clip() -> None:
    assert len(decoded(encode(clip_of(tone(440, 0.025))))) == pytest.approx(1_200, abs=100)
    loud = 8 * tone(440, 1)
    assert np.abs(decoded(encode(clip_of(loud)))).max() < 1.5


@pytest.mark.long  # to import librosa takes seconds
def test_a_tone_is_a_line_at_its_height() -> None:
    rows = [image(spectrogram(clip_of(tone(hertz, 2)))).sum(-1).mean(1) for hertz in (300, 3_000)]
    low, high = [int(row.argmax()) for row in rows]
    assert all(len(row) == MEL_BINS for row in rows)
    assert low > high + MEL_BINS // 3  # rows are counted from the top


@pytest.mark.long  # to import librosa takes seconds
def test_time_runs_to_the_right() -> None:
    late = np.concatenate([np.zeros(16_000), tone(1_000, 1)])
    columns = image(spectrogram(clip_of(late))).sum(-1).mean(0)
    assert len(columns) == pytest.approx(50, abs=2)
    assert columns[30:].mean() > 5 * columns[:20].mean()


@pytest.mark.long  # to import librosa takes seconds
def test_silence_is_dark() -> None:
    assert image(spectrogram(clip_of(np.zeros(16_000)))).max() < 10
