"""Checkpoints that the tests make: small, random, loaded by the real code."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

MakeCheckpoint = Callable[..., Path]


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """A function that saves a random AST classifier with these labels and returns its folder."""

    def make(
        labels: tuple[str, ...] = ("Speech", "Music", "Noise"),
        seed: int = 0,
        frames: int = 128,
        dtype: torch.dtype = torch.float32,
    ) -> Path:
        torch.manual_seed(seed)
        config = ASTConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_length=frames,
            initializer_range=0.5,
            id2label=dict(enumerate(labels)),
            label2id={label: row for row, label in enumerate(labels)},
        )
        folder = tmp_path_factory.mktemp("checkpoint")
        model = ASTForAudioClassification(config)
        model.to(dtype=dtype).save_pretrained(folder)  # type: ignore[call-arg]
        ASTFeatureExtractor(max_length=frames).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def checkpoint_folder(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint()
