"""Log-mel features of the Audio Spectrogram Transformer, batched and on the model's device.

ASTFeatureExtractor has two implementations: torchaudio's, which few installations have, and a
numpy loop over frames that costs about 90 ms of CPU a clip. This is the same Kaldi filter bank
(``compute-fbank-feats`` as in torchaudio.compliance.kaldi.fbank) as a handful of tensor operations
over the whole batch.
"""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import ASTFeatureExtractor
from transformers.audio_utils import mel_filter_bank, window_function

from tasks.model.batch import Batch

SAMPLING_RATE = 16_000
FRAME_LENGTH = 400  # 25 ms at 16 kHz
FRAME_SHIFT = 160  # 10 ms
FFT_LENGTH = 512  # the power of two above the frame
PREEMPHASIS = 0.97
LOWEST_FREQUENCY = 20  # Hz
ENERGY_FLOOR = float(np.finfo(np.float32).eps)

# Frames computed at a time on a CPU: few enough to stay in a core's cache.
_CPU_FRAMES = 256


def samples_for(frames: int) -> int:
    """Return how many samples fill ``frames`` exactly (164,080 for AST's 1,024 frames)."""
    return FRAME_LENGTH + (frames - 1) * FRAME_SHIFT


def _mel_filters(mel_bins: int) -> NDArray[np.float64]:
    """Return triangles in Kaldi's mel scale, shape (FFT bins, mel bins)."""
    with warnings.catch_warnings():
        # At 128 bins the lowest triangles fall between two FFT bins, in the checkpoints too.
        warnings.simplefilter("ignore", UserWarning)
        filters: NDArray[np.float64] = mel_filter_bank(
            num_frequency_bins=FFT_LENGTH // 2 + 1,
            num_mel_filters=mel_bins,
            min_frequency=LOWEST_FREQUENCY,
            max_frequency=SAMPLING_RATE // 2,
            sampling_rate=SAMPLING_RATE,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
    return filters


class LogMelFeatures:
    """The features of one :class:`ASTFeatureExtractor`, equal to its own within 5e-4.

    Args:
        extractor: the checkpoint's own, for its sizes and its normalisation; 16 kHz.
        device: where to compute.
    """

    def __init__(self, extractor: ASTFeatureExtractor, device: torch.device) -> None:
        if extractor.sampling_rate != SAMPLING_RATE:
            raise ValueError(f"AST features are defined at {SAMPLING_RATE} Hz only")
        self.frames: int = extractor.max_length
        self.device = device
        # One affine map: (x - mean) / (2 std), or nothing.
        self.mean: float = extractor.mean if extractor.do_normalize else 0.0
        self.scale: float = 2 * extractor.std if extractor.do_normalize else 1.0
        window = window_function(FRAME_LENGTH, "hann", periodic=False)
        mel = _mel_filters(extractor.num_mel_bins)
        self.mel = torch.as_tensor(mel, dtype=torch.float32, device=device)
        self.window = torch.as_tensor(window, dtype=torch.float64, device=device)

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> torch.Tensor:
        """Compute the features of a batch, without waiting for the device.

        Args:
            batch: on the device; 16 kHz, no clip longer than the window.

        Returns:
            float32, shape (clips, frames, mel bins), on the device. Frames beyond the end of a clip
            are 0.0 before they are normalised, as the checkpoint was trained.
        """
        waveforms = batch.waveforms()
        missing = max(0, FRAME_LENGTH - waveforms.shape[1])
        waveforms = torch.nn.functional.pad(waveforms, (0, missing))
        frames = waveforms.unfold(-1, FRAME_LENGTH, FRAME_SHIFT)  # a view, not a copy
        if self.device.type == "cpu":
            parts = [[self._log_mel(part) for part in clip.split(_CPU_FRAMES)] for clip in frames]
            log_mel = torch.stack([torch.cat(clip) for clip in parts])
        else:
            log_mel = self._log_mel(frames)
        frame_counts = 1 + (batch.lengths - FRAME_LENGTH) // FRAME_SHIFT
        longest = log_mel.shape[1]
        sounding = torch.arange(longest, device=self.device) < frame_counts[:, None]
        log_mel *= sounding[:, :, None]
        log_mel = torch.nn.functional.pad(log_mel, (0, 0, 0, self.frames - longest))
        return log_mel.sub_(self.mean).div_(self.scale)

    def _log_mel(self, frames: torch.Tensor) -> torch.Tensor:
        """Turn frames (..., samples) into log-mel features (..., mel bins).

        In float64 until the power: beside a loud tone, the quiet bins of a frame are lost in the
        rounding of float32.
        """
        frames = frames.to(torch.float64)
        frames -= frames.mean(-1, keepdim=True)
        emphasised = frames.clone()
        emphasised[..., 1:] -= PREEMPHASIS * frames[..., :-1]
        # A frame's first sample has no predecessor: Kaldi repeats it.
        emphasised[..., 0] *= 1 - PREEMPHASIS
        emphasised *= self.window
        spectrum = torch.fft.rfft(emphasised, FFT_LENGTH)
        # Several times as fast as abs(), or as a sum over the pair.
        power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
        log_mel: torch.Tensor = power.to(torch.float32) @ self.mel
        return log_mel.clamp_min_(ENERGY_FLOOR).log_()
