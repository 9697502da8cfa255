"""The network: a small AST, its starting weights, a forward pass over part of the patches, and its
training by binary cross-entropy, AdamW and an exponential moving average of the weights."""

import copy
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from training.bank import MEL_BINS, PATCH_FRAMES
from training.scenes import LABELS, MODEL_FRAMES, NEGATIVES, PATCH_COLUMNS, SceneMaker
from training.sound import Rng

Matrix: TypeAlias = NDArray[np.floating]
logger = logging.getLogger(__name__)

HIDDEN_SIZE = 128
PATCH_ROWS = MEL_BINS // PATCH_FRAMES


@dataclass(frozen=True)
class Schedule:
    """Steps and rates. A training example shows ``columns`` patch columns out of 64; the last
    tenth of the steps shows all of them in batches a third the size."""

    steps: int = 1500
    batch_size: int = 32
    columns: int = 15
    warm_up: int = 60

    def is_full(self, step: int) -> bool:
        """Whether a step shows all columns."""
        return step >= self.steps * (1 - 0.1)

    def rate(self, step: int) -> float:
        """Learning rate of a step: it rises, stays, and falls to a hundredth in the last third."""
        fall = (1 - step / self.steps) / 0.35 + 0.01
        return 1e-3 * min(1.0, (step + 1) / self.warm_up) * min(1.0, fall)


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


def new_network(scenes: SceneMaker) -> ASTForAudioClassification:
    """Random weights, conditioned so that a short training gets far: the patch projection starts
    as the whitened principal components of real patches, the positions as sinusoids."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = ASTForAudioClassification(new_config(LABELS + NEGATIVES))
    transformer = network.audio_spectrogram_transformer
    embeddings, projection = (
        transformer.embeddings,
        transformer.embeddings.patch_embeddings.projection,
    )
    weight, bias = whitening_projection(scenes, rng)
    with torch.no_grad():
        projection.weight.copy_(torch.from_numpy(weight).view_as(projection.weight))
        assert projection.bias is not None
        projection.bias.copy_(torch.from_numpy(bias))
        embeddings.position_embeddings[0, 2:] = torch.from_numpy(0.3 * position_sinusoids())
        embeddings.position_embeddings[0, :2] = 0.3 * torch.randn(2, HIDDEN_SIZE)
        for module in transformer.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.7 / module.in_features**0.5)
    return network


def whitening_projection(scenes: SceneMaker, rng: Rng) -> tuple[Matrix, Matrix]:
    """Weight ``[128, 256]`` and bias ``[128]``: the principal components of the patches of 250
    examples as the convolution sees them, whitened, randomly rotated, halved."""
    sampled = []
    for _ in range(250):
        grid = scenes.example(15).features.reshape(-1, PATCH_FRAMES, PATCH_ROWS, PATCH_FRAMES)
        sampled.append(rng.permutation(grid.transpose(0, 2, 3, 1).reshape(-1, 256))[:40])
    patches = np.concatenate(sampled).astype(np.float64)
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
    """Logits ``[batch, labels]`` from some patch columns only (patchout: Koutini et al.,
    Interspeech 2022); with all 64 columns this equals calling the network.

    Args:
        network: The model.
        features: ``[batch, 16 * columns, 128]``, the frames of those columns.
        columns: ``[batch, columns]``, their numbers.
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


def train(scenes: SceneMaker, schedule: Schedule) -> tuple[ASTForAudioClassification, list[float]]:
    """Train from scratch; the averaged network and the loss of each step."""
    network = new_network(scenes)
    average, losses = copy.deepcopy(network), list[float]()
    optimizer = new_optimizer(network)
    for step in range(schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        full = schedule.is_full(step)
        size = max(2, schedule.batch_size // 3) if full else schedule.batch_size
        count = PATCH_COLUMNS if full else schedule.columns
        examples = zip(*(scenes.example(count) for _ in range(size)), strict=True)
        features, targets, columns = (torch.from_numpy(np.stack(part)) for part in examples)
        logits = forward_columns(network, features, columns)
        # Targets of 0.005 and 0.975 keep the logits of easy examples finite.
        loss = nn.functional.binary_cross_entropy_with_logits(logits, 0.97 * targets + 0.005)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for mean, now in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(now, 1 - min(0.985, (step + 1) / (step + 10)))
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            logger.info("step %d: loss %.4f", step + 1, np.mean(losses[-100:]))
    return average.eval(), losses


def new_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """AdamW that decays matrices but no biases, norms, tokens or positions."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in network.named_parameters():
        special = parameter.ndim < 2 or "token" in name or "position" in name
        groups[special].append(parameter)
    decays = {False: 0.05, True: 0.0}
    options = [{"params": groups[key], "weight_decay": decay} for key, decay in decays.items()]
    return torch.optim.AdamW(options, lr=1e-3, betas=(0.9, 0.98))


def save(network: ASTForAudioClassification, directory: Path) -> None:
    """Write the model, with the classifier rows of ``LABELS`` alone, and its feature extractor."""
    kept, state = ASTForAudioClassification(new_config(LABELS)), network.state_dict()
    for name in ("classifier.dense.weight", "classifier.dense.bias"):
        state[name] = state[name][: len(LABELS)].clone()
    kept.load_state_dict(state)
    kept.save_pretrained(directory)
    ASTFeatureExtractor().save_pretrained(directory)
