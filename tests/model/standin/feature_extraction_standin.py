"""The feature extractor of the stand-in: the level of each frame."""

from typing import Any

import numpy as np
import torch
from transformers import BatchFeature, SequenceFeatureExtractor


class StandinFeatureExtractor(SequenceFeatureExtractor):
    def __init__(self, hop_size: int = 160, **kwargs: Any) -> None:
        usual = {"feature_size": 1, "sampling_rate": 16_000, "padding_value": 0.0}
        super().__init__(**usual | kwargs)
        self.hop_size = hop_size

    def __call__(self, clips: list[Any], **kwargs: Any) -> BatchFeature:
        waveforms = torch.tensor(np.stack(clips))
        padded = torch.nn.functional.pad(waveforms, (self.hop_size // 2, self.hop_size // 2))
        frames = padded.unfold(-1, self.hop_size, self.hop_size)
        levels = frames.square().mean(-1).clamp(1e-10).log10()
        return BatchFeature({"input_values": levels})
