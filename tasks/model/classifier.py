"""The audio classifier: computes the logits of clips in batches.

How a batch travels::

    calling thread   take 1   take 2   (waits)   take 3
    model thread              stack 1, start 1   stack 2, start 2   stack 3, start 3
    copy stream                       upload 1           upload 2           upload 3
    GPU                                          compute 1          compute 2

On a GPU the model thread only starts the work: nobody waits for the GPU but the calling thread, for
the logits. On a CPU the model thread computes, while the calling thread takes the next clips.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.errors import ConfigurationError
from tasks.model import Checkpoint
from tasks.model.batch import Batch, Sound, Waveform, to_float
from tasks.model.check import Probe, to_logits
from tasks.model.checkpoint import is_ast
from tasks.model.compiled import CompiledModel
from tasks.model.device import choose_batch_size
from tasks.model.features import LogMelFeatures
from tasks.scores import Activation

log = logging.getLogger(__name__)

Logits = NDArray[np.float32]

AST = "audio-spectrogram-transformer"
"""The type of model that is known: others are checked, and never compiled."""

# Batches of one caller in progress: one is computed, the next is stacked and uploaded.
_IN_PROGRESS = 2


class Classifier:
    """A model with its features: clips in, logits out.

    Safe to call from several threads; one batch is computed at a time.

    Attributes:
        batch_size: clips in a batch where the caller names no number.
        one_at_a_time: whether a batch would change the model's answers: see :mod:`.check`.
        undoes: the activation that the model itself applies to its logits.
        compilation: the outcome of compiling the model, in a sentence; "" where it was not
            requested.
    """

    one_at_a_time = False
    undoes: Activation = "none"
    compilation = ""

    def __init__(
        self,
        model: Any,
        checkpoint: Checkpoint,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.model = model.to(device).eval()
        self.checkpoint = checkpoint
        self.device, self.dtype = device, dtype
        self.batch_size = choose_batch_size(device)
        extractor = checkpoint.extractor
        self._features = LogMelFeatures(extractor, device) if is_ast(extractor) else None
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._compiled: CompiledModel | None = None
        # Set once memory has run out, or the model is compiled for batches of this size.
        self._max_batch: int | None = None
        # One thread for all callers, so that the caches that PyTorch and OpenMP keep for each
        # thread, and OpenMP's threads for it, exist once, and one batch is computed at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    def compile(self, batch_size: int) -> None:
        """Compile the model for batches of this size, on the calling thread; log the outcome."""
        if self._features is None or self.model.config.model_type != AST:
            self.compilation = f"the model is not compiled: only models of the type {AST} are"
            log.warning("%s", self.compilation)
            return
        self._compiled = CompiledModel(self.model)
        self.batch_size = self._max_batch = batch_size
        self._compute(self._stack([Probe(np.zeros(self.checkpoint.num_samples, np.int16), 1.0)]))
        self.compilation = self._compiled.outcome

    def predict(
        self, clips: Iterable[Sound], batch_size: int | None = None
    ) -> Iterator[Logits | None]:
        """Yield the logits of each clip, in order, as soon as its batch is computed.

        Args:
            clips: mono, at the checkpoint's sampling rate, at least 25 ms long. They are taken as
                they are needed, at most two batches ahead of the logits.
            batch_size: clips in a batch; changes no answer.

        Yields:
            float32, shape ``(labels,)``; None for a clip whose logits are not all finite: the clip
            is at fault, since the weights were checked when they were loaded.

        Raises:
            ConfigurationError: one clip does not fit in the device's memory.
        """
        remaining = iter(clips)
        in_progress: deque[Future[_BatchLogits]] = deque()
        while batch := list(islice(remaining, batch_size or self.batch_size)):
            in_progress.append(self._thread.submit(self._answer, batch))
            if len(in_progress) == _IN_PROGRESS:
                yield from in_progress.popleft().result().rows()
        for answer in in_progress:
            yield from answer.result().rows()

    def logits(self, clips: Sequence[Sound]) -> torch.Tensor:
        """Return the logits of one batch as float32 on the CPU, shape (clips, labels)."""
        return self._thread.submit(lambda: self._compute(self._stack(clips))).result().cpu()

    def _stack(self, clips: Sequence[Sound]) -> Batch | list[Waveform]:
        if self._features is None:
            return [to_float(clip) for clip in clips]
        return Batch.stack(clips, self.checkpoint.num_samples, self.device)

    @torch.inference_mode()
    def _answer(self, clips: Sequence[Sound]) -> "_BatchLogits":
        logits = self._compute(self._stack(clips))
        if self.device.type != "cuda":
            return _BatchLogits(logits)
        on_host = torch.empty(logits.shape, pin_memory=True)
        on_host.copy_(logits, non_blocking=True)
        ready = torch.cuda.Event(blocking=True)  # a thread that waits for it sleeps
        ready.record(torch.cuda.current_stream(self.device))
        return _BatchLogits(on_host, ready)

    @torch.inference_mode()
    def _compute(self, batch: Batch | list[Waveform]) -> torch.Tensor:
        """Compute the logits of a batch; of halves, quarters and so on when memory runs out."""
        parts: list[torch.Tensor] = []
        start = 0
        while start < len(batch):
            part = batch[start : start + (self._max_batch or len(batch))]
            try:
                parts.append(self._forward(part))
                start += len(part)
            except torch.OutOfMemoryError as error:
                padded_to = self._max_batch if self._compiled else None
                self._halve(padded_to or len(part), error)
        return torch.cat(parts)

    def _halve(self, size: int, error: Exception) -> None:
        """Go on with batches of half this size, for good."""
        if size == 1:
            raise ConfigurationError(f"One clip does not fit in {self.device}'s memory.") from error
        self._max_batch = size // 2
        torch.cuda.empty_cache()
        log.warning("out of memory with %d clips; going on with batches of %d", size, size // 2)

    def _forward(self, batch: Batch | list[Waveform]) -> torch.Tensor:
        if self.one_at_a_time and len(batch) > 1:
            return torch.cat([self._forward(batch[n : n + 1]) for n in range(len(batch))])
        if isinstance(batch, Batch):
            assert self._features is not None
            on_device = batch if self._copies is None else batch.upload(self._copies)
            inputs = {"input_values": self._features(on_device)}
        elif len({len(waveform) for waveform in batch}) == 1:
            inputs = self.checkpoint.extractor(
                batch, sampling_rate=self.checkpoint.sampling_rate, return_tensors="pt"
            )
        else:
            # Padding that a model was not trained with would change its logits.
            return torch.cat([self._forward([waveform]) for waveform in batch])
        inputs = {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        if self._compiled and self._max_batch:
            logits = self._compiled(inputs["input_values"], self._max_batch)
        else:
            logits = self.model(**inputs).logits
        return to_logits(logits.float(), self.undoes)


@dataclass(frozen=True)
class _BatchLogits:
    """The logits of a batch, perhaps still being computed."""

    logits: torch.Tensor
    ready: torch.cuda.Event | None = None

    def rows(self) -> Iterator[Logits | None]:
        if self.ready is not None:
            self.ready.synchronize()
        for row in self.logits.numpy():
            # A copy: a row that is kept would hold its batch, and 65 kB of the heap around it.
            yield row.copy() if np.isfinite(row).all() else None
