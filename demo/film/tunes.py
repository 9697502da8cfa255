"""What the demo video plays: Beethoven's Ode to Joy (1824, public domain), arranged anew."""

import numpy as np
from training.channel import reverberate
from training.instruments import play
from training.score import Note, Part
from training.sound import SAMPLE_RATE, Signal, normalise

BEAT = 0.5
"""Seconds: 120 beats a minute."""
BAR = 4 * BEAT
# MIDI notes with their lengths in beats, six bars of them.
MELODY = (
    "64 1 64 1 65 1 67 1",
    "67 1 65 1 64 1 62 1",
    "60 1 60 1 62 1 64 1",
    "64 1.5 62 0.5 62 2",
    "64 1 64 1 65 1 67 1",
    "67 1 65 1 64 1 62 1",
)
C_MAJOR, G_MAJOR = (48, 52, 55), (43, 47, 50)
CHORDS = (C_MAJOR, G_MAJOR, C_MAJOR, G_MAJOR, C_MAJOR, G_MAJOR)


def ode_to_joy(seed: int) -> Signal:
    """Twelve seconds at 16 kHz: melody, chords after each beat and a bass, in a small hall."""
    rng = np.random.default_rng(seed)
    notes = [note for bar, text in enumerate(MELODY) for note in melody_bar(bar, text)]
    notes += [note for bar, chord in enumerate(CHORDS) for note in accompaniment_bar(bar, chord)]
    dry = play(rng, notes, int(len(MELODY) * BAR * SAMPLE_RATE))
    return normalise(reverberate(rng, dry))


def melody_bar(bar: int, text: str) -> list[Note]:
    """An octave above what is written."""
    values = [float(value) for value in text.split()]
    notes = []
    start = bar * BAR
    for pitch, beats in zip(values[::2], values[1::2], strict=True):
        seconds = beats * BEAT
        notes.append(Note(start, 0.95 * seconds, Part.MELODY, pitch + 12, 0.9))
        start += seconds
    return notes


def accompaniment_bar(bar: int, chord: tuple[int, ...]) -> list[Note]:
    """Bass on the first and third beat, the chord on the half-beats."""
    start = bar * BAR
    bass = [Note(start + beat * BEAT, BEAT, Part.BASS, chord[0] - 12, 0.9) for beat in (0, 2)]
    return bass + [
        Note(start + (beat + 0.5) * BEAT, 0.4 * BEAT, Part.CHORDS, pitch + 12, 0.5)
        for beat in range(4)
        for pitch in chord
    ]
