"""Loading: once in a process, and only weights that the checkpoint really has."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import ASTForAudioClassification

from tasks.errors import ConfigurationError
from tests.model.conftest import MakeCheckpoint, load, noises


def test_attention_is_sdpa(checkpoint_folder: Path) -> None:
    assert load(checkpoint_folder).model.config._attn_implementation == "sdpa"


def test_a_process_loads_a_checkpoint_once(checkpoint_folder: Path) -> None:
    assert load(checkpoint_folder) is load(checkpoint_folder)


def test_a_half_precision_checkpoint_computes_in_float32(make_checkpoint: MakeCheckpoint) -> None:
    classifier = load(make_checkpoint(dtype=torch.float16))
    assert classifier.logits(noises(9_000)).dtype == torch.float32


def test_weights_that_are_missing_are_not_made_up(checkpoint_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint_folder, tmp_path, dirs_exist_ok=True)
    model: Any = ASTForAudioClassification.from_pretrained(checkpoint_folder)
    model.base_model.save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="not an audio classifier"):
        load(tmp_path)


def test_weights_that_are_nan_are_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    model: Any = ASTForAudioClassification.from_pretrained(folder)
    model.classifier.dense.bias.data[0] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(ConfigurationError, match="NaN"):
        load(folder)
