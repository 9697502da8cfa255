"""A model that is compiled for batches of one size."""

import logging
import time
from typing import Any

import torch

from tasks.errors import error_text

log = logging.getLogger(__name__)


class CompiledModel:
    """Computes logits by code that torch.compile makes for batches of one size.

    Smaller batches are padded to that size: compiling for another one would take as long again. The
    start and the outcome of compiling are logged. A model that cannot be compiled, for example
    without a C++ compiler, runs as it is.

    Args:
        model: takes ``input_values``, shape (clips, frames, mel bins).

    Attributes:
        outcome: of compiling, in a sentence; "" before the first batch.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._compiled: Any = torch.compile(model, dynamic=False)
        self._size = 0  # of the batches that it is compiled for
        self.outcome = ""

    def __call__(self, features: torch.Tensor, size: int) -> torch.Tensor:
        """Return the logits of at most ``size`` clips; compile first if ``size`` is a new one."""
        if self._compiled is self._model:
            return _logits(self._model, features)
        padding = (0, 0, 0, 0, 0, size - len(features))
        padded = torch.nn.functional.pad(features, padding)
        if size != self._size:
            self._compile(padded)
        return _logits(self._compiled, padded)[: len(features)]

    def _compile(self, batch: torch.Tensor) -> None:
        """Compute a batch, which compiles the model for its size."""
        size, started = len(batch), time.monotonic()
        log.info("compiling the model for batches of %d: takes a minute or two", size)
        from torch._inductor.utils import fresh_cache  # takes a second, so only when needed

        try:
            with fresh_cache():  # otherwise PyTorch loads pickles and code from a folder in /tmp
                _logits(self._compiled, batch)
        except torch.OutOfMemoryError:
            raise  # the batch is too large
        except Exception as error:  # noqa: BLE001 - what torch raises here has no one base
            self._compiled = self._model
            reason = error_text(error).partition(r"\n")[0]
            self.outcome = f"the model cannot be compiled, so it runs as it is: {reason}"
            log.warning("%s", self.outcome)
        else:
            self._size = size
            self.outcome = f"compiled the model in {time.monotonic() - started:.0f} s"
            log.info("%s", self.outcome)


def _logits(model: Any, features: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_values=features).logits
    return logits
