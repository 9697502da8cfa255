"""The filter bank equals the reference extractor's on every kind of sound."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import ASTFeatureExtractor

from tasks.model.features import LogMelFeatures, samples_for

TOLERANCE = 5e-4
RATE = 16_000
WINDOW = samples_for(1024)


def sound(kind: str, samples: int = WINDOW) -> NDArray[np.float32]:
    random = np.random.default_rng(1)
    time = np.arange(samples) / RATE
    waveforms = {
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
    }
    waveform: NDArray[np.float32] = waveforms[kind].astype(np.float32)
    return waveform


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
]


@pytest.fixture(scope="module")
def extractor() -> ASTFeatureExtractor:
    return ASTFeatureExtractor()


@pytest.fixture(scope="module")
def features(extractor: ASTFeatureExtractor) -> LogMelFeatures:
    return LogMelFeatures(extractor, torch.device("cpu"))


def reference(extractor: ASTFeatureExtractor, waveform: NDArray[np.float32]) -> torch.Tensor:
    values = extractor(waveform, sampling_rate=RATE, return_tensors="pt")["input_values"]
    assert isinstance(values, torch.Tensor)
    return values[0]


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_reference(
    kind: str, features: LogMelFeatures, extractor: ASTFeatureExtractor
) -> None:
    ours = features([sound(kind)])
    assert ours.shape == (1, 1024, 128)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours[0], reference(extractor, sound(kind)), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("samples", [400, 401, 559, 560, 12_345, WINDOW - 1, WINDOW, WINDOW + 9999])
def test_equals_the_reference_at_every_length(
    samples: int, features: LogMelFeatures, extractor: ASTFeatureExtractor
) -> None:
    waveform = sound("noise", samples)
    expected = reference(extractor, waveform)
    torch.testing.assert_close(features([waveform])[0], expected, atol=TOLERANCE, rtol=0)


def test_a_batch_of_many_lengths_is_each_clip_alone(features: LogMelFeatures) -> None:
    clips = [sound("noise", samples) for samples in (400, 5_000, WINDOW, 90_000)]
    together = features(clips)
    for row, clip in zip(together, clips, strict=True):
        torch.testing.assert_close(row, features([clip])[0], atol=1e-6, rtol=0)


def test_what_follows_the_window_is_not_heard(features: LogMelFeatures) -> None:
    long = np.concatenate([sound("sine"), sound("noise")])
    assert torch.equal(features([long]), features([sound("sine")]))


def test_less_than_a_frame_is_refused(features: LogMelFeatures) -> None:
    with pytest.raises(ValueError, match="shorter than one frame"):
        features([sound("noise", 399)])


def test_without_normalisation(extractor: ASTFeatureExtractor) -> None:
    raw = ASTFeatureExtractor(do_normalize=False)
    ours = LogMelFeatures(raw, torch.device("cpu"))([sound("noise")])
    torch.testing.assert_close(ours[0], reference(raw, sound("noise")), atol=4e-3, rtol=0)


def test_the_window_of_ast() -> None:
    assert samples_for(1024) == 164_080
