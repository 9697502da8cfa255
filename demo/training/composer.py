"""A random composer: chords, bass, drums and a melody for ten seconds of any style."""

from typing import NamedTuple

import numpy as np

from training.sound import CLIP_SECONDS, Rng, Signal, chance

# Major, natural minor, Dorian, Mixolydian, harmonic minor, Phrygian: semitones above the root.
SCALES = (
    (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 5, 7, 9, 10), (0, 2, 3, 5, 7, 8, 11), (0, 1, 3, 5, 7, 8, 10),
)  # fmt: skip
# Scale degrees of the chords of four bars, counted from 0.
PROGRESSIONS = (
    (0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 4), (1, 4, 0, 0), (5, 3, 0, 4), (0, 3, 0, 4),
    (0, 6, 5, 4), (0, 0, 3, 4), (0, 2, 3, 4), (0, 5, 1, 4), (0, 0, 0, 0),
)  # fmt: skip
# Probability of a band, the parts that always play, and those that may.
BANDS: tuple[tuple[float, tuple[str, ...], tuple[str, ...]], ...] = (
    (0.36, ("chords",), ("drums", "bass", "melody")),
    (0.20, (), ("chords", "melody")),
    (0.11, ("drums",), ()),
    (0.13, ("chords",), ("melody",)),
    (0.12, ("chords", "drums"), ("bass", "melody")),
    (0.08, ("chords",), ("melody", "bass")),
)
HATS = ("closed hat", "closed hat", "closed hat", "open hat", "ride")
BEATS = ("rock", "four on the floor", "hip-hop", "jazz", "random", "toms")
CHORD_STYLES = ("sustained", "strummed", "arpeggio", "blocks", "off-beat", "Alberti")


class Note(NamedTuple):
    """A note or drum stroke: times in seconds, a MIDI pitch (of drums only toms heed it), and its
    loudness in 0-1."""

    start: float
    seconds: float
    part: str
    pitch: float
    velocity: float
    drum: str = ""


class Piece:
    """What all bars have in common (random key, tempo and meter), and the notes so far."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.beat = 60 / rng.uniform(55, 185)  # seconds
        self.meter = int(rng.choice([4, 4, 4, 3, 6]))  # beats a bar
        self.root = int(rng.integers(36, 48))
        self.scale = SCALES[rng.integers(len(SCALES))]
        self.progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
        # Delay of every second half-beat, in beats; standard deviation of onsets, in seconds.
        self.swing, self.looseness = float(rng.choice([0, 0, 0, 0.16])), rng.uniform(0, 0.009)
        # Time of the first bar: negative, so that clips start anywhere in a bar.
        self.offset = -rng.uniform(0, self.beat * self.meter)
        # Random numbers in 0-1: the rhythm that every bar repeats.
        self.accents = rng.random((3, 16))
        self.bars = int(CLIP_SECONDS / (self.beat * self.meter)) + 2
        self.notes: list[Note] = []

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
        self, part: str, bar: int, beats: float, length: float, pitch: float, velocity: float,
        drum: str = "",
    ) -> None:  # fmt: skip
        """Add a note ``beats`` after the bar line, ``length`` beats long, as people play it."""
        start = self.offset + (bar * self.meter + beats) * self.beat
        start += self.rng.normal(0, self.looseness)
        end, start = min(start + length * self.beat, CLIP_SECONDS), max(start, 0.0)
        if end > start:
            loudness = float(np.clip(velocity * self.rng.uniform(0.8, 1.1), 0.1, 1))
            self.notes.append(Note(start, end - start, part, pitch, loudness, drum))


def compose(rng: Rng) -> list[Note]:
    """The notes of a random piece, each part entering at once or after a bar or two."""
    piece = Piece(rng)
    shares = np.array([share for share, _, _ in BANDS])
    _, always, maybe = BANDS[rng.choice(len(BANDS), p=shares / shares.sum())]
    parts = {*always, *(part for part in maybe if chance(rng, 0.75))} or {"chords"}
    writers = {
        "chords": write_chords, "bass": write_bass, "melody": write_melody, "drums": write_drums,
    }  # fmt: skip
    for part, write in writers.items():
        if part in parts:
            at_once = chance(rng, 0.8) or len(parts) == 1
            write(piece, 0 if at_once else int(rng.integers(0, 3)))
    return piece.notes


def write_chords(piece: Piece, entry: int) -> None:
    """Accompaniment in one of six styles."""
    rng = piece.rng
    style = CHORD_STYLES[rng.integers(len(CHORD_STYLES))]
    octave = 7 * int(rng.integers(1, 3))
    top = 6 if chance(rng, 0.35) else 7  # a seventh, or the root again
    velocity, steps = rng.uniform(0.45, 0.9), int(rng.choice([2, 4, 4]))
    order = rng.permutation(4) if style == "arpeggio" else np.array([0, 2, 1, 2])
    strum = 0.012 / piece.beat if style == "strummed" else 0.0
    for bar in range(entry, piece.bars):
        degree = piece.chord(bar) + octave
        chord = [piece.pitch(degree + step) for step in (0, 2, 4, top)]
        if style in ("arpeggio", "Alberti"):
            for index in range(piece.meter * steps):
                pitch, length = chord[order[index % 4]], float(rng.choice([0.4, 1.2]))
                piece.add("chords", bar, index / steps, length, pitch, velocity)
            continue
        for beats, length, loudness in chord_strokes(piece, style):
            for index, pitch in enumerate(chord):
                piece.add("chords", bar, beats + index * strum, length, pitch, velocity * loudness)


def chord_strokes(piece: Piece, style: str) -> list[tuple[float, float, float]]:
    """When in a bar whole chords sound: (beats after the bar line, length in beats, loudness)."""
    if style == "sustained":
        return [(0.0, piece.meter * 0.98, 1.0)]
    if style == "blocks":
        uniform = piece.rng.uniform
        return [(q, uniform(0.5, 0.95), 0.8 if q else 1.0) for q in range(piece.meter)]
    if style == "off-beat":
        return [(q + 0.5, 0.3, 1.0) for q in range(piece.meter)]
    struck = [q for q in range(2 * piece.meter) if q == 0 or piece.accents[0, q % 16] < 0.7]
    return [(piece.half_beat(q), 0.6, 0.8 if q % 2 else 1.0) for q in struck]


def write_bass(piece: Piece, entry: int) -> None:
    """Whole notes, eighths, a walk, or a syncopated figure."""
    style = piece.rng.integers(4)
    low = -12 if piece.root > 42 else 0
    for bar in range(entry, piece.bars):
        degree = piece.chord(bar)
        root = piece.pitch(degree) + low
        if style == 0:
            piece.add("bass", bar, 0, piece.meter * 0.9, root, 0.9)
        elif style == 1:
            for half in range(2 * piece.meter):
                piece.add("bass", bar, piece.half_beat(half), 0.4, root, 0.85)
        elif style == 2:
            for quarter in range(piece.meter):
                walk = piece.pitch(degree + (0, 4, 2, 4)[quarter % 4]) - 12
                piece.add("bass", bar, quarter, 0.8, walk, 0.85)
        else:
            for half in range(2 * piece.meter):
                leap = 12 if piece.accents[1, half % 16] > 0.8 else 0
                if half == 0 or piece.accents[2, half % 16] < 0.55:
                    piece.add("bass", bar, piece.half_beat(half), 0.45, root + leap, 0.9)


def write_melody(piece: Piece, entry: int) -> None:
    """A short motif, repeated over the chords with its steps along the scale."""
    rng = piece.rng
    degree = centre = int(rng.integers(14, 22))
    velocity = rng.uniform(0.6, 1)
    lengths = rng.choice([0.5, 0.5, 1, 1, 1.5, 2, 0.25], rng.integers(3, 9))
    steps, rests = rng.integers(-3, 4, len(lengths)), rng.random(len(lengths)) < 0.12
    index = 0
    for bar in range(entry, piece.bars):
        beats = 0.0
        while beats < piece.meter - 0.01:
            length = min(float(lengths[index]), piece.meter - beats)
            degree = int(np.clip(degree + steps[index], centre - 7, centre + 9))
            if beats == 0 and chance(rng, 0.6):
                degree = 7 * (degree // 7) + (piece.chord(bar) + int(rng.choice([0, 2, 4]))) % 7
            if not rests[index]:
                legato = rng.uniform(0.7, 1.02)
                piece.add("melody", bar, beats, length * legato, piece.pitch(degree), velocity)
            beats, index = beats + length, (index + 1) % len(lengths)


def write_drums(piece: Piece, entry: int) -> None:
    """One of six beats, on a grid of four steps a beat."""
    rng = piece.rng
    beat, hat = BEATS[rng.integers(len(BEATS))], HATS[rng.integers(len(HATS))]
    for bar in range(entry, piece.bars):
        if chance(rng, 0.1):
            piece.add("drums", bar, 0, 1, 0, 0.8, "crash")
        for step in range(4 * piece.meter):
            beats = step / 4 + (piece.swing if step % 4 == 2 else 0.0)
            for drum in drums_at(beat, step, piece.accents[:, step % 16], hat):
                accent = 0.25 if step % 4 == 0 else 0.0
                velocity = {"kick": 1.0, "snare": 0.9, "tom": 0.8}.get(drum, 0.45 + accent)
                pitch = float(rng.integers(41, 65))
                piece.add("drums", bar, beats, 0.5, pitch, velocity, drum)


def drums_at(beat: str, step: int, accents: Signal, hat: str) -> list[str]:
    """The drums struck on one sixteenth of a bar."""
    first, second, third = accents
    if beat == "toms":
        return ["kick"] * (step % 8 == 0) + ["tom"] * bool(third > 0.5)
    back = step % 8 == 4
    kick, snare, cymbal = {
        "rock": (step in (0, 8, 10), back, step % 2 == 0),
        "four on the floor": (step % 4 == 0, back, step % 4 == 2),
        "hip-hop": (step in (0, 7, 10) or first > 0.93, back, step % 2 == 0 or second > 0.8),
        "jazz": (first > 0.9, second > 0.92, step % 4 == 0 or step % 8 == 6),
        "random": (first > 0.7, second > 0.8, third > 0.45),
    }[beat]
    struck = {"kick": kick, "snare": snare, hat: cymbal}
    return [drum for drum, hit in struck.items() if hit]
