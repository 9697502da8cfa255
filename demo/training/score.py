"""What a piece of music is made of: notes, parts, keys and meters."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from training.sound import CLIP_SECONDS, chance

SCALES = (
    (0, 2, 4, 5, 7, 9, 11),  # major
    (0, 2, 3, 5, 7, 8, 10),  # natural minor
    (0, 2, 3, 5, 7, 9, 10),  # Dorian
    (0, 2, 4, 5, 7, 9, 10),  # Mixolydian
    (0, 2, 3, 5, 7, 8, 11),  # harmonic minor
    (0, 1, 3, 5, 7, 8, 10),  # Phrygian
)
# Scale degrees of the chords of four bars, counted from 0.
PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (0, 3, 4, 4),
    (1, 4, 0, 0),
    (5, 3, 0, 4),
    (0, 3, 0, 4),
    (0, 6, 5, 4),
    (0, 0, 3, 4),
    (0, 2, 3, 4),
    (0, 5, 1, 4),
    (0, 0, 0, 0),
)


class Part(Enum):
    """Who plays a note."""

    CHORDS = "chords"
    BASS = "bass"
    MELODY = "melody"
    DRUMS = "drums"


class Drum(Enum):
    """Pieces of a drum kit."""

    KICK = "kick"
    SNARE = "snare"
    CLOSED_HAT = "closed hi-hat"
    OPEN_HAT = "open hi-hat"
    RIDE = "ride cymbal"
    CRASH = "crash cymbal"
    TOM = "tom"


@dataclass(frozen=True)
class Note:
    """One note or drum stroke."""

    start: float
    """Seconds from the start of the clip."""
    seconds: float
    part: Part
    pitch: float
    """MIDI note number; of a drum only toms heed it."""
    velocity: float
    """Loudness in 0-1."""
    drum: Drum | None = None


class Band(Enum):
    """Which parts play: (probability, parts that always do, parts that may)."""

    FULL = (0.36, (Part.CHORDS,), (Part.DRUMS, Part.BASS, Part.MELODY))
    SOLO = (0.20, (), (Part.CHORDS, Part.MELODY))
    DRUMS = (0.11, (Part.DRUMS,), ())
    ORCHESTRA = (0.13, (Part.CHORDS,), (Part.MELODY,))
    ELECTRONIC = (0.12, (Part.CHORDS, Part.DRUMS), (Part.BASS, Part.MELODY))
    DUO = (0.08, (Part.CHORDS,), (Part.MELODY, Part.BASS))

    @classmethod
    def random(cls, rng: np.random.Generator) -> set[Part]:
        """The parts of a random band, at least one."""
        bands = list(cls)
        probabilities = np.array([band.value[0] for band in bands])
        band = bands[rng.choice(len(bands), p=probabilities / probabilities.sum())]
        _, always, maybe = band.value
        return set(always) | {part for part in maybe if chance(rng, 0.75)} or {Part.CHORDS}


@dataclass
class Piece:
    """What all bars have in common, and the notes written so far."""

    rng: np.random.Generator
    root: int
    scale: tuple[int, ...]
    progression: tuple[int, ...]
    beat: float
    """Seconds."""
    meter: int
    """Beats a bar."""
    swing: float
    """Delay of every second half-beat, in beats."""
    looseness: float
    """Standard deviation of note onsets in seconds."""
    offset: float
    """Time of the first bar in seconds; negative, so that clips start anywhere in a bar."""
    accents: NDArray[np.float64] = field(repr=False)
    """Random numbers in 0-1, ``[3, 16]``: the rhythm that every bar repeats."""
    notes: list[Note] = field(default_factory=list, repr=False)

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Piece":
        """An empty piece in a random key, tempo and meter."""
        beat = 60 / rng.uniform(55, 185)
        meter = int(rng.choice([4, 4, 4, 3, 6]))
        return cls(
            rng=rng,
            root=int(rng.integers(36, 48)),
            scale=SCALES[rng.integers(len(SCALES))],
            progression=PROGRESSIONS[rng.integers(len(PROGRESSIONS))],
            beat=beat,
            meter=meter,
            swing=float(rng.choice([0, 0, 0, 0.16])),
            looseness=rng.uniform(0, 0.009),
            offset=-rng.uniform(0, beat * meter),
            accents=rng.random((3, 16)),
        )

    @property
    def bars(self) -> int:
        """Enough of them to fill the clip."""
        return int(CLIP_SECONDS / (self.beat * self.meter)) + 2

    def chord(self, bar: int) -> int:
        """Scale degree of the bar's root."""
        return self.progression[bar % len(self.progression)]

    def pitch(self, degree: int) -> int:
        """MIDI note of a scale degree; degrees beyond the scale are in other octaves."""
        octave, step = divmod(int(degree), len(self.scale))
        return self.root + 12 * octave + self.scale[step]

    def half_beat(self, index: int) -> float:
        """Beats from the bar line to a half-beat, swung."""
        return index / 2 + (self.swing if index % 2 else 0.0)

    def add(
        self,
        part: Part,
        bar: int,
        beats: float,
        length: float,
        pitch: float,
        velocity: float,
        drum: Drum | None = None,
    ) -> None:
        """Adds a note ``beats`` after the bar line, ``length`` beats long, as people play it."""
        start = self.offset + (bar * self.meter + beats) * self.beat
        start += self.rng.normal(0, self.looseness)
        end = min(start + length * self.beat, CLIP_SECONDS)
        start = max(start, 0.0)
        if end > start:
            loudness = float(np.clip(velocity * self.rng.uniform(0.8, 1.1), 0.1, 1))
            self.notes.append(Note(start, end - start, part, pitch, loudness, drum))


def pitch_to_hz(pitch: float) -> float:
    """Equal temperament at 440 Hz."""
    return float(440 * 2 ** ((pitch - 69) / 12))
