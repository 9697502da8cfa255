"""Random training examples: clips of the bank mixed, filtered and cut in the log-mel domain.

The powers of sounds that do not correlate add up, and a linear filter is a sum of logarithms, so
an example takes about a millisecond. Levels are in dB relative to white noise of unit power.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.bank import CLIP_FRAMES, LOG_FLOOR, MEL_BINS, PATCH_FRAMES, Bank, LogMel, log_mel
from training.sound import SAMPLE_RATE, chance

# What the finished model tells apart: names of AudioSet's ontology.
LABELS = ("Speech", "Music", "Silence", "Noise", "Sine wave", "Beep, bleep")
# Taught as labels so that they are not taken for speech or music, then left out.
NEGATIVES = ("Rain", "Applause", "Bell", "Dog", "Engine")
COLUMN = {label: index for index, label in enumerate(LABELS + NEGATIVES)}
# Of each kind of clip; impacts have no label at all.
LABEL_OF_KIND = {
    "speech": "Speech", "music": "Music", "noise": "Noise", "sine": "Sine wave",
    "beep": "Beep, bleep", "rain": "Rain", "applause": "Applause", "bell": "Bell", "dog": "Dog",
    "engine": "Engine",
}  # fmt: skip
# How often each kind of example is drawn.
SCENES = {
    "speech": 0.28, "music": 0.28, "speech over music": 0.1, "silence": 0.05, "noise": 0.07,
    "rain": 0.04, "applause": 0.03, "sine": 0.05, "beep": 0.05, "bell": 0.015, "dog": 0.01,
    "engine": 0.04, "impact": 0.02,
}  # fmt: skip
BACKGROUNDS = ("noise",) * 5 + ("engine", "rain", "applause") + ("impact",) * 5
BACKGROUND_CHANCE = {"speech": 0.65, "music": 0.4, "speech over music": 0.2}
LEAST_SIGNAL_TO_BACKGROUND = dict.fromkeys(("noise", "rain", "applause", "engine", "impact"), 8.0)
LEAST_SIGNAL_TO_BACKGROUND["music"] = 2.0
# Kinds that a steep filter or a hole in the spectrum could take away altogether.
NARROW = ("sine", "beep")

MODEL_FRAMES = 1024
PATCH_COLUMNS = MODEL_FRAMES // PATCH_FRAMES
MEAN, STD = -4.2677393, 4.5689974  # of ASTFeatureExtractor: AudioSet's statistics
DB = np.log(10) / 10  # one decibel in the natural logarithm of power

Columns: TypeAlias = NDArray[np.int64]


class Example(NamedTuple):
    """One input of the network: features normalised as ASTFeatureExtractor does, ``[16 * columns,
    128]``, a target in 0-1 for each of ``LABELS + NEGATIVES``, and which of the 64 patch columns
    the features are, in order."""

    features: LogMel
    targets: LogMel
    columns: Columns


class SceneMaker:
    """Draws training examples that depend on nothing but the bank and the seed."""

    def __init__(self, bank: Bank, seed: int) -> None:
        self.bank, self.rng = bank, np.random.default_rng(seed)
        noise = log_mel(np.random.default_rng(0).standard_normal(SAMPLE_RATE))
        self.unit_level = float(np.log(np.exp(noise).mean()))
        self.probabilities = np.array(list(SCENES.values())) / sum(SCENES.values())

    def example(self, columns: int) -> Example:
        """One random scene seen through a number of patch columns (64 for all)."""
        scene = list(SCENES)[self.rng.choice(len(SCENES), p=self.probabilities)]
        end = CLIP_FRAMES if chance(self.rng, 0.65) else int(self.rng.uniform(95, CLIP_FRAMES))
        targets = np.zeros(len(COLUMN), dtype=np.float32)
        if scene == "silence":
            targets[COLUMN["Silence"]] = 1
            seen = self.random_columns(columns)
            spectrum = self.silence(frames_of(seen))
        else:
            seen, spectrum = self.sound(scene, end, columns, targets)
        # The extractor pads short clips with zeros before it normalises.
        spectrum = np.maximum(spectrum, LOG_FLOOR)
        spectrum[frames_of(seen) >= end] = 0.0
        return Example(((spectrum - MEAN) / (2 * STD)).astype(np.float32), targets, seen)

    def sound(self, scene: str, end: int, columns: int, targets: LogMel) -> tuple[Columns, LogMel]:
        """A scene with sound in its first ``end`` frames; fills in the targets."""
        rng = self.rng
        kind = "speech" if scene == "speech over music" else scene
        clip = self.pick(kind)
        shift = int(rng.integers(CLIP_FRAMES)) if chance(rng, 0.7) else 0
        # Columns in which the clip is not mostly silent (twelve tries).
        for _ in range(12):
            seen = self.random_columns(columns)
            inside = seen[seen * PATCH_FRAMES < end]
            source = ((inside * PATCH_FRAMES + shift) % CLIP_FRAMES) // PATCH_FRAMES
            activity = self.bank[kind].activity[clip][source].sum()
            if activity > 0.25 * len(inside) / PATCH_COLUMNS:
                break
        frames, level = frames_of(seen), rng.uniform(-42, -3)
        spectrum = self.clip_at(kind, clip, (frames + shift) % CLIP_FRAMES, level)
        if kind == "speech" and chance(rng, 0.1):
            spectrum = self.cut_into_words(spectrum, frames)
        if kind in LABEL_OF_KIND:
            targets[COLUMN[LABEL_OF_KIND[kind]]] = 1
        if scene == "speech over music":
            # Music from 12 dB above the speech to 20 dB below it; at equal levels speech leads.
            ratio = rng.uniform(-12, 20)
            targets[COLUMN["Music"]] = np.clip(1 - ratio / 14, 0.1, 1)
            targets[COLUMN["Speech"]] = np.clip(1 + (ratio + 4) / 14, 0.4, 1)
            spectrum = add_powers(spectrum, self.background("music", frames, level - ratio))
        return seen, self.spoil(spectrum, frames, scene, level, targets)

    def pick(self, kind: str) -> int:
        """Index of a random clip."""
        return int(self.rng.integers(len(self.bank[kind].log_mel)))

    def random_columns(self, count: int) -> Columns:
        """Patch columns in three stretches, or all: the model must do with parts of a clip."""
        if count >= PATCH_COLUMNS:
            return np.arange(PATCH_COLUMNS)
        stretch = -(-count // 3)
        chosen = np.zeros(PATCH_COLUMNS, dtype=bool)
        while chosen.sum() < count:
            start = self.rng.integers(0, PATCH_COLUMNS - stretch + 1)
            chosen[start : start + stretch] = True
        columns = np.flatnonzero(chosen)
        return columns[:count] if chance(self.rng, 0.5) else columns[-count:]

    def clip_at(
        self, kind: str, clip: int, frames: Columns, level: float, channel: bool = True
    ) -> LogMel:
        """Frames of a clip at a level through a random channel; digital silence stays so."""
        clips = self.bank[kind]
        spectrum: LogMel = clips.log_mel[clip][frames].astype(np.float32)
        dead = spectrum <= LOG_FLOOR + 0.05
        spectrum += np.float32(self.unit_level + level * DB - clips.level[clip])
        if channel:
            spectrum += self.channel(steep=kind not in NARROW)
        spectrum[dead] = LOG_FLOOR
        return spectrum

    def channel(self, *, steep: bool) -> LogMel:
        """Gain for each mel bin: a smooth curve, sometimes a steep low-pass or high-pass."""
        rng, bins, gains = self.rng, np.arange(MEL_BINS), np.zeros(MEL_BINS)
        if chance(rng, 0.7):
            knots = rng.uniform(-8, 8, rng.integers(2, 7)) * DB
            gains += np.interp(np.linspace(0, len(knots) - 1, MEL_BINS), range(len(knots)), knots)
        if steep and chance(rng, 0.25):
            edge = rng.integers(55, 127)
            gains -= np.maximum(0, bins - edge) * rng.uniform(0.2, 3)
        if steep and chance(rng, 0.2):
            edge = rng.integers(1, 30)
            gains -= np.maximum(0, edge - bins) * rng.uniform(0.05, 0.5)
        return gains.astype(np.float32)

    def silence(self, frames: Columns) -> LogMel:
        """Digital zero, or a noise floor below -64 dB."""
        if chance(self.rng, 0.4):
            return np.full((len(frames), MEL_BINS), LOG_FLOOR, dtype=np.float32)
        shifted = (frames + int(self.rng.integers(CLIP_FRAMES))) % CLIP_FRAMES
        return self.clip_at("noise", self.pick("noise"), shifted, self.rng.uniform(-110, -64))

    def cut_into_words(self, spectrum: LogMel, frames: Columns) -> LogMel:
        """Isolated words: stretches of 0.2-0.8 s with digital silence between them."""
        rng, spoken = self.rng, np.zeros(MODEL_FRAMES, dtype=bool)
        word, gap = rng.uniform(20, 80), rng.uniform(12, 70)
        frame = int(rng.integers(0, 60))
        while frame < MODEL_FRAMES:
            end = frame + int(word * rng.uniform(0.6, 1.4)) + 4
            spoken[frame:end] = True
            frame = end + int(gap * rng.uniform(0.5, 1.5)) + 2
        spectrum[~spoken[frames]] = LOG_FLOOR
        return spectrum

    def background(self, kind: str, frames: Columns, level: float) -> LogMel:
        """Another random clip of a kind, from a random frame on."""
        shift = int(self.rng.integers(CLIP_FRAMES))
        return self.clip_at(kind, self.pick(kind), (frames + shift) % CLIP_FRAMES, level)

    def spoil(
        self, spectrum: LogMel, frames: Columns, scene: str, level: float, targets: LogMel
    ) -> LogMel:
        """Add a background, a noise floor, a channel for all and holes in the spectrum."""
        rng = self.rng
        if chance(rng, BACKGROUND_CHANCE.get(scene, 0.35)):
            spectrum = self.add_background(spectrum, frames, scene, level, targets)
        if chance(rng, 0.7):
            floor = level - rng.uniform(15, 60)
            clip, through_channel = self.pick("noise"), chance(rng, 0.5)
            noise = self.clip_at("noise", clip, frames % CLIP_FRAMES, floor, through_channel)
            spectrum = add_powers(spectrum, noise)
        if chance(rng, 0.3):
            spectrum = spectrum + self.channel(steep=scene not in NARROW)
        if scene not in NARROW and chance(rng, 0.3):
            for _ in range(rng.integers(1, 3)):
                width = int(rng.integers(4, 18))
                low = int(rng.integers(0, MEL_BINS - width))
                fill = spectrum.min() if chance(rng, 0.5) else spectrum.mean()
                spectrum[:, low : low + width] = fill
        return spectrum

    def add_background(
        self, spectrum: LogMel, frames: Columns, scene: str, level: float, targets: LogMel
    ) -> LogMel:
        """A second sound, mostly fainter; the louder it is, the more its label counts."""
        rng = self.rng
        with_music = scene == "speech" and chance(rng, 0.2)
        kind = "music" if with_music else BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
        ratio = rng.uniform(0, 35) if chance(rng, 0.8) else rng.uniform(-6, 3)
        ratio = max(ratio, LEAST_SIGNAL_TO_BACKGROUND.get(scene, -6.0))
        share = float(np.clip((14 - ratio) / 14, 0, 0.9))
        if kind == "noise":
            share = 0.5 if ratio < 3 else 0.0
        if kind in LABEL_OF_KIND:
            column = COLUMN[LABEL_OF_KIND[kind]]
            targets[column] = max(targets[column], share)
        return add_powers(spectrum, self.background(kind, frames, level - ratio))


def frames_of(columns: Columns) -> Columns:
    """The 16 frames of each patch column."""
    return (columns[:, None] * PATCH_FRAMES + np.arange(PATCH_FRAMES)).ravel()


def add_powers(first: LogMel, second: LogMel) -> LogMel:
    """The mix of two sounds; float32 holds such powers, so no slow ``logaddexp`` is needed."""
    power = np.exp(first) + np.exp(second)
    return np.asarray(np.log(np.maximum(power, np.finfo(np.float32).eps)), dtype=np.float32)
