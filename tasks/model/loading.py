"""Load an audio classifier: once in a process, and only with weights that can be trusted."""

import functools
import threading
from concurrent.futures import Future

import torch
from transformers import AutoModelForAudioClassification
from transformers.utils.logging import disable_progress_bar

from tasks.errors import ConfigurationError
from tasks.model import Checkpoint, Dtype
from tasks.model.check import check
from tasks.model.checkpoint import in_one_sentence
from tasks.model.classifier import AST, Classifier
from tasks.model.device import choose_device, choose_dtype

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_load_lock = threading.Lock()

disable_progress_bar()  # of transformers: a bar for a model that loads in a second


def load_classifier(
    checkpoint: Checkpoint, device: str, dtype: Dtype, compile_for: int | None = None
) -> Classifier:
    """Return the classifier of a checkpoint; a process loads each one once.

    Args:
        compile_for: compile the model for batches of this size; None leaves it as it is.

    Raises:
        ConfigurationError: there is no such device, or the weights are not those of an audio
            classifier.
    """
    chosen = choose_device(device)
    with _load_lock:  # lru_cache alone would let two threads load at the same time
        return _load(_Key(checkpoint), chosen, _DTYPES[choose_dtype(dtype, chosen)], compile_for)


class _Key:
    """A checkpoint, compared by its fingerprint: feature extractors have no hash."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and hash(self) == hash(other)

    def __hash__(self) -> int:
        return hash(self.checkpoint.fingerprint)


@functools.lru_cache(maxsize=1)
def _load(
    key: _Key, device: torch.device, dtype: torch.dtype, compile_for: int | None
) -> Classifier:
    """Load on a thread that ends, and with it the OpenMP threads that PyTorch starts for it.

    If they lived on, there would be more of them than cores; OpenMP's threads then sleep between
    any two operations, and a small model takes twice as long.
    """
    loaded: Future[Classifier] = Future()

    def load() -> None:
        try:
            loaded.set_result(_load_weights(key.checkpoint, device, dtype, compile_for))
        except BaseException as error:  # noqa: BLE001 - raised by the caller
            loaded.set_exception(error)

    threading.Thread(target=load, name="load model").start()
    return loaded.result()


def _load_weights(
    checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, compile_for: int | None
) -> Classifier:
    """Load the weights, and refuse them if some are missing or not finite; check the model."""
    named = checkpoint.named
    with in_one_sentence(named):
        # transformers uses SDPA attention by itself wherever the model has it.
        model, info = AutoModelForAudioClassification.from_pretrained(
            named.hf_ast, dtype=dtype, output_loading_info=True, **named.arguments
        )
    if info["missing_keys"] or info["mismatched_keys"]:
        # transformers would go on with random ones: every tag would be wrong.
        missing = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
        raise ConfigurationError(
            f"{named.hf_ast} is not an audio classifier: it has no weights for {missing[0]}."
        )
    for name, weights in model.named_parameters():
        if not weights.isfinite().all():
            raise ConfigurationError(
                f"{named.hf_ast} has weights that are NaN or infinite: {name}."
            )
    classifier = Classifier(model, checkpoint, device, dtype)
    if model.config.model_type != AST:
        check(classifier)
    if compile_for:
        classifier.compile(compile_for)
    return classifier
