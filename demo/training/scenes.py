"""Random training examples: clips of the bank mixed, filtered and cut in the log-mel domain.

The powers of sounds that do not correlate add up, and a linear filter is a sum of logarithms, so
an example takes about a millisecond. Levels are in dB relative to white noise of unit power.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.bank import FRAMES, LOG_FLOOR, MEL_BINS, PATCH_FRAMES, Bank, LogMel, log_mel
from training.sound import CLIP_SAMPLES, Rng

# The label of each kind of clip, and of silence; names of AudioSet's ontology.
LABELS = {
    "speech": "Speech", "music": "Music", "silence": "Silence", "noise": "Noise",
    "sine": "Sine wave", "beep": "Beep, bleep",
}  # fmt: skip
COLUMN = {kind: column for column, kind in enumerate(LABELS)}
# How often each kind of example is drawn.
SCENES = {
    "speech": 0.26, "music": 0.3, "speech over music": 0.1, "silence": 0.05, "noise": 0.07,
    "sine": 0.05, "beep": 0.05, "other": 0.12,
}  # fmt: skip
BACKGROUND_CHANCE = {"speech": 0.65, "music": 0.4, "speech over music": 0.2}
LEAST_SIGNAL_TO_BACKGROUND = {"noise": 8.0, "other": 8.0, "music": 2.0}
# Kinds that a steep filter could take away altogether.
NARROW = ("sine", "beep")

PATCH_COLUMNS = FRAMES // PATCH_FRAMES
MEAN, STD = -4.2677393, 4.5689974  # of ASTFeatureExtractor: AudioSet's statistics
DB = np.log(10) / 10  # one decibel in the natural logarithm of power

Indices: TypeAlias = NDArray[np.int64]


class Example(NamedTuple):
    """One input of the network: features normalised as ASTFeatureExtractor does, ``[16 * columns,
    128]``, a target in 0-1 for each of ``LABELS``, and which of the 64 patch columns the features
    are, in order."""

    features: LogMel
    targets: LogMel
    columns: Indices


class SceneMaker:
    """Draws training examples that depend on nothing but the bank and the seed."""

    def __init__(self, bank: Bank, seed: int) -> None:
        self.bank, self.rng = bank, Rng(seed)
        noise = log_mel(Rng(0).standard_normal(CLIP_SAMPLES))
        self.unit_level = float(np.log(np.exp(noise).mean()))
        self.probabilities = np.array(list(SCENES.values())) / sum(SCENES.values())

    def example(self, columns: int) -> Example:
        """Draw a scene seen through a number of patch columns (64 for all)."""
        rng = self.rng
        scene = list(SCENES)[rng.choice(len(SCENES), p=self.probabilities)]
        end = FRAMES if rng.chance(0.65) else int(rng.uniform(95, FRAMES))
        targets = np.zeros(len(LABELS), dtype=np.float32)
        kind = "speech" if scene == "speech over music" else scene
        if kind in COLUMN:
            targets[COLUMN[kind]] = 1
        if scene == "silence":
            seen = self.random_columns(columns)
            # Below -88 dB, digital zero.
            spectrum = self.background("noise", frames_of(seen), rng.uniform(-150, -66))
        else:
            clip, shift = self.pick(kind), int(rng.integers(FRAMES)) if rng.chance(0.7) else 0
            seen = self.heard_columns(columns, self.bank[kind].activity[clip], shift, end)
            spectrum = self.sound(scene, kind, clip, shift, frames_of(seen), targets)
        # The extractor pads short clips with zeros before it normalises.
        spectrum = np.maximum(spectrum, LOG_FLOOR)
        spectrum[frames_of(seen) >= end] = 0.0
        return Example(((spectrum - MEAN) / (2 * STD)).astype(np.float32), targets, seen)

    def pick(self, kind: str) -> int:
        """Draw the index of a clip."""
        return int(self.rng.integers(len(self.bank[kind].log_mel)))

    def random_columns(self, count: int) -> Indices:
        """Draw patch columns in three stretches, or all: the model must do with parts of a clip."""
        chosen, stretch = np.zeros(PATCH_COLUMNS, dtype=bool), -(-count // 3)
        while count < PATCH_COLUMNS and chosen.sum() < count:
            start = self.rng.integers(0, PATCH_COLUMNS - stretch + 1)
            chosen[start : start + stretch] = True
        columns = np.flatnonzero(chosen) if chosen.any() else np.arange(PATCH_COLUMNS)
        return columns[:count] if self.rng.chance(0.5) else columns[-count:]

    def heard_columns(self, count: int, activity: LogMel, shift: int, end: int) -> Indices:
        """Draw columns in which a clip, shifted by frames, is not mostly silent (twelve tries)."""
        for _ in range(12):
            seen = self.random_columns(count)
            inside = seen[seen * PATCH_FRAMES < end]
            source = (inside + shift // PATCH_FRAMES) % PATCH_COLUMNS
            if activity[source].sum() > 0.25 * len(inside) / PATCH_COLUMNS:
                break
        return seen

    def sound(
        self, scene: str, kind: str, clip: int, shift: int, frames: Indices, targets: LogMel
    ) -> LogMel:
        """Mix a scene around one clip; completes the targets."""
        rng, level = self.rng, self.rng.uniform(-54, -3)
        spectrum = self.clip_at(kind, clip, frames + shift, level)
        if kind == "speech" and rng.chance(0.07):
            spectrum = self.cut_into_words(spectrum, frames)
        if scene == "speech over music":
            # Music from 12 dB above the speech to 20 dB below it; at equal levels speech leads.
            ratio = rng.uniform(-12, 20)
            targets[COLUMN["music"]] = np.clip(1 - ratio / 14, 0.1, 1)
            targets[COLUMN["speech"]] = np.clip(1 + (ratio + 4) / 14, 0.4, 1)
            spectrum = add_powers(spectrum, self.background("music", frames, level - ratio))
        if rng.chance(BACKGROUND_CHANCE.get(scene, 0.35)):
            spectrum = self.add_background(spectrum, frames, scene, level, targets)
        if rng.chance(0.7):
            floor = self.background("noise", frames, level - rng.uniform(15, 60))
            spectrum = add_powers(spectrum, floor)
        if rng.chance(0.3):
            spectrum = spectrum + self.channel(steep=scene not in NARROW)
        return spectrum

    def clip_at(self, kind: str, clip: int, frames: Indices, level: float) -> LogMel:
        """Return frames of a clip, over and over, at a level through a random channel; digital
        silence stays so."""
        clips = self.bank[kind]
        spectrum: LogMel = clips.log_mel[clip][frames % FRAMES].astype(np.float32)
        dead = spectrum <= LOG_FLOOR + 0.05
        spectrum += np.float32(self.unit_level + level * DB - clips.level[clip])
        spectrum += self.channel(steep=kind not in NARROW)
        spectrum[dead] = LOG_FLOOR
        return spectrum

    def background(self, kind: str, frames: Indices, level: float) -> LogMel:
        """Return another random clip of a kind, from a random frame on."""
        return self.clip_at(kind, self.pick(kind), frames + self.rng.integers(FRAMES), level)

    def channel(self, *, steep: bool) -> LogMel:
        """Draw a gain for each mel bin: a smooth curve, sometimes a steep low- or high-pass."""
        rng, bins, gains = self.rng, np.arange(MEL_BINS), np.zeros(MEL_BINS)
        if rng.chance(0.7):
            knots = rng.uniform(-8, 8, rng.integers(2, 7)) * DB
            gains += np.interp(np.linspace(0, len(knots) - 1, MEL_BINS), range(len(knots)), knots)
        if steep and rng.chance(0.25):
            gains -= np.maximum(0, bins - rng.integers(55, 127)) * rng.uniform(0.2, 3)
        if steep and rng.chance(0.2):
            gains -= np.maximum(0, rng.integers(1, 30) - bins) * rng.uniform(0.05, 0.5)
        return gains.astype(np.float32)

    def cut_into_words(self, spectrum: LogMel, frames: Indices) -> LogMel:
        """Leave isolated words: stretches of 0.2-0.8 s with digital silence between them."""
        rng, spoken = self.rng, np.zeros(FRAMES, dtype=bool)
        word, gap = rng.uniform(20, 80), rng.uniform(12, 70)
        frame = int(rng.integers(0, 60))
        while frame < FRAMES:
            end = frame + int(word * rng.uniform(0.6, 1.4)) + 4
            spoken[frame:end] = True
            frame = end + int(gap * rng.uniform(0.5, 1.5)) + 2
        spectrum[~spoken[frames]] = LOG_FLOOR
        return spectrum

    def add_background(
        self, spectrum: LogMel, frames: Indices, scene: str, level: float, targets: LogMel
    ) -> LogMel:
        """Add a second sound, mostly fainter; the louder it is, the more its label counts."""
        rng = self.rng
        with_music = scene == "speech" and rng.chance(0.2)
        kind = "music" if with_music else "noise" if rng.chance(0.4) else "other"
        ratio = rng.uniform(0, 35) if rng.chance(0.8) else rng.uniform(-6, 3)
        ratio = max(ratio, LEAST_SIGNAL_TO_BACKGROUND.get(scene, -6.0))
        share = np.clip((14 - ratio) / 14, 0, 0.9) if with_music else 0.5 * (ratio < 3)
        if kind in COLUMN:
            targets[COLUMN[kind]] = max(targets[COLUMN[kind]], share)
        return add_powers(spectrum, self.background(kind, frames, level - ratio))


def frames_of(columns: Indices) -> Indices:
    """Return the 16 frames of each patch column."""
    return (columns[:, None] * PATCH_FRAMES + np.arange(PATCH_FRAMES)).ravel()


def add_powers(first: LogMel, second: LogMel) -> LogMel:
    """Mix two sounds; float32 holds such powers, so no slow ``logaddexp`` is needed."""
    power = np.exp(first) + np.exp(second)
    return np.asarray(np.log(np.maximum(power, np.finfo(np.float32).eps)), dtype=np.float32)
