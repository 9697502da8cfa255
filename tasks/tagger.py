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
from tasks.cache import entry_key
from tasks.errors import ConfigurationError
from tasks.identify import Video
from tasks.model import Checkpoint, CheckpointId, Dtype

if TYPE_CHECKING:
    from tasks.model.classifier import Classifier


@dataclass(frozen=True)
class TaggerRequest:
    """What the user asks for.

    Attributes:
        checkpoint: the model's name.
        channels: which of a video are heard.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: what the model computes in.
        batch_size: clips at a time; None is what fills the device.
        windows: how much of a video is heard.
        retry_failed: decode also what is known to fail.
        compile_model: compile it for this batch size, where that can be done.
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
        window: what it hears at a time.
        windows: how much of a video it hears.
        device: where it runs (``cpu``, ``cuda``, ``cuda:1``); changes no answer.
        dtype: what it computes in.
        batch_size: clips at a time; changes no answer.
        computes_on: the device and the number format in words: ``CPU, bfloat16``.
        retry_failed: whether what is known to fail is decoded again; changes no answer.
        compile_model: whether it is compiled; changes no answer but for rounding.
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
        from tasks.model.device import choose_batch_size, choose_device, choose_dtype, describe

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
            describe(device, dtype),
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
            What came of compiling, in a sentence; "" where nobody asked for it.

        Raises:
            ConfigurationError: they are not an audio classifier's.
        """
        return self._classifier().compilation

    def start_loading(self) -> None:
        """Load the weights on a thread; what is wrong with them is raised by the first use."""

        def load() -> None:
            with suppress(ConfigurationError):
                self.load()

        threading.Thread(target=load, name="load model", daemon=True).start()

    def score_key(self, video: Video) -> str:
        """Name a video's scores: the identity of the video, its windows, and the model.

        Not the size of batches, nor whether the model is compiled: that only rounds otherwise.
        """
        heard = (asdict(video), asdict(self.window), self.windows)
        return entry_key("scores-1", *heard, self.checkpoint.fingerprint, self.dtype)

    def predict(self, clips: Iterable[Clip]) -> Iterator[NDArray[np.float32] | None]:
        """Yield the logits of each clip, in order; None where the model's answer is no number."""
        return self._classifier().predict(clips, self.batch_size)

    def _classifier(self) -> "Classifier":
        from tasks.model.classifier import load_classifier

        size = self.batch_size if self.compile_model else None
        return load_classifier(self.checkpoint, self.device, self.dtype, size)
