"""Optimisation: binary cross-entropy, AdamW, an exponential moving average of the weights."""

import copy
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import ASTFeatureExtractor, ASTForAudioClassification

from training.network import forward_columns, keep_labels, new_network
from training.scenes import PATCH_COLUMNS, SceneMaker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """Steps and rates."""

    steps: int = 1500
    batch_size: int = 32
    columns: int = 15
    """Patch columns a training example shows, out of 64."""
    full_share: float = 0.1
    """Share of the steps, at the end, that show all columns in batches a third the size."""
    learning_rate: float = 1e-3
    warm_up: int = 60
    """Steps over which the learning rate rises."""
    decay_share: float = 0.35
    """Share of the steps, at the end, over which it falls to a hundredth."""
    weight_decay: float = 0.05
    averaging: float = 0.985
    """Decay of the moving average that becomes the model."""
    seed: int = 0

    def is_full(self, step: int) -> bool:
        """Whether a step shows all columns."""
        return step >= self.steps * (1 - self.full_share)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rise = (step + 1) / self.warm_up
        fall = (1 - step / self.steps) / self.decay_share + 0.01
        return self.learning_rate * min(1.0, rise) * min(1.0, fall)


def train(scenes: SceneMaker, schedule: Schedule) -> tuple[ASTForAudioClassification, list[float]]:
    """Trains from scratch; returns the averaged network and the loss of each step."""
    network = new_network(scenes, schedule.seed)
    average = copy.deepcopy(network)
    optimizer = new_optimizer(network, schedule)
    losses: list[float] = []
    started = time.monotonic()
    for step in range(schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        features, targets, columns = batch(scenes, schedule, step)
        logits = forward_columns(network, features, columns)
        # Targets of 0.005 and 0.975 keep the logits of easy examples finite.
        loss = nn.functional.binary_cross_entropy_with_logits(logits, 0.97 * targets + 0.005)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        follow(average, network, min(schedule.averaging, (step + 1) / (step + 10)))
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            recent = np.mean(losses[-100:])
            logger.info("step %d: loss %.4f, %.0f s", step + 1, recent, time.monotonic() - started)
    return average.eval(), losses


def new_optimizer(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """AdamW that decays matrices but no biases, norms, tokens or positions."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        special = parameter.ndim < 2 or "token" in name or "position" in name
        (free if special else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": schedule.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.98))


def batch(scenes: SceneMaker, schedule: Schedule, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, targets and column numbers of one step."""
    full = schedule.is_full(step)
    size = max(2, schedule.batch_size // 3) if full else schedule.batch_size
    columns = PATCH_COLUMNS if full else schedule.columns
    examples = [scenes.example(columns) for _ in range(size)]
    return (
        torch.from_numpy(np.stack([example.features for example in examples])),
        torch.from_numpy(np.stack([example.targets for example in examples])),
        torch.from_numpy(np.stack([example.columns for example in examples])),
    )


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves the average towards the network."""
    for mean, current in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(current, 1 - decay)


def save(network: ASTForAudioClassification, directory: Path) -> None:
    """Writes the model and its feature extractor as ``from_pretrained`` reads them."""
    keep_labels(network).save_pretrained(directory)
    ASTFeatureExtractor().save_pretrained(directory)
