"""A random composer: chords, bass, drums and a melody for ten seconds of any style."""

import numpy as np

from training.score import Band, Drum, Note, Part, Piece
from training.sound import Signal, chance

HATS = (Drum.CLOSED_HAT, Drum.CLOSED_HAT, Drum.CLOSED_HAT, Drum.OPEN_HAT, Drum.RIDE)
BEATS = ("rock", "four on the floor", "hip-hop", "jazz", "random", "toms")
CHORD_STYLES = ("sustained", "strummed", "arpeggio", "blocks", "off-beat", "Alberti")


def compose(rng: np.random.Generator) -> list[Note]:
    """The notes of a random piece, each part entering at once or after a bar or two."""
    piece = Piece.random(rng)
    writers = {
        Part.CHORDS: write_chords,
        Part.BASS: write_bass,
        Part.MELODY: write_melody,
        Part.DRUMS: write_drums,
    }
    parts = Band.random(rng)
    for part, write in writers.items():
        if part in parts:
            entry = 0 if chance(rng, 0.8) or len(parts) == 1 else int(rng.integers(0, 3))
            write(piece, entry)
    return piece.notes


def write_chords(piece: Piece, entry: int) -> None:
    """Accompaniment in one of six styles."""
    rng = piece.rng
    style = CHORD_STYLES[rng.integers(len(CHORD_STYLES))]
    octave = 7 * int(rng.integers(1, 3))
    top = 6 if chance(rng, 0.35) else 7  # a seventh, or the root again
    velocity = rng.uniform(0.45, 0.9)
    steps = int(rng.choice([2, 4, 4]))
    order = rng.permutation(4) if style == "arpeggio" else np.array([0, 2, 1, 2])
    strum = 0.012 / piece.beat if style == "strummed" else 0.0
    for bar in range(entry, piece.bars):
        degree = piece.chord(bar) + octave
        chord = [piece.pitch(degree + step) for step in (0, 2, 4, top)]
        if style in ("arpeggio", "Alberti"):
            for index in range(piece.meter * steps):
                pitch = chord[order[index % 4]]
                length = float(rng.choice([0.4, 1.2]))
                piece.add(Part.CHORDS, bar, index / steps, length, pitch, velocity)
            continue
        for beats, length, loudness in chord_strokes(piece, style):
            for index, pitch in enumerate(chord):
                at = beats + index * strum
                piece.add(Part.CHORDS, bar, at, length, pitch, velocity * loudness)


def chord_strokes(piece: Piece, style: str) -> list[tuple[float, float, float]]:
    """When in a bar whole chords sound: (beats after the bar line, length in beats, loudness)."""
    if style == "sustained":
        return [(0.0, piece.meter * 0.98, 1.0)]
    if style == "blocks":
        quarters = range(piece.meter)
        return [(q, piece.rng.uniform(0.5, 0.95), 0.8 if q else 1.0) for q in quarters]
    if style == "off-beat":
        return [(q + 0.5, 0.3, 1.0) for q in range(piece.meter)]
    heard = [q for q in range(2 * piece.meter) if q == 0 or piece.accents[0, q % 16] < 0.7]
    return [(piece.half_beat(q), 0.6, 0.8 if q % 2 else 1.0) for q in heard]


def write_bass(piece: Piece, entry: int) -> None:
    """Whole notes, eighths, a walk, or a syncopated figure."""
    style = piece.rng.integers(4)
    low = -12 if piece.root > 42 else 0
    for bar in range(entry, piece.bars):
        degree = piece.chord(bar)
        root = piece.pitch(degree) + low
        if style == 0:
            piece.add(Part.BASS, bar, 0, piece.meter * 0.9, root, 0.9)
        elif style == 1:
            for half in range(2 * piece.meter):
                piece.add(Part.BASS, bar, piece.half_beat(half), 0.4, root, 0.85)
        elif style == 2:
            for quarter in range(piece.meter):
                walk = piece.pitch(degree + (0, 4, 2, 4)[quarter % 4]) - 12
                piece.add(Part.BASS, bar, quarter, 0.8, walk, 0.85)
        else:
            for half in range(2 * piece.meter):
                leap = 12 if piece.accents[1, half % 16] > 0.8 else 0
                if half == 0 or piece.accents[2, half % 16] < 0.55:
                    piece.add(Part.BASS, bar, piece.half_beat(half), 0.45, root + leap, 0.9)


def write_melody(piece: Piece, entry: int) -> None:
    """A short motif, repeated over the chords with its steps along the scale."""
    rng = piece.rng
    centre = int(rng.integers(14, 22))
    velocity = rng.uniform(0.6, 1)
    lengths = rng.choice([0.5, 0.5, 1, 1, 1.5, 2, 0.25], rng.integers(3, 9))
    steps = rng.integers(-3, 4, len(lengths))
    rests = rng.random(len(lengths)) < 0.12
    degree = centre
    index = 0
    for bar in range(entry, piece.bars):
        chord = piece.chord(bar)
        beats = 0.0
        while beats < piece.meter - 0.01:
            place = index % len(lengths)
            length = min(float(lengths[place]), piece.meter - beats)
            degree = int(np.clip(degree + steps[place], centre - 7, centre + 9))
            if beats == 0 and chance(rng, 0.6):
                degree = 7 * (degree // 7) + (chord + int(rng.choice([0, 2, 4]))) % 7
            if not rests[place]:
                legato = rng.uniform(0.7, 1.02)
                pitch = piece.pitch(degree)
                piece.add(Part.MELODY, bar, beats, length * legato, pitch, velocity)
            beats += length
            index += 1


def write_drums(piece: Piece, entry: int) -> None:
    """One of six beats, on a grid of four steps a beat."""
    rng = piece.rng
    beat = BEATS[rng.integers(len(BEATS))]
    hat = HATS[rng.integers(len(HATS))]
    for bar in range(entry, piece.bars):
        if chance(rng, 0.1):
            piece.add(Part.DRUMS, bar, 0, 1, 0, 0.8, Drum.CRASH)
        for step in range(4 * piece.meter):
            beats = step / 4 + (piece.swing if step % 4 == 2 else 0.0)
            for drum in drums_at(beat, step, piece.accents[:, step % 16], hat):
                accent = 0.25 if step % 4 == 0 else 0.0
                velocity = {Drum.KICK: 1.0, Drum.SNARE: 0.9, Drum.TOM: 0.8}.get(drum, 0.45 + accent)
                pitch = float(rng.integers(41, 65))
                piece.add(Part.DRUMS, bar, beats, 0.5, pitch, velocity, drum)


def drums_at(beat: str, step: int, accents: Signal, hat: Drum) -> list[Drum]:
    """The drums struck on one sixteenth of a bar."""
    first, second, third = accents
    if beat == "toms":
        return ([Drum.KICK] if step % 8 == 0 else []) + ([Drum.TOM] if third > 0.5 else [])
    kick, snare, cymbal = {
        "rock": (step in (0, 8, 10), step % 8 == 4, step % 2 == 0),
        "four on the floor": (step % 4 == 0, step % 8 == 4, step % 4 == 2),
        "hip-hop": (
            step in (0, 7, 10) or first > 0.93,
            step % 8 == 4,
            step % 2 == 0 or second > 0.8,
        ),
        "jazz": (first > 0.9, second > 0.92, step % 4 == 0 or step % 8 == 6),
        "random": (first > 0.7, second > 0.8, third > 0.45),
    }[beat]
    struck = {Drum.KICK: kick, Drum.SNARE: snare, hat: cymbal}
    return [drum for drum, hit in struck.items() if hit]
