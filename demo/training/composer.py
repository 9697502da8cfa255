"""A random composer: chords, bass, drums and a melody for ten seconds of any style.

``music.json`` has its tables. Scale degrees are counted from 0. A figure is what chords or a bass
repeat in each bar: every so many beats the next of its groups of tones (degrees above the root of
the chord), each for ``length`` beats. A beat has 16 steps of a quarter of a beat for each drum; a
digit is its probability in ninths.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.sound import CLIP_SECONDS, Rng

MUSIC: dict[str, Any] = json.loads(Path(__file__).with_name("music.json").read_text())
HATS = ("closed hat", "closed hat", "closed hat", "open hat", "ride")
LOUDNESS = {"kick": 1.0, "snare": 0.9, "tom": 0.8}


class Note(NamedTuple):
    """A note or the stroke of a drum: times in seconds, a MIDI pitch (of a drum, semitones from its
    own), and its loudness in 0-1."""

    start: float
    seconds: float
    part: str
    pitch: float
    velocity: float


class Piece:
    """What all bars have in common (random key, tempo and meter), and the notes so far."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.beat = 60 / rng.uniform(55, 185)  # seconds
        self.meter = int(rng.choice([4, 4, 4, 3, 6]))  # beats a bar
        self.root = int(rng.integers(36, 48))
        self.scale: list[int] = rng.pick([*MUSIC["scales"].values()])
        self.progression: list[int] = rng.pick(MUSIC["progressions"])
        # Delay of every second half-beat, in beats; standard deviation of onsets, in seconds.
        self.swing, self.looseness = float(rng.choice([0, 0, 0, 0.16])), rng.uniform(0, 0.009)
        # Time of the first bar: negative, so that clips start anywhere in a bar.
        self.offset = -rng.uniform(0, self.beat * self.meter)
        self.bars = int(CLIP_SECONDS / (self.beat * self.meter)) + 2
        self.notes: list[Note] = []

    def pitch(self, degree: int) -> int:
        """Return the MIDI note of a scale degree; degrees beyond the scale are in other octaves."""
        octave, step = divmod(degree, len(self.scale))
        return self.root + 12 * octave + self.scale[step]

    def add(
        self, part: str, bar: int, beats: float, length: float, pitch: float, velocity: float
    ) -> None:
        """Add a note ``beats`` after the bar line, ``length`` beats long, as people play it."""
        swung = beats + (self.swing if round(4 * beats) % 4 == 2 else 0.0)
        start = self.offset + (bar * self.meter + swung) * self.beat
        start += self.rng.normal(0, self.looseness)
        end, start = min(start + length * self.beat, CLIP_SECONDS), max(start, 0.0)
        if end > start:
            loudness = float(np.clip(velocity * self.rng.uniform(0.8, 1.1), 0.1, 1))
            self.notes.append(Note(start, end - start, part, pitch, loudness))


def compose(rng: Rng) -> list[Note]:
    """Write a random piece, each part entering at once or after a bar or two."""
    piece = Piece(rng)
    shares = [band["share"] for band in MUSIC["bands"]]
    band = MUSIC["bands"][rng.choice(len(shares), p=shares)]
    parts = band["always"] + [part for part in band["maybe"] if rng.chance(0.75)] or ["chords"]
    first = rng.pick(parts)
    for part in parts:
        entry = 0 if part == first or rng.chance(0.8) else int(rng.integers(0, 3))
        if part == "drums":
            write_drums(piece, entry)
        elif part == "melody":
            write_melody(piece, entry)
        else:
            write_figure(piece, part, entry)
    return piece.notes


def write_figure(piece: Piece, part: str, entry: int) -> None:
    """Accompany by one of the figures for chords or for a bass."""
    rng = piece.rng
    figure = rng.pick([*MUSIC["figures"][part].values()])
    low = 7 * int(rng.integers(1, 3)) if part == "chords" else -7 * (piece.root > 42)
    velocity = rng.uniform(0.5, 0.9)
    beats = np.arange(figure.get("delay", 0), piece.meter, figure["every"])
    played = rng.random(len(beats)) < figure.get("played", 1)
    strum = figure.get("strum", 0) / piece.beat
    length = min(figure["length"], 0.95 * piece.meter)
    for bar in range(entry, piece.bars):
        for index in np.flatnonzero(played | (beats == 0)):
            stroke = figure["tones"][index % len(figure["tones"])]
            for number, tone in enumerate(stroke):
                pitch = piece.pitch(piece.progression[bar % 4] + low + tone)
                piece.add(part, bar, beats[index] + number * strum, length, pitch, velocity)


def write_melody(piece: Piece, entry: int) -> None:
    """Repeat a short motif over the chords with its steps along the scale."""
    rng = piece.rng
    degree = centre = int(rng.integers(14, 22))
    velocity, index = rng.uniform(0.6, 1), 0
    lengths = rng.choice([0.5, 0.5, 1, 1, 1.5, 2, 0.25], rng.integers(3, 9))
    steps, rests = rng.integers(-3, 4, len(lengths)), rng.random(len(lengths)) < 0.12
    for bar in range(entry, piece.bars):
        beats = 0.0
        while beats < piece.meter - 0.01:
            length = min(float(lengths[index]), piece.meter - beats)
            degree = int(np.clip(degree + steps[index], centre - 7, centre + 9))
            if beats == 0 and rng.chance(0.6):
                degree = (
                    7 * (degree // 7)
                    + (piece.progression[bar % 4] + int(rng.choice([0, 2, 4]))) % 7
                )
            if not rests[index]:
                legato = rng.uniform(0.7, 1.02)
                piece.add("melody", bar, beats, length * legato, piece.pitch(degree), velocity)
            beats, index = beats + length, (index + 1) % len(lengths)


def write_drums(piece: Piece, entry: int) -> None:
    """Repeat one of the beats, with a crash now and then."""
    rng = piece.rng
    hat, struck = rng.pick(HATS), {}
    for drum, ninths in rng.pick([*MUSIC["beats"].values()]).items():
        probabilities = [int(digit) / 9 for digit in ninths.replace(".", "0")]
        struck[hat if drum == "hat" else drum] = rng.random(16) < probabilities
    for bar in range(entry, piece.bars):
        if rng.chance(0.1):
            piece.add("crash", bar, 0, 4, 0, 0.8)
        for step in range(4 * piece.meter):
            for drum in (drum for drum, steps in struck.items() if steps[step % 16]):
                velocity = LOUDNESS.get(drum, 0.7 if step % 4 == 0 else 0.45)
                pitch = int(rng.integers(-7, 8)) if drum == "tom" else 0
                piece.add(drum, bar, step / 4, 0.5, pitch, velocity)
