"""Log-mel spectrograms equal to those of ``ASTFeatureExtractor``, before padding and scaling.

Kaldi's filter bank: frames of 25 ms every 10 ms, mean removed, pre-emphasis, Hann window, power
spectrum, 128 mel bins over 20 Hz to 8 kHz, natural logarithm with a floor of float32's epsilon.
"""

import warnings
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from transformers.audio_utils import mel_filter_bank, window_function

from training.sound import CLIP_SAMPLES, SAMPLE_RATE, Signal

LogMel: TypeAlias = NDArray[np.float32]

FRAME = 400
HOP = 160
FFT_SIZE = 512
PREEMPHASIS = 0.97
MEL_BINS = 128
CLIP_FRAMES = 1 + (CLIP_SAMPLES - FRAME) // HOP
LOG_FLOOR = float(np.log(np.finfo(np.float32).eps))

with warnings.catch_warnings():
    # The lowest of 128 filters are narrower than a bin of the spectrum: so they are in AST.
    warnings.filterwarnings("ignore", "At least one mel filter has all zero values")
    MEL_FILTERS = mel_filter_bank(
        num_frequency_bins=FFT_SIZE // 2 + 1,
        num_mel_filters=MEL_BINS,
        min_frequency=20,
        max_frequency=SAMPLE_RATE / 2,
        sampling_rate=SAMPLE_RATE,
        norm=None,
        mel_scale="kaldi",
        triangularize_in_mel_space=True,
    )
WINDOW = window_function(FRAME, "hann", periodic=False)


def log_mel(x: Signal) -> LogMel:
    """``[frames, 128]`` of a signal at 16 kHz; a clip of 10.24 s has 1,022 frames."""
    frames = np.lib.stride_tricks.sliding_window_view(x, FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    windowed = (frames - PREEMPHASIS * previous) * WINDOW
    power = np.abs(np.fft.rfft(windowed, FFT_SIZE)) ** 2
    logs = np.log(np.maximum(power @ MEL_FILTERS, np.exp(LOG_FLOOR)))
    return np.asarray(logs, dtype=np.float32)
