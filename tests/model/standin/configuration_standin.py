"""The configuration of the stand-in."""

from typing import Any

from transformers import PretrainedConfig


class StandinConfig(PretrainedConfig):
    """
    Args:
        takes: the most frames that are one input; more are split.
        target_length: the same, told by the name that CED has for it.
        outputs: what the model gives.
    """

    model_type = "standin"

    def __init__(
        self,
        takes: int = 100,
        target_length: int | None = None,
        outputs: str = "logits",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.takes, self.target_length, self.outputs = takes, target_length, outputs
