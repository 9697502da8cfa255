"""Turn logits into probabilities."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.scores import Activation

Probabilities = npt.NDArray[np.float64]  # shape (windows, labels)

AUDIOSET_LABELS = 527

_PROBLEM_TYPES: dict[str, Activation] = {
    "multi_label_classification": "sigmoid",
    "single_label_classification": "softmax",
}


class Reasoned(NamedTuple):
    """An activation, and why it was chosen."""

    activation: Activation
    reason: str


def activation_of(config: Any) -> Reasoned:
    """Tell which activation the logits of a checkpoint are made for.

    If the configuration has a ``problem_type``, that decides. Many have none, AST on AudioSet among
    them; AudioSet is then recognised by the number of its labels.

    Args:
        config: the checkpoint's ``PretrainedConfig``.
    """
    problem_type = getattr(config, "problem_type", None)
    if problem_type in _PROBLEM_TYPES:
        return Reasoned(_PROBLEM_TYPES[problem_type], f"its problem_type is {problem_type}")
    if config.num_labels == AUDIOSET_LABELS:
        return Reasoned("sigmoid", "its 527 labels are AudioSet's, of which several may apply")
    if config.num_labels == 1:
        return Reasoned("sigmoid", "it has one label")
    return Reasoned("softmax", "its configuration does not say that several labels may apply")


def probabilities(logits: npt.NDArray[np.floating], activation: Activation) -> Probabilities:
    """Return the probabilities of logits, shape ``(windows, labels)``."""
    values = logits.astype(np.float64)
    match activation:
        case "sigmoid":
            values = np.exp(-np.logaddexp(0, -values))
        case "softmax":
            values = np.exp(values - values.max(-1, keepdims=True))
            values /= values.sum(-1, keepdims=True)
    return values.clip(0, 1)  # float16 may have rounded a probability
