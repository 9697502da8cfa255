"""The bank: log-mel spectrograms of thousands of synthesised clips.

Each clip has a generator of its own, seeded by (kind, index), so the bank does not depend on the
number of processes nor on the order in which they work. Spectrograms are those of the checkpoints
that the flow runs, before they are normalised.
"""

import warnings
import zlib
from collections.abc import Callable
from multiprocessing import get_context
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import ASTFeatureExtractor

from tasks.audio.clip import Window, make_clip
from tasks.model.batch import Batch
from tasks.model.features import ENERGY_FLOOR, LogMelFeatures
from training import noises
from training.instruments import music_clip
from training.sound import CLIP_SAMPLES, SAMPLE_RATE, Rng, Signal
from training.speech import speech_clip

LogMel: TypeAlias = NDArray[np.float32]

SYNTHESISERS: dict[str, Callable[[Rng], Signal]] = {
    "speech": speech_clip,
    "music": music_clip,
    "noise": noises.noise_clip,
    "sine": noises.sine_clip,
    "beep": noises.beep_clip,
    "other": noises.other_clip,
}
FRAMES, MEL_BINS, PATCH_FRAMES = 1024, 128, 16
LOG_FLOOR = float(np.log(ENERGY_FLOOR))
CPU = torch.device("cpu")

# The lowest of 128 filters are narrower than a bin of the spectrum: so they are in AST.
warnings.filterwarnings("ignore", "At least one mel filter has all zero values")
MEL_FEATURES = LogMelFeatures(ASTFeatureExtractor(do_normalize=False), CPU)


class Clips(NamedTuple):
    """All clips of one kind: ``[clips, frames, 128]``, the log of each one's mean mel power, and
    the share of its power in each patch column of 16 frames, ``[clips, 64]``."""

    log_mel: NDArray[np.float16]
    level: LogMel
    activity: LogMel


Bank = dict[str, Clips]


def synthesise(kind: str, index: int) -> Signal:
    """Make clip number ``index`` of a kind, always the same."""
    return SYNTHESISERS[kind](Rng(zlib.crc32(kind.encode()), index))


def log_mel(x: Signal) -> LogMel:
    """Return ``[1024, 128]`` of a clip, as the flow makes it."""
    clip = make_clip([(SAMPLE_RATE, x.astype(np.float32))], Window(SAMPLE_RATE, CLIP_SAMPLES))
    return np.asarray(MEL_FEATURES(Batch.stack([clip], CLIP_SAMPLES, CPU))[0])


def synthesise_log_mel(job: tuple[str, int]) -> NDArray[np.float16]:
    """Make a clip's spectrogram, in one of several processes."""
    return np.maximum(log_mel(synthesise(*job)), LOG_FLOOR).astype(np.float16)


def make_bank(sizes: dict[str, int], processes: int) -> Bank:
    """Synthesise so many clips of each kind."""
    bank = {}
    with get_context("spawn").Pool(processes, torch.set_num_threads, (1,)) as pool:
        for kind, size in sizes.items():
            spectra = np.stack(pool.map(synthesise_log_mel, [(kind, n) for n in range(size)], 5))
            power = np.stack([np.exp(clip.astype(np.float32)).mean(axis=1) for clip in spectra])
            columns = power.reshape(size, -1, PATCH_FRAMES).sum(axis=2)
            activity = columns / columns.sum(axis=1, keepdims=True)
            bank[kind] = Clips(spectra, np.log(power.mean(axis=1) + 1e-9), activity)
    return bank
