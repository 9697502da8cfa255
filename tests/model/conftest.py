"""Clips and checkpoints that the tests make: small, random, loaded by the real code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from tasks.audio.clip import Clip, make_clip
from tasks.audio.window import Window
from tasks.model import Checkpoint, CheckpointId
from tasks.model.checkpoint import find_checkpoint
from tasks.model.classifier import Classifier
from tasks.model.features import SAMPLING_RATE
from tasks.model.loading import load_classifier

MakeCheckpoint = Callable[..., Path]


TINY: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.5,
}


TINY_WAV2VEC2: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": (16, 16),
    "conv_kernel": (10, 3),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 16,
}


def clip_of(sound: NDArray[np.floating]) -> Clip:
    """Quantise 16 kHz sound as the decoder process does."""
    window = Window(SAMPLING_RATE, max(1, len(sound)))
    return make_clip([(SAMPLING_RATE, sound.astype(np.float32))], window)


def noises(*lengths: int, level: float = 0.1) -> list[Clip]:
    """Noise of so many samples each."""
    random = np.random.default_rng(0)
    return [clip_of(level * random.standard_normal(length)) for length in lengths]


def find(folder: Path) -> Checkpoint:
    return find_checkpoint(CheckpointId(str(folder)))


def load(folder: Path) -> Classifier:
    return load_classifier(find(folder), "cpu", "float32")


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """A function that saves a random AST classifier with these labels and returns its folder."""

    def make(
        labels: tuple[str, ...] = ("Speech", "Music", "Noise"),
        seed: int = 0,
        frames: int = 128,
        dtype: torch.dtype = torch.float32,
        **sizes: Any,
    ) -> Path:
        torch.manual_seed(seed)
        config = ASTConfig(
            max_length=frames,
            id2label=dict(enumerate(labels)),
            label2id={label: row for row, label in enumerate(labels)},
            **(TINY | sizes),
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


@pytest.fixture(scope="session")
def ast_base_width(make_checkpoint: MakeCheckpoint) -> Path:
    """Two of the twelve layers of AST-base, with its window and its 527 labels."""
    labels = tuple(f"label {row}" for row in range(527))
    config = ASTConfig()
    sizes = {name: getattr(config, name) for name in TINY} | {"num_hidden_layers": 2}
    return make_checkpoint(labels=labels, frames=1024, **sizes)
