"""Check a model with three synthetic sounds, before it tags the first video.

A checkpoint may bring any code. CED mixes up the clips of a batch if they are longer than its
input; some models return logits, others probabilities. What a configuration does not say is
measured here.
"""

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.errors import ConfigurationError, error_text
from tasks.model.activation import activation_of
from tasks.scores import Activation

if TYPE_CHECKING:
    from tasks.model.classifier import Classifier

log = logging.getLogger(__name__)

# Between logits, as a share of the largest. In bfloat16 a batch is rounded differently from a clip.
_TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 5e-2}

# With fewer, logits may lie between 0 and 1 by chance.
_MANY_LABELS = 10


class Probe(NamedTuple):
    """A synthetic clip: see :class:`tasks.model.batch.Sound`."""

    samples: NDArray[np.int16]
    peak: float


def check(classifier: "Classifier") -> None:
    """Set how a classifier has to be run, and log what is unusual about it.

    Raises:
        ConfigurationError: it fails on these sounds, or its logits are not finite.
    """
    name = classifier.checkpoint.named.hf_ast
    clips = _probes(classifier.checkpoint.num_samples, classifier.checkpoint.sampling_rate)
    alone = torch.cat([_answer(classifier, clip, name) for clip in clips])
    # Two clips of one length, then three of two lengths, which are batched in another way.
    classifier.one_at_a_time = not all(
        _agrees(classifier, clips[:size], alone[:size]) for size in (2, 3)
    )
    if classifier.one_at_a_time:
        log.warning("%s gives different answers in a batch, so it gets one clip at a time", name)
    if _are_probabilities(alone):
        activation = activation_of(classifier.model.config).activation
        classifier.undoes = activation
        log.info("%s already gives probabilities: no %s is applied", name, activation)
        if activation == "softmax" and not _add_up_to_one(alone):
            log.warning(
                "the probabilities of %s do not add up to 1: its config.json should say"
                " multi_label_classification as problem_type; as it is, scores are shares",
                name,
            )


def to_logits(outputs: torch.Tensor, undoes: Activation) -> torch.Tensor:
    """Return the logits of a model that has applied an activation to them already."""
    if undoes == "none":
        return outputs
    # In float64, where 1 and the float32 below it stay apart.
    likely = outputs.double().clamp(1e-30, 1 - 2**-26)
    return (likely.log() if undoes == "softmax" else likely.log() - (-likely).log1p()).float()


def _probes(samples: int, rate: int) -> list[Probe]:
    """Return three clips that differ widely: a tone, noise, and the first quarter of the noise."""
    noise = np.random.default_rng(0).uniform(-1, 1, samples)
    tone = np.sin(2 * np.pi * 440 / rate * np.arange(samples))
    clips = [Probe(_quantised(tone), 0.5), Probe(_quantised(noise), 0.1)]
    return [*clips, Probe(_quantised(noise[: max(1, samples // 4)]), 0.1)]


def _quantised(sound: NDArray[np.float64]) -> NDArray[np.int16]:
    return (sound * np.iinfo(np.int16).max).astype(np.int16)


def _answer(classifier: "Classifier", clip: Probe, name: str) -> torch.Tensor:
    """Return the logits of one clip.

    Raises:
        ConfigurationError: it has none, or they are not one finite number for each label.
    """
    try:
        logits = classifier.logits([clip])
    except ConfigurationError:
        raise
    except Exception as error:
        said = error_text(error)
        raise ConfigurationError(f"The model {name} fails on a clip: {said}.") from error
    labels = classifier.model.config.num_labels
    if logits.shape != (1, labels):
        shape = " x ".join(map(str, logits.shape))
        raise ConfigurationError(
            f"The model {name} gives {shape} numbers for a clip, not one for each of its {labels}"
            " labels."
        )
    if not logits.isfinite().all():
        raise ConfigurationError(
            f"The model {name} answers a plain sound with NaN or infinity, in"
            f" {str(classifier.dtype).removeprefix('torch.')}."
        )
    return logits


def _agrees(classifier: "Classifier", clips: list[Probe], alone: torch.Tensor) -> bool:
    """Tell whether the logits of clips in a batch are those of each clip alone."""
    try:
        together = classifier.logits(clips)
    except Exception as error:  # noqa: BLE001 - each clip alone went well
        log.warning("a batch of clips fails: %s", error_text(error))
        return False
    if together.shape != alone.shape or not together.isfinite().all():
        return False
    largest = max(1.0, float(alone.abs().max()))
    return float((together - alone).abs().max()) <= _TOLERANCES[classifier.dtype] * largest


def _are_probabilities(outputs: torch.Tensor) -> bool:
    if not bool(((outputs >= 0) & (outputs <= 1)).all()):
        return False
    return outputs.shape[1] >= _MANY_LABELS or _add_up_to_one(outputs)


def _add_up_to_one(outputs: torch.Tensor) -> bool:
    return bool(((outputs.sum(-1) - 1).abs() < 0.02).all())  # bfloat16 has two digits
