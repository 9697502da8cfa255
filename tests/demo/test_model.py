"""The demo model: these very weights, small, and readable by anybody's Auto classes."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from numpy.typing import NDArray
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from tests.demo.conftest import DEMO

# AST asks for more mel filters than its spectrum has bins at the low end.
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter")

MODEL = DEMO / "model"
SHA256 = "8b02b6e78efd88dcdaeee53eacc53c5afbc307734b89c51334e41fc813d9a908"
LABELS = ["Speech", "Music", "Silence", "Noise", "Sine wave", "Beep, bleep"]
LARGEST = 2_500_000
RATE = 16_000
# The training set has indices below 2,000.
UNSEEN = 10_000


def top_tag(sound: NDArray[np.float64]) -> str:
    """The label with the highest logit."""
    model = AutoModelForAudioClassification.from_pretrained(MODEL)
    extractor = AutoFeatureExtractor.from_pretrained(MODEL)
    inputs = extractor(sound.astype(np.float32), sampling_rate=RATE, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits[0]
    label: str = model.config.id2label[int(logits.argmax())]
    return label


def test_weights_are_the_pinned_ones() -> None:
    assert hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest() == SHA256


def test_weights_are_small_and_float32() -> None:
    model = AutoModelForAudioClassification.from_pretrained(MODEL)

    assert (MODEL / "model.safetensors").stat().st_size <= LARGEST
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_labels_are_audiosets() -> None:
    model = AutoModelForAudioClassification.from_pretrained(MODEL)

    assert [model.config.id2label[index] for index in range(len(LABELS))] == LABELS
    assert model.config.label2id == {label: index for index, label in enumerate(LABELS)}


def test_feature_extractor_is_that_of_ast() -> None:
    extractor = AutoFeatureExtractor.from_pretrained(MODEL)

    assert type(extractor).__name__ == "ASTFeatureExtractor"
    assert (extractor.sampling_rate, extractor.max_length, extractor.num_mel_bins) == (
        RATE,
        1024,
        128,
    )


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("speech", "Speech"),
        ("music", "Music"),
        ("noise", "Noise"),
        ("sine", "Sine wave"),
        ("beep", "Beep, bleep"),
    ],
)
@pytest.mark.long
def test_it_tags_sounds_it_never_heard(scripts: Path, kind: str, label: str) -> None:
    from training.bank import synthesise

    assert top_tag(synthesise(kind, UNSEEN)) == label


@pytest.mark.parametrize("seconds", [1, 10.24])
def test_it_tags_digital_zero_as_silence(seconds: float) -> None:
    assert top_tag(np.zeros(int(seconds * RATE))) == "Silence"


def test_the_card_is_that_of_these_weights() -> None:
    card = ModelCard.load(MODEL / "README.md")
    model = AutoModelForAudioClassification.from_pretrained(MODEL)

    assert card.data.pipeline_tag == "audio-classification"
    assert f"{model.num_parameters():,} parameters" in card.text
