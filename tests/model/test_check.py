"""A model is checked before the first video: a batch changes no answer, and none is NaN."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

from tasks.audio.clip import Clip
from tasks.errors import ConfigurationError
from tasks.model import CheckpointId
from tasks.model.activation import activation_of, probabilities
from tasks.model.checkpoint import find_checkpoint
from tasks.model.classifier import Classifier
from tasks.model.loading import load_classifier
from tests.model.conftest import TINY_WAV2VEC2, noises
from tests.model.standin.configuration_standin import StandinConfig
from tests.model.standin.feature_extraction_standin import StandinFeatureExtractor
from tests.model.standin.modeling_standin import StandinForAudioClassification

STANDIN = Path(__file__).parent / "standin"

MakeStandin = Callable[..., Path]


def load(folder: Path) -> Classifier:
    checkpoint = find_checkpoint(CheckpointId(str(folder), trust_remote_code=True))
    return load_classifier(checkpoint, "cpu", "float32")


@pytest.fixture
def make_standin(tmp_path: Path) -> MakeStandin:
    """A function that saves a random stand-in and returns its folder."""

    def make(labels: int = 12, **config: Any) -> Path:
        torch.manual_seed(0)
        configured: Any = StandinConfig(num_labels=labels, **config)
        configured.auto_map = {
            "AutoConfig": "configuration_standin.StandinConfig",
            "AutoModelForAudioClassification": "modeling_standin.StandinForAudioClassification",
        }
        model: Any = StandinForAudioClassification(configured)
        torch.nn.init.normal_(model.classifier.weight, std=3)
        model.save_pretrained(tmp_path)
        extractor: Any = StandinFeatureExtractor()
        extractor.save_pretrained(tmp_path)
        path = tmp_path / "preprocessor_config.json"
        name = "feature_extraction_standin.StandinFeatureExtractor"
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoFeatureExtractor": name}})
        )
        for file in STANDIN.glob("*_standin.py"):
            shutil.copy(file, tmp_path)
        return tmp_path

    return make


def alone(classifier: Classifier, clips: list[Clip]) -> torch.Tensor:
    return torch.cat([classifier.logits([clip]) for clip in clips])


def test_a_model_that_is_not_ast_is_not_compiled(
    make_standin: MakeStandin, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = find_checkpoint(CheckpointId(str(make_standin()), trust_remote_code=True))
    classifier = load_classifier(checkpoint, "cpu", "float32", compile_for=4)
    assert "is not compiled: only models of the type audio-spectrogram" in classifier.compilation
    assert classifier.compilation in caplog.messages


def test_a_model_that_mixes_the_clips_of_a_batch_is_given_one_at_a_time(
    make_standin: MakeStandin, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = load(make_standin(takes=100))
    assert classifier.one_at_a_time
    assert "one clip at a time" in caplog.text
    clips = [*noises(160_000, 160_000), *noises(160_000, level=0.001)]
    torch.testing.assert_close(classifier.logits(clips), alone(classifier, clips))
    classifier.one_at_a_time = False  # then it would not be
    assert not torch.allclose(classifier.logits(clips), alone(classifier, clips), atol=0.1)


def test_one_that_does_not_is_given_batches(
    make_standin: MakeStandin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tasks")
    assert not load(make_standin(takes=10_000)).one_at_a_time
    assert "one clip at a time" not in caplog.text


def test_a_window_is_no_longer_than_the_model_takes(make_standin: MakeStandin) -> None:
    """1,012 frames of 10 ms, as CED: in AST's window of 10.24 s it would mix clips."""
    classifier = load(make_standin(target_length=1012))
    assert classifier.checkpoint.num_samples == 161_760
    assert not classifier.one_at_a_time


@pytest.mark.parametrize(
    ("labels", "outputs", "problem_type", "activation"),
    [
        (12, "sigmoid", "multi_label_classification", "sigmoid"),
        (527, "sigmoid", None, "sigmoid"),  # CED
        (4, "softmax", None, "softmax"),
        (12, "softmax", "single_label_classification", "softmax"),
    ],
)
def test_probabilities_come_out_as_the_model_gave_them(
    make_standin: MakeStandin,
    caplog: pytest.LogCaptureFixture,
    labels: int,
    outputs: str,
    problem_type: str | None,
    activation: str,
) -> None:
    caplog.set_level(logging.INFO, "tasks")
    folder = make_standin(labels, takes=10_000, outputs=outputs, problem_type=problem_type)
    classifier = load(folder)
    clips = noises(160_000, 30_000)
    assert f"{folder} already gives probabilities: no {activation} is applied" in caplog.text
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert activation_of(config).activation == activation
    found = probabilities(classifier.logits(clips).numpy(), activation_of(config).activation)
    classifier.undoes = "none"
    np.testing.assert_allclose(found, classifier.logits(clips).numpy(), atol=1e-5)


@pytest.mark.parametrize("labels", [4, 12])
def test_logits_are_not_taken_for_probabilities(make_standin: MakeStandin, labels: int) -> None:
    assert load(make_standin(labels, takes=10_000)).undoes == "none"


def test_sigmoids_of_a_model_that_does_not_say_so_are_told(
    make_standin: MakeStandin, caplog: pytest.LogCaptureFixture
) -> None:
    load(make_standin(takes=10_000, outputs="sigmoid"))
    assert "should say multi_label_classification as problem_type" in caplog.text


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ("nan", "answers a plain sound with NaN or infinity, in float32"),
        ("frames", "gives 1 x 1 x 12 numbers for a clip, not one for each of its 12"),
        ("fault", r"fails on a clip: TypeError: forward\(\) got an unexpected argument"),
    ],
)
def test_a_model_that_cannot_tag_is_refused_in_a_sentence(
    make_standin: MakeStandin, outputs: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(make_standin(takes=10_000, outputs=outputs))


@pytest.mark.parametrize(
    ("imported", "packages"),
    [("no_such_audio", "no_such_audio"), ("none_a, none_b", "none_a none_b")],
)
def test_a_package_that_the_models_code_needs_is_named(
    make_standin: MakeStandin, imported: str, packages: str
) -> None:
    folder = make_standin()
    code = folder / "feature_extraction_standin.py"
    code.write_text(f"import {imported}\n{code.read_text()}")
    with pytest.raises(ConfigurationError) as caught:
        load(folder)
    start, _, named = str(caught.value).rstrip(".").partition(": pip install ")
    assert start == f"The model {folder} needs missing packages"
    assert sorted(named.split()) == packages.split()


def test_a_model_of_another_kind_is_refused_in_a_sentence(make_standin: MakeStandin) -> None:
    folder = make_standin()
    config = json.loads((folder / "config.json").read_text())
    del config["auto_map"]["AutoModelForAudioClassification"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match="not an audio classifier that transformers can"):
        load(folder)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_wav2vec2_of_either_norm_is_given_batches_of_one_length(norm: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config: Any = Wav2Vec2Config(
        **TINY_WAV2VEC2,
        conv_stride=(5, 64),
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        initializer_range=0.3,
    )
    model: Any = Wav2Vec2ForSequenceClassification(config)
    model.save_pretrained(tmp_path)
    extractor: Any = Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer")
    extractor.save_pretrained(tmp_path)
    classifier = load(tmp_path)
    assert not classifier.one_at_a_time
    clips = noises(20_000, 20_000, 9_000)
    torch.testing.assert_close(
        classifier.logits(clips), alone(classifier, clips), atol=1e-4, rtol=0
    )


def test_whisper_hears_its_thirty_seconds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    make_config: Any = WhisperConfig
    config = make_config(
        d_model=16,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        classifier_proj_size=8,
        vocab_size=10,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        num_labels=5,
    )
    model: Any = WhisperForAudioClassification(config)
    model.save_pretrained(tmp_path)
    extractor: Any = WhisperFeatureExtractor()
    extractor.save_pretrained(tmp_path)
    classifier = load(tmp_path)
    assert classifier.checkpoint.num_samples == 30 * 16_000
    assert not classifier.one_at_a_time
    clips = noises(480_000, 50_000)
    torch.testing.assert_close(
        classifier.logits(clips), alone(classifier, clips), atol=1e-4, rtol=0
    )
