"""The classifier: found by name, loaded once, the same answer in every batch."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    ASTForAudioClassification,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
)

from tasks.errors import ConfigurationError
from tasks.model import Checkpoint, CheckpointId
from tasks.model.checkpoint import find_checkpoint
from tasks.model.classifier import Classifier, choose_device, choose_dtype, load_classifier
from tasks.model.features import samples_for
from tests.model.conftest import MakeCheckpoint


def waveforms(*lengths: int) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(0)
    return [(0.1 * random.standard_normal(length)).astype(np.float32) for length in lengths]


def find(folder: Path) -> Checkpoint:
    return find_checkpoint(CheckpointId(str(folder)))


def load(folder: Path) -> Classifier:
    return load_classifier(find(folder), "cpu", "float32")


def test_rate_window_and_labels_come_from_the_checkpoint(checkpoint_folder: Path) -> None:
    checkpoint = find(checkpoint_folder)
    assert (checkpoint.sampling_rate, checkpoint.num_samples) == (16_000, samples_for(128))
    assert load(checkpoint_folder).labels == ["Speech", "Music", "Noise"]


def test_logits_are_those_of_transformers(checkpoint_folder: Path) -> None:
    clips = waveforms(400, 9_000, samples_for(128))
    model: Any = ASTForAudioClassification.from_pretrained(checkpoint_folder)
    inputs = find(checkpoint_folder).extractor(clips, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**inputs).logits
    classifier = load(checkpoint_folder)
    torch.testing.assert_close(classifier.logits(clips), expected, atol=5e-3, rtol=0)
    labels = [classifier.labels[row] for row in expected.argmax(-1).tolist()]
    assert classifier.predict(clips) == labels


def test_attention_is_sdpa(checkpoint_folder: Path) -> None:
    assert load(checkpoint_folder).model.config._attn_implementation == "sdpa"


def test_a_process_loads_a_checkpoint_once(checkpoint_folder: Path) -> None:
    assert load(checkpoint_folder) is load(checkpoint_folder)


def test_a_checkpoint_trained_again_in_place_is_another_one(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    shutil.copytree(make_checkpoint(seed=1), tmp_path, dirs_exist_ok=True)
    before = find(tmp_path).fingerprint
    assert find(tmp_path).fingerprint == before
    shutil.copytree(make_checkpoint(seed=2), tmp_path, dirs_exist_ok=True)
    assert find(tmp_path).fingerprint != before


def test_a_half_precision_checkpoint_computes_in_float32(make_checkpoint: MakeCheckpoint) -> None:
    classifier = load(make_checkpoint(dtype=torch.float16))
    assert classifier.logits(waveforms(9_000)).dtype == torch.float32


def test_out_of_memory_halves_the_batch_and_goes_on(checkpoint_folder: Path) -> None:
    """The one thing that a CPU cannot do for real is to run out of a GPU's memory."""

    class Crowded(torch.nn.Module):
        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model, self.config, self.sizes = model, model.config, list[int]()

        def forward(self, input_values: torch.Tensor) -> object:
            self.sizes.append(len(input_values))
            if len(input_values) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.model(input_values)

    whole = load(checkpoint_folder)
    crowded = Crowded(whole.model)
    classifier = Classifier(crowded, whole.checkpoint, whole.device, whole.dtype)
    clips = waveforms(*range(1_000, 9_000, 1_000))
    torch.testing.assert_close(classifier.logits(clips), whole.logits(clips), atol=1e-5, rtol=0)
    assert crowded.sizes == [8, 4, 2, 2, 2, 2]
    classifier.logits(clips)
    assert max(crowded.sizes[6:]) == 2  # learnt for good


def test_any_other_extractor_is_called_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(16, 16),
        conv_kernel=(10, 3),
        conv_stride=(5, 2),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=16,
        id2label={0: "yes", 1: "no"},
    )
    model: Any = Wav2Vec2ForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    extractor: Any = Wav2Vec2FeatureExtractor(sampling_rate=8_000)
    extractor.save_pretrained(tmp_path)
    checkpoint = find(tmp_path)
    assert (checkpoint.sampling_rate, checkpoint.num_samples) == (8_000, 81_920)
    classifier = load_classifier(checkpoint, "cpu", "float32")
    for clips in (waveforms(4_000, 4_000), waveforms(4_000, 6_000)):
        expected = [
            model(**extractor(clip, sampling_rate=8_000, return_tensors="pt")).logits[0].detach()
            for clip in clips
        ]
        torch.testing.assert_close(
            classifier.logits(clips), torch.stack(expected), atol=1e-4, rtol=0
        )


def test_weights_that_are_missing_are_not_made_up(checkpoint_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint_folder, tmp_path, dirs_exist_ok=True)
    model: Any = ASTForAudioClassification.from_pretrained(checkpoint_folder)
    model.base_model.save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="not an audio classifier"):
        load(tmp_path)


def test_nan_is_an_error_not_a_label(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    folder = make_checkpoint()
    model: Any = ASTForAudioClassification.from_pretrained(folder)
    model.classifier.dense.bias.data[0] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(ConfigurationError, match="NaN"):
        load(folder).predict(waveforms(9_000))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"The model in the folder .* could not be loaded"):
        find(tmp_path)


def test_a_hub_model_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigurationError) as caught:
        find_checkpoint(CheckpointId("nobody/no-such-model"))
    assert "nobody/no-such-model" in str(caught.value)
    assert "--hf-ast FOLDER" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_remote_code_is_not_run_unless_allowed(checkpoint_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint_folder, tmp_path, dirs_exist_ok=True)
    ran = tmp_path / "ran"
    config = json.loads((tmp_path / "config.json").read_text())
    config["model_type"] = "their-own"
    config["auto_map"] = {"AutoConfig": "theirs.TheirConfig"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "theirs.py").write_text(f"open({str(ran)!r}, 'w')\n")
    with pytest.raises(ConfigurationError, match="trust-remote-code"):
        find(tmp_path)
    assert not ran.exists()


def test_devices_and_dtypes() -> None:
    cpu = choose_device("cpu")
    assert cpu == torch.device("cpu")
    assert choose_dtype("auto", cpu) == torch.float32
    assert choose_dtype("bfloat16", cpu) == torch.bfloat16
    with pytest.raises(ConfigurationError, match="cuda:99"):
        choose_device("cuda:99")
    with pytest.raises(ConfigurationError, match="toaster"):
        choose_device("toaster")
