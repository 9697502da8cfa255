"""The network: a small AST, its starting weights, and a forward pass over part of the patches."""

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import ASTConfig, ASTForAudioClassification

from training.bank import PATCH_FRAMES
from training.features import MEL_BINS
from training.labels import LABELS, NEGATIVES
from training.scenes import MODEL_FRAMES, PATCH_COLUMNS, SceneMaker

Matrix: TypeAlias = NDArray[np.floating]

HIDDEN_SIZE = 128
PATCH_ROWS = MEL_BINS // PATCH_FRAMES


def new_config(labels: tuple[str, ...]) -> ASTConfig:
    """Three layers over patches of 16 x 16 that do not overlap: 0.5 M parameters."""
    return ASTConfig(
        hidden_size=HIDDEN_SIZE,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=2 * HIDDEN_SIZE,
        patch_size=PATCH_FRAMES,
        frequency_stride=PATCH_FRAMES,
        time_stride=PATCH_FRAMES,
        max_length=MODEL_FRAMES,
        num_mel_bins=MEL_BINS,
        layer_norm_eps=1e-6,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )


def new_network(scenes: SceneMaker, seed: int) -> ASTForAudioClassification:
    """Random weights, conditioned so that a short training gets far.

    The patch projection starts as the whitened principal components of real patches, the
    position embeddings as two-dimensional sinusoids.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = ASTForAudioClassification(new_config(LABELS + NEGATIVES))
    transformer = network.audio_spectrogram_transformer
    embeddings = transformer.embeddings
    weight, bias = whitening_projection(sample_patches(scenes, rng), rng)
    with torch.no_grad():
        projection = embeddings.patch_embeddings.projection
        projection.weight.copy_(
            torch.from_numpy(weight).view(HIDDEN_SIZE, 1, PATCH_FRAMES, PATCH_FRAMES)
        )
        assert projection.bias is not None
        projection.bias.copy_(torch.from_numpy(bias))
        embeddings.position_embeddings[0, 2:] = torch.from_numpy(0.3 * position_sinusoids())
        embeddings.position_embeddings[0, :2] = 0.3 * torch.randn(2, HIDDEN_SIZE)
        for module in transformer.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.7 / module.in_features**0.5)
    return network


def sample_patches(scenes: SceneMaker, rng: np.random.Generator) -> Matrix:
    """Patches of 250 examples as the convolution sees them, ``[patches, 16 mel * 16 frames]``."""
    patches = []
    for _ in range(250):
        features = scenes.example(columns=15).features
        grid = features.reshape(-1, PATCH_FRAMES, PATCH_ROWS, PATCH_FRAMES)
        flat = grid.transpose(0, 2, 3, 1).reshape(-1, PATCH_FRAMES**2)
        patches.append(rng.permutation(flat)[:40])
    return np.concatenate(patches).astype(np.float64)


def whitening_projection(patches: Matrix, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """Weight ``[128, 256]`` and bias ``[128]``: PCA, whitened, randomly rotated, halved."""
    mean = patches.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov((patches - mean).T))
    variances, directions = variances[::-1][:HIDDEN_SIZE], directions[:, ::-1][:, :HIDDEN_SIZE]
    whitened = (directions / np.sqrt(variances + 0.02 * variances[:16].mean())).T
    rotation = np.linalg.qr(rng.standard_normal((HIDDEN_SIZE, HIDDEN_SIZE)))[0]
    weight = 0.5 * rotation @ whitened
    return weight.astype(np.float32), (-weight @ mean).astype(np.float32)


def position_sinusoids() -> Matrix:
    """Sines and cosines of row and column, ``[512, 128]``, patches in row-major order."""

    def sinusoids(count: int) -> Matrix:
        frequencies = np.geomspace(1, count / 2, HIDDEN_SIZE // 4) * np.pi / count
        angles = np.arange(count)[:, None] * frequencies
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    rows = np.repeat(sinusoids(PATCH_ROWS), PATCH_COLUMNS, axis=0)
    columns = np.tile(sinusoids(PATCH_COLUMNS), (PATCH_ROWS, 1))
    return np.concatenate([rows, columns], axis=1).astype(np.float32)


def forward_columns(
    network: ASTForAudioClassification, features: Tensor, columns: Tensor
) -> Tensor:
    """Logits from some patch columns only (patchout: Koutini et al., Interspeech 2022).

    Args:
        network: The model; with all 64 columns this equals calling it.
        features: ``[batch, 16 * columns, 128]``, the frames of those columns.
        columns: ``[batch, columns]``, their numbers.

    Returns:
        ``[batch, labels]``
    """
    transformer = network.audio_spectrogram_transformer
    embeddings = transformer.embeddings
    patches = embeddings.patch_embeddings.projection(features.unsqueeze(1).transpose(2, 3))
    positions = embeddings.position_embeddings[0, 2:].view(PATCH_ROWS, PATCH_COLUMNS, HIDDEN_SIZE)
    patches = patches.permute(0, 2, 3, 1) + positions[:, columns].permute(1, 0, 2, 3)
    special = torch.cat([embeddings.cls_token, embeddings.distillation_token], dim=1)
    special = (special + embeddings.position_embeddings[:, :2]).expand(len(features), -1, -1)
    hidden = torch.cat([special, patches.flatten(1, 2)], dim=1)
    for layer in transformer.layers:
        hidden = layer(hidden)
    hidden = transformer.layernorm(hidden)
    logits: Tensor = network.classifier((hidden[:, 0] + hidden[:, 1]) / 2)
    return logits


def keep_labels(network: ASTForAudioClassification) -> ASTForAudioClassification:
    """The same network with the classifier rows of ``LABELS`` alone."""
    kept = ASTForAudioClassification(new_config(LABELS))
    state = network.state_dict()
    for name in ("classifier.dense.weight", "classifier.dense.bias"):
        state[name] = state[name][: len(LABELS)].clone()
    kept.load_state_dict(state)
    return kept
