"""The network: a small AST, its starting weights, a forward pass over part of the patches, and its
training by binary cross-entropy, AdamW and an exponential moving average of the weights."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from training.bank import FRAMES, MEL_BINS, PATCH_FRAMES
from training.scenes import LABELS, PATCH_COLUMNS, SceneMaker

logger = logging.getLogger(__name__)

HIDDEN_SIZE = 128
PATCH_ROWS = MEL_BINS // PATCH_FRAMES


class Schedule(NamedTuple):
    """Steps and rates. A training example shows ``columns`` patch columns out of 64; the last
    tenth of the steps shows all of them in batches a third the size."""

    steps: int = 1500
    batch_size: int = 32
    columns: int = 15
    warm_up: int = 60

    def sizes(self, step: int) -> tuple[int, int]:
        """Return how many examples a step sees, and how many columns of each."""
        if step >= 0.9 * self.steps:
            return max(2, self.batch_size // 3), PATCH_COLUMNS
        return self.batch_size, self.columns

    def rate(self, step: int) -> float:
        """Return the factor on the learning rate: it rises, stays, and falls to a hundredth in the
        last third."""
        fall = (1 - step / self.steps) / 0.35 + 0.01
        return min(1.0, (step + 1) / self.warm_up) * min(1.0, fall)


def new_network(scenes: SceneMaker) -> ASTForAudioClassification:
    """Build three layers over patches of 16 x 16 that do not overlap (0.5 M parameters), so
    conditioned that a short training gets far: the patch projection starts as the whitened
    principal components of real patches, the positions as sinusoids."""
    torch.manual_seed(0)
    labels = dict(enumerate(LABELS.values()))
    config = ASTConfig(
        hidden_size=HIDDEN_SIZE, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=2 * HIDDEN_SIZE, patch_size=PATCH_FRAMES,
        frequency_stride=PATCH_FRAMES, time_stride=PATCH_FRAMES, max_length=FRAMES,
        num_mel_bins=MEL_BINS, layer_norm_eps=1e-6, id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )  # fmt: skip
    network = ASTForAudioClassification(config)
    transformer = network.audio_spectrogram_transformer
    embeddings = transformer.embeddings
    projection = embeddings.patch_embeddings.projection
    assert projection.bias is not None
    with torch.no_grad():
        weight, bias = whitening_projection(scenes)
        projection.weight.copy_(weight.view_as(projection.weight))
        projection.bias.copy_(bias)
        embeddings.position_embeddings[0, 2:] = 0.3 * position_sinusoids()
        embeddings.position_embeddings[0, :2] = 0.3 * torch.randn(2, HIDDEN_SIZE)
        for module in transformer.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.7 / module.in_features**0.5)
    return network


def whitening_projection(scenes: SceneMaker) -> tuple[Tensor, Tensor]:
    """Return weight ``[128, 256]`` and bias ``[128]``: the principal components of the patches of
    250 examples as the convolution sees them, whitened, randomly rotated, halved."""
    features = np.concatenate([scenes.example(15).features for _ in range(250)])
    grid = torch.from_numpy(features).double().view(-1, PATCH_FRAMES, PATCH_ROWS, PATCH_FRAMES)
    patches = grid.permute(0, 2, 3, 1).reshape(-1, PATCH_FRAMES**2)
    variances, directions = torch.linalg.eigh(patches.T.cov())
    variances, directions = variances[-HIDDEN_SIZE:], directions[:, -HIDDEN_SIZE:]
    whitened = (directions / (variances + 0.02 * variances[-16:].mean()).sqrt()).T
    rotation = torch.linalg.qr(torch.randn(HIDDEN_SIZE, HIDDEN_SIZE).double())[0]
    weight = 0.5 * rotation @ whitened
    return weight.float(), -(weight @ patches.mean(0)).float()


def position_sinusoids() -> Tensor:
    """Return sines and cosines of row and column, ``[512, 128]``, patches in row-major order."""

    def sinusoids(count: int) -> Tensor:
        frequencies = np.geomspace(1, count / 2, HIDDEN_SIZE // 4) * np.pi / count
        angles = torch.from_numpy(np.arange(count)[:, None] * frequencies)
        return torch.cat([angles.sin(), angles.cos()], dim=1).float()

    rows = sinusoids(PATCH_ROWS).repeat_interleave(PATCH_COLUMNS, dim=0)
    return torch.cat([rows, sinusoids(PATCH_COLUMNS).repeat(PATCH_ROWS, 1)], dim=1)


def forward_columns(
    network: ASTForAudioClassification, features: Tensor, columns: Tensor
) -> Tensor:
    """Compute logits ``[batch, labels]`` from some patch columns only (patchout: Koutini et al.,
    Interspeech 2022): ``features`` are ``[batch, 16 * columns, 128]``, ``columns`` their numbers.
    With all 64 columns this equals calling the network."""
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
    """Train from scratch; return the averaged network and the loss of each step."""
    network = new_network(scenes)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.985))
    losses: list[float] = []
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05
    )
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.rate)
    for step in range(schedule.steps):
        size, count = schedule.sizes(step)
        examples = zip(*(scenes.example(count) for _ in range(size)), strict=True)
        features, targets, columns = (torch.from_numpy(np.stack(part)) for part in examples)
        logits = forward_columns(network, features, columns)
        # Targets of 0.005 and 0.975 keep the logits of easy examples finite.
        loss = nn.functional.binary_cross_entropy_with_logits(logits, 0.97 * targets + 0.005)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        rates.step()
        average.update_parameters(network)
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            logger.info("step %d: loss %.4f", step + 1, np.mean(losses[-100:]))
    trained = average.module.eval()
    assert isinstance(trained, ASTForAudioClassification)
    return trained, losses


def save(network: ASTForAudioClassification, directory: Path) -> None:
    """Write the model and its feature extractor."""
    network.save_pretrained(directory)
    ASTFeatureExtractor().save_pretrained(directory)
