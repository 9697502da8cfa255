"""The clip: resampled, cut, quantised, and the same after it was stored."""

from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.audio.clip import Clip, Window, make_clip
from tasks.audio.decode import decode
from tests.audio.media import melody, tone, write_media

WINDOW = Window(16_000, 164_080)


def test_a_clip_is_cut_to_the_window() -> None:
    clip = make_clip([(44_100, tone(12, 44_100)[0])], WINDOW)

    assert clip.samples.shape == (164_080,)
    assert clip.sampling_rate == 16_000


def test_resampling_keeps_the_tone_and_its_level() -> None:
    waveform = make_clip([(44_100, tone(1, 44_100, 1_000, level=0.25)[0])], WINDOW).waveform

    spectrum = np.abs(np.fft.rfft(waveform[:16_000]))
    assert int(spectrum.argmax()) == 1_000
    assert np.abs(waveform).max() == pytest.approx(0.25, abs=0.005)


@pytest.mark.long
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_resampling_is_librosas(rate: int) -> None:
    sound = melody(2, rate)[0]
    expected = librosa.resample(sound, orig_sr=rate, target_sr=16_000)

    waveform = make_clip([(rate, sound)], WINDOW).waveform

    assert waveform == pytest.approx(expected, abs=1.6e-5)  # half a step of 16 bits


def test_sound_above_full_scale_is_not_clipped() -> None:
    sound = tone(1, 16_000, level=2.8)[0]

    clip = make_clip([(16_000, sound)], WINDOW)

    assert clip.peak == pytest.approx(2.8, abs=0.01)
    assert clip.waveform == pytest.approx(sound, abs=5e-5)


@pytest.mark.parametrize("peak", [float("nan"), float("inf"), -1.0])
def test_a_stored_clip_that_is_not_finite_is_damaged(peak: float) -> None:
    data = Clip(np.ones(400, np.int16), peak, 16_000).to_bytes()

    with pytest.raises(ValueError, match="not a level"):
        Clip.from_bytes(data)


def test_segments_of_different_rates_are_joined() -> None:
    clip = make_clip([(8_000, tone(1, 8_000)[0]), (48_000, tone(1, 48_000)[0])], WINDOW)

    assert clip.samples.size == 32_000
    assert np.abs(clip.waveform[24_000:]).max() == pytest.approx(0.5, abs=0.01)


def test_quiet_sound_keeps_its_precision() -> None:
    sound = melody(1, 16_000, level=0.001)[0]

    assert np.abs(make_clip([(16_000, sound)], WINDOW).waveform - sound).max() < 1e-7


@pytest.mark.parametrize("channels", [1, 2])
def test_damaged_samples_are_silenced(tmp_path: Path, channels: int) -> None:
    sound = np.full((channels, 16_000), 0.5, np.float32)
    sound[:, :4] = [np.nan, np.inf, -np.inf, 1e38]
    path = write_media(tmp_path / "a.wav", sound, 16_000, "pcm_f32le")

    with path.open("rb") as file:
        waveform = make_clip(decode(file, WINDOW).segments, WINDOW).waveform

    assert waveform[:4] == pytest.approx([0, 0, 0, 0])
    assert waveform[4:] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (399, 0), (400, 400)])
def test_less_than_one_frame_of_25_ms_is_no_sound(count: int, kept: int) -> None:
    assert make_clip([(16_000, np.ones(count, np.float32))], WINDOW).samples.size == kept


def test_silence_is_sound() -> None:
    clip = make_clip([(16_000, np.zeros(16_000, np.float32))], WINDOW)

    assert not clip.is_empty
    assert clip.peak == 0
    assert not clip.waveform.any()


@pytest.mark.parametrize("level", [1e-29, 1e-31, 1e-36, 1e-45])
def test_the_quietest_sound_overflows_nothing(level: float) -> None:
    clip = make_clip([(16_000, np.full(16_000, level, np.float32))], WINDOW)

    assert np.isclose(clip.waveform, level, atol=1e-30).all()


@settings(deadline=None)
@given(arrays(np.float32, st.integers(0, 2_000), elements=st.floats(-1, 1, width=32)))
def test_a_stored_clip_comes_back_the_same(sound: np.ndarray) -> None:
    clip = make_clip([(16_000, sound)], WINDOW)

    again = Clip.from_bytes(clip.to_bytes())

    assert (again.peak, again.sampling_rate) == (clip.peak, clip.sampling_rate)
    assert np.array_equal(again.waveform, clip.waveform)
    assert again.waveform.dtype == np.float32


def test_a_stored_clip_of_another_kind_is_noticed() -> None:
    data = make_clip([(16_000, tone(0.03, 16_000)[0])], WINDOW).to_bytes()

    with pytest.raises(ValueError, match="clip is damaged"):
        Clip.from_bytes(b"CLP1" + data[4:])


@pytest.mark.parametrize("size", [0, 3, 20, -1])
def test_a_stored_clip_that_is_cut_short_is_noticed(size: int) -> None:
    data = make_clip([(16_000, tone(1, 16_000)[0])], WINDOW).to_bytes()

    with pytest.raises(ValueError, match=r"clip is (damaged|cut short)"):
        Clip.from_bytes(data[:size])


@pytest.mark.parametrize("settings", [(0, 10), (16_000, 0), (16_000, 10, "left")])
def test_an_impossible_window_is_refused(settings: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no such window"):
        Window(*settings)
