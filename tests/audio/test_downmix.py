"""Nothing that can be heard is lost on the way to mono."""

from pathlib import Path

import numpy as np
import pytest

from tasks.audio.decode import decode
from tasks.audio.downmix import downmix, weights
from tasks.audio.window import Window
from tests.audio.media import Planar, melody, write_media

SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR")
LEFT, RIGHT, CENTRE = 0, 1, 2


def place(sound: Planar, channel: int, channels: int) -> Planar:
    """``sound`` in one channel, silence in the others."""
    return np.eye(channels, dtype=np.float32)[:, [channel]] @ sound


def hear(path: Path, sound: Planar, window: Window) -> np.ndarray:
    write_media(path, sound, 16_000, "pcm_f32le")
    with path.open("rb") as file:
        ((rate, waveform),) = decode(file, window).segments
    assert rate == 16_000
    return waveform


def test_the_weights_are_those_of_bs_775() -> None:
    ratios = weights(SURROUND) / weights(SURROUND)[LEFT]

    assert ratios == pytest.approx([1, 1, 2**0.5, 0, 0.5**0.5, 0.5**0.5])
    assert weights(SURROUND).sum() == pytest.approx(1)


def test_a_layout_that_tells_nothing_weighs_all_alike() -> None:
    assert weights(("LFE",)) == pytest.approx([1])
    assert weights(("NONE",) * 4) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("channel", [LEFT, RIGHT])
def test_a_sound_on_one_side_is_heard(tmp_path: Path, window: Window, channel: int) -> None:
    sound = melody(1, 16_000)

    heard = hear(tmp_path / "a.wav", place(sound, channel, 2), window)

    assert heard == pytest.approx(sound[0] / 2, abs=1e-6)


def test_speech_in_the_centre_of_5_1_is_heard(tmp_path: Path, window: Window) -> None:
    speech, music = melody(1, 16_000), melody(1, 16_000, level=0.3, seed=1)
    sound = place(speech, CENTRE, 6) + place(music, LEFT, 6) + place(music, RIGHT, 6)

    heard = hear(tmp_path / "a.wav", sound, window)

    centre, sides = weights(SURROUND)[CENTRE], 2 * weights(SURROUND)[LEFT]
    assert heard == pytest.approx(centre * speech[0] + sides * music[0], abs=1e-6)
    assert centre > 0.25


def test_a_single_channel_of_many_is_heard_as_it_is(tmp_path: Path, window: Window) -> None:
    speech = melody(1, 16_000)

    # Its share in the mix of six is -10.6 dB: by the rule, as good as cancelled.
    heard = hear(tmp_path / "a.wav", place(speech, CENTRE, 6), window)

    assert heard == pytest.approx(speech[0], abs=1e-6)


def test_antiphase_stereo_is_not_silence(tmp_path: Path, window: Window) -> None:
    sound = melody(1, 16_000)

    heard = hear(tmp_path / "a.wav", np.concatenate([sound, -0.9 * sound]), window)

    assert heard == pytest.approx(sound[0], abs=1e-6)


def test_the_first_channel_alone_on_request(tmp_path: Path) -> None:
    sound = melody(1, 16_000)
    both = np.concatenate([sound, melody(1, 16_000, seed=1)])

    heard = hear(tmp_path / "a.wav", both, Window(16_000, 164_080, "first"))

    assert heard == pytest.approx(sound[0], abs=1e-6)


def test_stereo_that_is_antiphase_for_a_moment_stays_a_mix() -> None:
    left = np.ones(16_000, np.float32)
    right = left.copy()
    right[:2_000] = -1  # one frame or two: the choice is made once, over all of the window

    assert downmix(np.stack([left, right]), ("FL", "FR"))[8_000] == pytest.approx(1)
    assert downmix(np.stack([left, right]), ("FL", "FR"))[0] == pytest.approx(0)


@pytest.mark.parametrize(("decibels", "cancelled"), [(-9.9, False), (-10.1, True)])
def test_ten_decibels_below_the_loudest_is_cancelled(decibels: float, cancelled: bool) -> None:
    left = melody(1, 16_000)[0]
    right = left * np.float32(2 * 10 ** (decibels / 20) - 1)

    mixed = downmix(np.stack([left, right]), ("FL", "FR"))

    assert np.array_equal(mixed, left) == cancelled


def test_damaged_floats_do_not_decide_the_mix(tmp_path: Path, window: Window) -> None:
    left, right = melody(1, 16_000)[0].copy(), melody(1, 16_000, seed=1)[0]
    left[5] = 3e38

    heard = hear(tmp_path / "a.wav", np.stack([left, right]), window)

    left[5] = 0
    assert heard == pytest.approx((left + right) / 2, abs=1e-6)
