"""Making the model again: the same sounds from the same seeds, and a network that learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor

pytestmark = [
    pytest.mark.long,
    # AST asks for more mel filters than its spectrum has bins at the low end.
    pytest.mark.filterwarnings("ignore:At least one mel filter"),
]

KINDS = ("speech", "music", "noise", "sine", "beep", "other")
CLIP_SAMPLES = 164_080


def test_every_kind_of_sound_is_known(scripts: Path) -> None:
    from training.bank import SYNTHESISERS

    assert tuple(SYNTHESISERS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes(scripts: Path, kind: str) -> None:
    from training.bank import synthesise

    clip = synthesise(kind, 7)

    assert clip.tobytes() == synthesise(kind, 7).tobytes()
    assert clip.tobytes() != synthesise(kind, 8).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_clips_are_whole_finite_and_heard(scripts: Path, kind: str) -> None:
    from training.bank import synthesise

    clip = synthesise(kind, 3)

    assert clip.shape == (CLIP_SAMPLES,)
    assert np.isfinite(clip).all()
    assert 0.01 < np.abs(clip).max() < 2


def test_log_mel_equals_the_feature_extractor(scripts: Path) -> None:
    from training.bank import log_mel
    from training.scenes import MEAN, STD

    sound = 0.1 * np.random.default_rng(0).standard_normal(CLIP_SAMPLES)
    expected = ASTFeatureExtractor()(
        sound.astype(np.float32), sampling_rate=16_000, return_tensors="np"
    )["input_values"][0]

    features = (log_mel(sound) - MEAN) / (2 * STD)

    np.testing.assert_allclose(features, expected, atol=2e-3)  # a clip has 16 bits


def test_pictures_follow_the_sound(scripts: Path) -> None:
    from make_videos import pictures
    from training.noises import beep

    frames = [frame.to_ndarray(format="gray") for frame in pictures(beep(1000, 1.0))]

    assert [frame.shape for frame in frames] == [(360, 640)] * 10
    assert frames[5].max() > 200
    assert not np.array_equal(frames[1], frames[5])


@pytest.mark.slow
def test_a_few_steps_lower_the_loss(scripts: Path, tmp_path: Path) -> None:
    from training.bank import make_bank
    from training.network import Schedule, forward_columns, save, train
    from training.scenes import SceneMaker
    from transformers import AutoModelForAudioClassification

    bank = make_bank(dict.fromkeys(KINDS, 10), processes=2)
    schedule = Schedule(steps=40, batch_size=16, warm_up=10)
    network, losses = train(SceneMaker(bank, seed=0), schedule)
    save(network, tmp_path / "model")
    saved = AutoModelForAudioClassification.from_pretrained(tmp_path / "model").eval()

    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    with torch.inference_mode():
        features = torch.randn(2, 1024, 128)
        columns = torch.arange(64).expand(2, -1)
        ours = forward_columns(network, features, columns)
        torch.testing.assert_close(saved(features).logits, ours)
