"""The audio classifier: loaded once a process, predicts in batches."""

import functools
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from transformers import AutoModelForAudioClassification
from transformers.utils.logging import disable_progress_bar

from tasks.errors import ConfigurationError
from tasks.model import Checkpoint, Dtype
from tasks.model.checkpoint import explained, is_ast
from tasks.model.features import LogMelFeatures, Waveform

log = logging.getLogger(__name__)

disable_progress_bar()  # of transformers: a bar for a model that loads in a second


def choose_device(name: str) -> torch.device:
    """``auto`` is the GPU where there is one; ConfigurationError for a device that is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(
            f"There is no device {name!r}: use auto, cpu or cuda:N."
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigurationError(f"The device {name} was asked for, but {count} are usable here.")
    return device


def choose_dtype(name: Dtype, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 on a GPU that computes in it; on a CPU without it float32 is faster."""
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


class Classifier:
    """A model with its features: waveforms in, logits or labels out.

    Safe to call from several threads; one batch is computed at a time.
    """

    def __init__(
        self, model: Any, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.model = model.to(device).eval()
        self.checkpoint = checkpoint
        self.device, self.dtype = device, dtype
        self.labels = [model.config.id2label[row] for row in range(model.config.num_labels)]
        extractor = checkpoint.extractor
        self._features = LogMelFeatures(extractor, device) if is_ast(extractor) else None
        self._largest_batch: int | None = None  # known once memory has run out
        # A thread of its own, whoever asks: what a thread's allocator, and OpenMP for it, keep of a
        # batch is then kept once, and one batch is computed at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    @property
    def dtype_name(self) -> Dtype:
        return "bfloat16" if self.dtype == torch.bfloat16 else "float32"

    def predict(self, waveforms: Sequence[Waveform]) -> list[str]:
        """The top label of each waveform.

        Sigmoid and softmax both keep the order of the logits, so neither is computed.
        """
        return [self.labels[row] for row in self.logits(waveforms).argmax(-1).tolist()]

    def logits(self, waveforms: Sequence[Waveform]) -> torch.Tensor:
        """Logits of one batch; when the GPU's memory runs out, of two halves of it, and so on.

        Args:
            waveforms: mono, at the checkpoint's sampling rate, at least 25 ms long.

        Returns:
            float32 on the CPU, shape (batch, labels).

        Raises:
            ConfigurationError: the model answers with NaN, or one waveform does not fit in memory.
        """
        return self._thread.submit(self._logits, waveforms).result()

    def _logits(self, waveforms: Sequence[Waveform]) -> torch.Tensor:
        rows: list[torch.Tensor] = []
        while (done := sum(map(len, rows))) < len(waveforms):
            batch = waveforms[done : done + (self._largest_batch or len(waveforms))]
            try:
                rows.append(self._forward(batch))
            except torch.OutOfMemoryError as error:
                self._shrink(len(batch), error)
        logits = torch.cat(rows)
        if not torch.isfinite(logits).all():
            raise ConfigurationError(f"{self.checkpoint.id.hf_ast} answers with NaN or infinity.")
        return logits

    def _shrink(self, size: int, error: Exception) -> None:
        if size == 1:
            raise ConfigurationError(f"One clip does not fit in {self.device}'s memory.") from error
        self._largest_batch = size // 2
        torch.cuda.empty_cache()
        log.warning("out of memory with %d clips; going on with batches of %d", size, size // 2)

    @torch.inference_mode()
    def _forward(self, waveforms: Sequence[Waveform]) -> torch.Tensor:
        if self._features is not None:
            inputs = {"input_values": self._features(waveforms)}
        elif len({len(waveform) for waveform in waveforms}) == 1:
            inputs = self.checkpoint.extractor(
                list(waveforms), sampling_rate=self.checkpoint.sampling_rate, return_tensors="pt"
            )
        else:
            # Padding that a model was not trained for would change its answer.
            return torch.cat([self._forward([waveform]) for waveform in waveforms])
        logits: torch.Tensor = self.model(**{k: self._cast(v) for k, v in inputs.items()}).logits
        return logits.float().cpu()

    def _cast(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.device, self.dtype if value.is_floating_point() else None)


_loaded = threading.Lock()


def load_classifier(checkpoint: Checkpoint, device: str, dtype: Dtype) -> Classifier:
    """The classifier of a checkpoint; a process loads each one once.

    Raises:
        ConfigurationError: no such device, or the weights are not an audio classifier's.
    """
    chosen = choose_device(device)
    with _loaded:  # lru_cache alone lets two threads load at the same time
        return _load(_Key(checkpoint), chosen, choose_dtype(dtype, chosen))


class _Key:
    """A checkpoint that compares by its fingerprint (feature extractors do not hash)."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and hash(self) == hash(other)

    def __hash__(self) -> int:
        return hash(self.checkpoint.fingerprint)


@functools.lru_cache(maxsize=1)
def _load(key: _Key, device: torch.device, dtype: torch.dtype) -> Classifier:
    id = key.checkpoint.id
    with explained(id):
        # SDPA attention is what transformers takes by itself wherever the model has it.
        model, info = AutoModelForAudioClassification.from_pretrained(
            id.hf_ast, dtype=dtype, output_loading_info=True, **id.arguments
        )
    if info["missing_keys"] or info["mismatched_keys"]:
        # transformers makes them up at random and goes on: every tag would be wrong.
        missing = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
        raise ConfigurationError(
            f"{id.hf_ast} is not an audio classifier: it has no weights for {missing[0]}."
        )
    return Classifier(model, key.checkpoint, device, dtype)
