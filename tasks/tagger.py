"""The tagger: what decides the scores of a video, and how they are computed."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from tasks.audio.clip import Clip
from tasks.audio.window import Channels, Window, Windows
from tasks.cache import SCORES, entry_key
from tasks.identify import Video
from tasks.model import Checkpoint, CheckpointId, Dtype

if TYPE_CHECKING:
    from tasks.model.classifier import Classifier


@dataclass(frozen=True)
class TaggerRequest:
    """What the user requests.

    Attributes:
        checkpoint: the model's name.
        channels: which channels of a video are used.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: the number format that the model computes in.
        batch_size: clips at a time; None takes as many as fill the device.
        windows: which parts of a video are extracted.
        retry_failed: decode even videos that are known to fail.
        compile_model: compile the model for this batch size, where that is possible.
    """

    checkpoint: CheckpointId
    channels: Channels = "mix"
    device: str = "auto"
    dtype: Dtype = "auto"
    batch_size: int | None = None
    windows: Windows = "start"
    retry_failed: bool = False
    compile_model: bool = False


@dataclass(frozen=True)
class Tagger:
    """What decides the scores of a video, and how they are computed.

    Attributes:
        checkpoint: the model.
        window: the input that it takes.
        windows: which parts of a video are extracted.
        device: where it runs (``cpu``, ``cuda``, ``cuda:1``); changes no answer.
        dtype: the number format that it computes in.
        batch_size: clips at a time; changes no answer.
        computes_on: the device and the number format, for a person: ``CPU, bfloat16``.
        retry_failed: whether videos that are known to fail are decoded again; changes no answer.
        compile_model: whether the model is compiled; changes no answer but for rounding.
    """

    checkpoint: Checkpoint
    window: Window
    windows: Windows
    device: str
    dtype: Dtype
    batch_size: int
    computes_on: str
    retry_failed: bool = False
    compile_model: bool = False

    @classmethod
    def find(cls, request: TaggerRequest) -> Self:
        """Find the checkpoint and the device; the weights are not loaded.

        Raises:
            ConfigurationError: no such model or device.
        """
        from tasks.model.checkpoint import find_checkpoint
        from tasks.model.device import (
            choose_batch_size,
            choose_device,
            choose_dtype,
            describe_device,
        )

        checkpoint = find_checkpoint(request.checkpoint)
        device = choose_device(request.device)
        dtype = choose_dtype(request.dtype, device)
        return cls(
            checkpoint,
            Window(checkpoint.sampling_rate, checkpoint.num_samples, request.channels),
            request.windows,
            str(device),
            dtype,
            request.batch_size or choose_batch_size(device),
            describe_device(device, dtype),
            request.retry_failed,
            request.compile_model,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the scores, in order."""
        return self.checkpoint.labels

    def load(self) -> str:
        """Load the weights and compile the model, unless this process has done so.

        Returns:
            The outcome of compiling, in a sentence; "" where it was not requested.

        Raises:
            ConfigurationError: the weights are not those of an audio classifier.
        """
        return self._classifier().compilation

    def start_loading(self) -> None:
        """Load the weights on a thread; an error in them is raised by the first use."""

        def load() -> None:
            with suppress(Exception):
                self.load()

        # Not a daemon: a process that ends while one is inside PyTorch may abort. A run that is
        # stopped does not wait for it (flows/stopping.py).
        threading.Thread(target=load, name="load model").start()

    def score_key(self, video: Video) -> str:
        """Return the key of a video's scores: the video's identity, its windows, and the model.

        The batch size and compilation are not part of it: they change the rounding only.
        """
        extracted = (asdict(video), asdict(self.window), self.windows)
        return entry_key(SCORES, *extracted, self.checkpoint.fingerprint, self.dtype)

    def predict(self, clips: Iterable[Clip]) -> Iterator[NDArray[np.float32] | None]:
        """Yield the logits of each clip, in order; None where they are not all finite."""
        return self._classifier().predict(clips, self.batch_size)

    def _classifier(self) -> "Classifier":
        from tasks.model.loading import load_classifier

        size = self.batch_size if self.compile_model else None
        return load_classifier(self.checkpoint, self.device, self.dtype, size)
