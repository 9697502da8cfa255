"""The filter bank equals the reference extractor's on every kind of sound."""

import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor

from tasks.audio.clip import Clip
from tasks.model.batch import Batch, Sound
from tasks.model.features import LogMelFeatures, samples_for
from tests.model.conftest import clip_of

CPU = torch.device("cpu")

TOLERANCE = 2e-4  # 5e-4 is promised
RATE = 16_000
WINDOW = samples_for(1024)


def sound(kind: str, samples: int = WINDOW) -> Clip:
    random = np.random.default_rng(1)
    time = np.arange(samples) / RATE
    sounds = {
        "noise": 0.1 * random.standard_normal(samples),
        "quiet noise": 1e-4 * random.standard_normal(samples),
        "barely more than nothing": 1e-6 * random.standard_normal(samples),
        "silence": np.zeros(samples),
        "sine": 0.9 * np.sin(2 * np.pi * 440 * time),
        "sine over an offset": 0.5 * np.sin(2 * np.pi * 60 * time) + 0.4,
        "high sine over an offset": 0.5 * np.sin(2 * np.pi * 7900 * time) + 0.5,
        "clipped square": np.sign(np.sin(2 * np.pi * 100 * time)),
        "constant": np.full(samples, 0.7),
        "clicks": (np.arange(samples) % 1600 == 0).astype(float),
        "sine of +9 dBFS": 2.8 * np.sin(2 * np.pi * 440 * time),
    }
    return clip_of(sounds[kind])


KINDS = [
    "noise",
    "quiet noise",
    "barely more than nothing",
    "silence",
    "sine",
    "sine over an offset",
    "high sine over an offset",
    "clipped square",
    "constant",
    "clicks",
    "sine of +9 dBFS",
]


@pytest.fixture(scope="module")
def extractor() -> ASTFeatureExtractor:
    return ASTFeatureExtractor()


@pytest.fixture(scope="module")
def features(extractor: ASTFeatureExtractor) -> LogMelFeatures:
    return LogMelFeatures(extractor, CPU)


def compute(features: LogMelFeatures, *clips: Sound) -> torch.Tensor:
    return features(Batch.stack(clips, WINDOW, CPU))


def reference(extractor: ASTFeatureExtractor, clip: Clip) -> torch.Tensor:
    values = extractor(clip.waveform, sampling_rate=RATE, return_tensors="pt")["input_values"]
    assert isinstance(values, torch.Tensor)
    return values[0]


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_reference(
    kind: str, features: LogMelFeatures, extractor: ASTFeatureExtractor
) -> None:
    ours = compute(features, sound(kind))
    assert ours.shape == (1, 1024, 128)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours[0], reference(extractor, sound(kind)), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("samples", [400, 401, 559, 560, 12_345, WINDOW - 1, WINDOW, WINDOW + 9999])
def test_equals_the_reference_at_every_length(
    samples: int, features: LogMelFeatures, extractor: ASTFeatureExtractor
) -> None:
    clip = sound("noise", samples)
    expected = reference(extractor, clip)
    torch.testing.assert_close(compute(features, clip)[0], expected, atol=TOLERANCE, rtol=0)


def test_a_batch_of_many_lengths_is_each_clip_alone(features: LogMelFeatures) -> None:
    clips = [sound("noise", samples) for samples in (400, 5_000, WINDOW, 90_000)]
    for row, clip in zip(compute(features, *clips), clips, strict=True):
        torch.testing.assert_close(row, compute(features, clip)[0], atol=1e-6, rtol=0)


def test_what_follows_the_window_is_left_out(features: LogMelFeatures) -> None:
    long = clip_of(np.concatenate([sound("sine").waveform, sound("sine").waveform]))
    assert torch.equal(compute(features, long), compute(features, sound("sine")))


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_less_than_a_frame_is_nothing_but_padding(samples: int, features: LogMelFeatures) -> None:
    short = Clip(np.ones(samples, np.int16), 1.0, RATE)
    for rows in (compute(features, short), compute(features, short, sound("noise"))):
        assert torch.equal(rows[0], torch.full((1024, 128), -features.mean / features.scale))


def test_without_normalisation() -> None:
    raw = ASTFeatureExtractor(do_normalize=False)
    ours = compute(LogMelFeatures(raw, CPU), sound("noise"))
    torch.testing.assert_close(ours[0], reference(raw, sound("noise")), atol=4e-3, rtol=0)


def test_the_window_of_ast() -> None:
    assert samples_for(1024) == 164_080
