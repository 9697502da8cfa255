"""The model: how the user names it, and what is known before its weights are loaded.

The other modules of this folder import torch and transformers, which takes seconds. So they are
imported only where a model is needed: a run that has nothing to do, or whose model is misspelt,
does not wait for them.
"""

import os
from dataclasses import dataclass
from typing import Any, Literal

from tasks.scores import Activation

# How often a thread of OpenMP's looks for its next operation before it sleeps. libgomp's default is
# 300,000 times, some milliseconds of a core that the decoder processes need. It is read when torch
# is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

DEFAULT_CHECKPOINT = "MIT/ast-finetuned-audioset-10-10-0.4593"

Dtype = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class CheckpointId:
    """How the user names a checkpoint.

    Attributes:
        hf_ast: id of a model on the hub, or a local folder.
        revision: branch, tag or commit of a hub model; None is its default branch.
        trust_remote_code: run the Python code that comes with the checkpoint.
    """

    hf_ast: str = DEFAULT_CHECKPOINT
    revision: str | None = None
    trust_remote_code: bool = False

    @property
    def arguments(self) -> dict[str, str | bool]:
        """Keyword arguments that every ``from_pretrained`` takes."""
        return {"revision": self.revision or "main", "trust_remote_code": self.trust_remote_code}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found, without its weights.

    Attributes:
        named: as the user names it.
        fingerprint: changes with everything that decides its logits.
        sampling_rate: of its input, in Hz.
        num_samples: length of its input, in samples.
        labels: the names of its logits, in order.
        activation: turns its logits into probabilities.
        extractor: its feature extractor; transformers has no type for all of them.
    """

    named: CheckpointId
    fingerprint: str
    sampling_rate: int
    num_samples: int
    labels: tuple[str, ...]
    activation: Activation
    extractor: Any
