"""A voice that sings a melody."""

import numpy as np

from training.score import Note, pitch_to_hz
from training.sound import CLIP_SAMPLES, Signal, chance
from training.voice import FRAMES_PER_SECOND, HOP, VOWELS, Articulation, Larynx, vocalise


def sing(rng: np.random.Generator, melody: list[Note]) -> Signal:
    """The melody sung on changing vowels, with vibrato and glides."""
    frames = CLIP_SAMPLES // HOP
    score = Articulation.silent(frames)
    vibrato_rate, vibrato_depth = rng.uniform(4.5, 6.5), rng.uniform(0, 0.02)
    for note in melody:
        start = int(note.start * FRAMES_PER_SECOND)
        end = min(frames, start + int(note.seconds * 0.97 * FRAMES_PER_SECOND))
        count = end - start
        if count < 6:
            continue
        time = np.arange(count) / FRAMES_PER_SECOND
        wobble = np.sin(2 * np.pi * vibrato_rate * time) * np.clip(time / 0.3, 0, 1)
        score.pitch[start:] = pitch_to_hz(note.pitch)
        score.pitch[start:end] *= 1 + vibrato_depth * wobble
        score.formants[start:end, :3] = VOWELS[rng.integers(len(VOWELS))]
        attack, fall = np.arange(1, count + 1) / 8, np.arange(count, 0, -1) / 10
        score.voicing[start:end] = note.velocity * np.minimum(1, np.minimum(attack, fall))
        score.aspiration[start:end] = 0.05 * note.velocity
        if chance(rng, 0.5):  # a consonant
            score.voicing[start : start + 6] *= 0.2
            score.frication[start : start + 12] = rng.uniform(0.05, 0.4)
            score.frication_centre[start : start + 12] = rng.uniform(2000, 7000)
            score.frication_width[start : start + 12] = 1500
    glide = rng.uniform(0.02, 0.08)
    larynx = Larynx.random(rng, tract_scale=rng.uniform(0.88, 1.2))
    score = score.smoothed(pitch=glide, formants=0.07, amplitudes=0.01)
    song = vocalise(rng, score, larynx)
    return np.pad(song, (0, CLIP_SAMPLES - len(song)))
