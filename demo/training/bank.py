"""The bank: log-mel spectrograms of thousands of synthesised clips, kept on disk.

Each clip has a generator of its own, seeded by (kind, index), so the bank does not depend on the
number of processes nor on the order in which they work.
"""

import logging
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.features import CLIP_FRAMES, LOG_FLOOR, MEL_BINS, LogMel, log_mel
from training.instruments import music_clip
from training.noises import (
    applause_clip,
    dog_clip,
    engine_clip,
    impact_clip,
    noise_clip,
    rain_clip,
)
from training.sound import Signal
from training.speech import speech_clip
from training.tones import beep_clip, bell_clip, sine_clip

logger = logging.getLogger(__name__)

SYNTHESISERS: dict[str, Callable[[np.random.Generator], Signal]] = {
    "speech": speech_clip,
    "music": music_clip,
    "noise": noise_clip,
    "sine": sine_clip,
    "beep": beep_clip,
    "rain": rain_clip,
    "applause": applause_clip,
    "bell": bell_clip,
    "dog": dog_clip,
    "engine": engine_clip,
    "impact": impact_clip,
}
CHUNK = 25
PATCH_FRAMES = 16
# Part of the file names: raise it whenever a change to the synthesis makes old banks stale.
BANK_VERSION = 1


@dataclass(frozen=True)
class Clips:
    """All clips of one kind."""

    log_mel: NDArray[np.float16]
    """``[clips, frames, 128]``"""
    level: LogMel
    """Log of the mean mel power of each clip, ``[clips]``."""
    activity: LogMel
    """Share of a clip's power in each patch column of 16 frames, ``[clips, 64]``."""

    @classmethod
    def measure(cls, spectra: NDArray[np.float16]) -> "Clips":
        """Adds level and activity to spectra."""
        power = np.stack([np.exp(clip.astype(np.float32)).mean(axis=1) for clip in spectra])
        columns = np.add.reduceat(power, np.arange(0, CLIP_FRAMES, PATCH_FRAMES), axis=1)
        return cls(
            log_mel=spectra,
            level=np.log(power.mean(axis=1) + 1e-9),
            activity=columns / columns.sum(axis=1, keepdims=True),
        )


Bank = dict[str, Clips]


def synthesise(kind: str, index: int) -> Signal:
    """Clip number ``index`` of a kind, always the same."""
    rng = np.random.default_rng([zlib.crc32(kind.encode()), index])
    return SYNTHESISERS[kind](rng)


def make_bank(directory: Path, sizes: dict[str, int], processes: int) -> Bank:
    """Synthesises what the directory lacks, then loads it all."""
    directory.mkdir(parents=True, exist_ok=True)
    jobs = [(directory, kind, chunk) for kind, size in sizes.items() for chunk in chunks_of(size)]
    missing = [job for job in jobs if not chunk_path(*job).exists()]
    logger.info("bank: %d chunks of %d clips, %d to make", len(jobs), CHUNK, len(missing))
    with get_context("spawn").Pool(processes) as pool:
        for path in pool.imap_unordered(make_chunk, missing):
            logger.debug("made %s", path)
    return {kind: load_clips(directory, kind, size) for kind, size in sizes.items()}


def load_clips(directory: Path, kind: str, size: int) -> Clips:
    """The first ``size`` clips of a kind."""
    chunks = [np.load(chunk_path(directory, kind, chunk)) for chunk in chunks_of(size)]
    return Clips.measure(np.concatenate(chunks)[:size])


def chunks_of(size: int) -> Iterable[int]:
    """Numbers of the chunks that hold so many clips."""
    return range(-(-size // CHUNK))


def chunk_path(directory: Path, kind: str, chunk: int) -> Path:
    """Where a chunk lies."""
    return directory / f"v{BANK_VERSION}-{kind}-{chunk:03d}.npy"


def make_chunk(job: tuple[Path, str, int]) -> Path:
    """Writes one chunk, whole or not at all."""
    directory, kind, chunk = job
    path = chunk_path(directory, kind, chunk)
    spectra = np.empty((CHUNK, CLIP_FRAMES, MEL_BINS), dtype=np.float16)
    for row in range(CHUNK):
        spectra[row] = np.maximum(log_mel(synthesise(kind, chunk * CHUNK + row)), LOG_FLOOR)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.save(file, spectra)
    temporary.replace(path)
    return path
