"""The bank: log-mel spectrograms of thousands of synthesised clips, kept on disk.

Each clip has a generator of its own, seeded by (kind, index), so the bank does not depend on the
number of processes nor on the order in which they work. Spectrograms are those of
``ASTFeatureExtractor`` before padding and scaling: Kaldi's filter bank, frames of 25 ms every
10 ms, mean removed, pre-emphasis, Hann window, 128 mel bins, natural logarithm with a floor.
"""

import os
import warnings
import zlib
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from transformers.audio_utils import mel_filter_bank, window_function

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
    "rain": noises.rain_clip,
    "applause": noises.applause_clip,
    "bell": noises.bell_clip,
    "dog": noises.dog_clip,
    "engine": noises.engine_clip,
    "impact": noises.impact_clip,
}
FRAME, HOP, FFT_SIZE, MEL_BINS, PREEMPHASIS = 400, 160, 512, 128, 0.97
CLIP_FRAMES = 1 + (CLIP_SAMPLES - FRAME) // HOP
PATCH_FRAMES = 16
LOG_FLOOR = float(np.log(np.finfo(np.float32).eps))
CHUNK = 25  # clips in a file

with warnings.catch_warnings():
    # The lowest of 128 filters are narrower than a bin of the spectrum: so they are in AST.
    warnings.filterwarnings("ignore", "At least one mel filter has all zero values")
    MEL_FILTERS = mel_filter_bank(
        FFT_SIZE // 2 + 1, MEL_BINS, 20, SAMPLE_RATE / 2, SAMPLE_RATE,
        norm=None, mel_scale="kaldi", triangularize_in_mel_space=True,
    )  # fmt: skip
WINDOW = window_function(FRAME, "hann", periodic=False)


def log_mel(x: Signal) -> LogMel:
    """``[frames, 128]`` of a signal at 16 kHz; a clip of 10.24 s has 1,022 frames."""
    frames = np.lib.stride_tricks.sliding_window_view(x, FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    power = np.abs(np.fft.rfft((frames - PREEMPHASIS * previous) * WINDOW, FFT_SIZE)) ** 2
    return np.asarray(np.log(np.maximum(power @ MEL_FILTERS, np.exp(LOG_FLOOR))), dtype=np.float32)


class Clips(NamedTuple):
    """All clips of one kind: ``[clips, frames, 128]``, the log of each one's mean mel power, and
    the share of its power in each patch column of 16 frames, ``[clips, 64]``."""

    log_mel: NDArray[np.float16]
    level: LogMel
    activity: LogMel


Bank = dict[str, Clips]


def synthesise(kind: str, index: int) -> Signal:
    """Clip number ``index`` of a kind, always the same."""
    return SYNTHESISERS[kind](np.random.default_rng([zlib.crc32(kind.encode()), index]))


def make_bank(directory: Path, sizes: dict[str, int], processes: int) -> Bank:
    """Synthesise what the directory lacks, then load it all."""
    directory.mkdir(parents=True, exist_ok=True)
    jobs = [
        (directory / f"v1-{kind}-{chunk:03d}.npy", kind, chunk)
        for kind, size in sizes.items()
        for chunk in range(-(-size // CHUNK))
    ]
    with get_context("spawn").Pool(processes) as pool:
        pool.map(make_chunk, [job for job in jobs if not job[0].exists()], chunksize=1)
    bank = {}
    for kind, size in sizes.items():
        spectra = np.concatenate([np.load(path) for path, of, _ in jobs if of == kind])[:size]
        power = np.stack([np.exp(clip.astype(np.float32)).mean(axis=1) for clip in spectra])
        columns = np.add.reduceat(power, np.arange(0, CLIP_FRAMES, PATCH_FRAMES), axis=1)
        activity = columns / columns.sum(axis=1, keepdims=True)
        bank[kind] = Clips(spectra, np.log(power.mean(axis=1) + 1e-9), activity)
    return bank


def make_chunk(job: tuple[Path, str, int]) -> None:
    """Write one file of the bank, whole or not at all."""
    path, kind, chunk = job
    clips = [log_mel(synthesise(kind, chunk * CHUNK + row)) for row in range(CHUNK)]
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.save(file, np.maximum(np.stack(clips), LOG_FLOOR).astype(np.float16))
    temporary.replace(path)
