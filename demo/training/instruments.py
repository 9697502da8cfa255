"""Plays notes on random additive-synthesis instruments, drum kits and a singing voice."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy import signal

from training.channel import record
from training.composer import MUSIC, Note, compose
from training.sound import CLIP_SAMPLES, SAMPLE_RATE, TURN, Rng, Signal, add_at, normalise, times
from training.speech import articulate
from training.voice import FRAMES_PER_SECOND, HOP, Articulation, Voice, vocalise

HIGHEST_PARTIAL = 7600.0
LONGEST_NOTE = 6.0
# Probability that a part plays something plucked or struck, not bowed, blown or electronic.
PLUCKED = {"chords": 0.6, "bass": 0.6, "melody": 0.25}

Instrument = Callable[[float, float], Signal]
"""Renders a note from its MIDI pitch and its length in seconds."""


def music_clip(rng: Rng) -> Signal:
    """Let a random band play a random piece, sometimes sung, recorded somewhere."""
    notes = compose(rng)
    clip = normalise(play(rng, notes))
    melody = [note for note in notes if note.part == "melody"]
    if melody and rng.chance(0.14):
        clip += rng.gain(-6, 5) * normalise(sing(rng, melody))
    return record(rng, clip, reverb=0.4, drive=0.2)


def play(rng: Rng, notes: list[Note]) -> Signal:
    """Play each part on one instrument; equal notes sound equal."""
    clip, band, kinds = np.zeros(CLIP_SAMPLES), dict[str, Instrument](), MUSIC["instruments"]
    for note in notes:
        if note.part not in band:
            kind = "plucked" if rng.chance(PLUCKED.get(note.part, 0)) else "sustained"
            ranges = kinds["any"] | kinds.get(note.part, kinds[kind])
            band[note.part] = cache(new_instrument(rng, ranges))
        sound = band[note.part](note.pitch, min(round(note.seconds, 1) + 0.05, LONGEST_NOTE))
        add_at(clip, note.velocity * sound, note.start)
    return clip


def new_instrument(rng: Rng, ranges: dict[str, Any]) -> Instrument:
    """Draw an instrument or a drum from ranges; what is drawn below 0 is 0, so not there at all.

    A note has harmonics, made uneven by where it is struck (``comb``), by a closed tube (``even``),
    by stiffness (``stretch``), a low-pass and a resonance; they swing, drop, beat with a second set
    (``chorus``) and decay, the higher the faster. Noise is breath, the pluck, wires or metal.
    """
    drawn = {key: max(0.0, float(rng.uniform(*np.broadcast_to(ranges[key], 2)))) for key in ranges}
    numbers = np.arange(1, 1 + int(drawn["partials"]))[:, None]
    levels = numbers ** -drawn["roll_off"] * (1 + 0.5 * np.sin(drawn["comb"] * numbers))
    levels[1::2] *= min(1.0, drawn["even"])
    stretched = numbers * np.sqrt(1 + drawn["stretch"] * numbers**2)
    phases = rng.uniform(0, TURN, numbers.shape)

    def render(pitch: float, seconds: float) -> Signal:
        time = times(seconds + drawn["release"])
        partials = drawn["base"] * 2 ** (pitch / 12) * stretched
        partials = partials[partials < HIGHEST_PARTIAL][:, None]
        low_pass = 1 / (1 + (partials / drawn["cutoff"]) ** 4)
        formant = 1 + 2 * np.exp(-0.5 * ((partials - drawn["resonance"]) / 400) ** 2)
        turns = np.cumsum(1 + vibrato(time, drawn["rate"], drawn["vibrato"])) / SAMPLE_RATE
        angles = TURN * (partials * turns - drawn["drop"] * np.exp(-30 * time) / 30)
        waves = np.sin(angles + phases[: len(partials)])
        if drawn["chorus"]:
            waves += drawn["chorus"] * np.sin(1.004 * angles)
        waves *= np.exp(-drawn["decay"] * (1 + drawn["damping"] * partials / 200) * time)
        noise = signal.lfilter([1, -drawn["bright"]], 1, rng.standard_normal(len(time)))
        sound = (levels[: len(partials)] * low_pass * formant * waves).sum(axis=0)
        sound += drawn["noise"] * noise * np.exp(-drawn["noise_decay"] * time)
        ends = np.minimum(time / drawn["attack"], (time[-1] - time) / drawn["release"])
        return drawn["level"] * normalise(sound * np.clip(ends, 0, 1))

    return render


def sing(rng: Rng, melody: list[Note]) -> Signal:
    """Sing the melody on changing vowels, with vibrato and glides."""
    voice = Voice(rng)
    score = Articulation(voice, 1 + CLIP_SAMPLES // HOP)
    rate, depth = rng.uniform(4.5, 6.5), rng.uniform(0, 0.02)
    for note in melody:
        start = int(note.start * FRAMES_PER_SECOND)
        end = min(len(score.pitch), start + int(note.seconds * FRAMES_PER_SECOND))
        score.pitch[start:] = 440 * 2 ** ((note.pitch - 69) / 12)
        score.pitch[start:end] *= 1 + vibrato(
            np.arange(end - start) / FRAMES_PER_SECOND, rate, depth
        )
        articulate(rng, voice, score, "vowel", slice(start, end), note.velocity)
        if rng.chance(0.5) and end > start + 20:
            articulate(rng, voice, score, "fricative", slice(start, start + 12), 1.0)
    return vocalise(rng, score, voice, glide=rng.uniform(0.02, 0.08))


def vibrato(time: Signal, rate: float, depth: float) -> Signal:
    """Return the relative change of a pitch that begins to swing after the attack."""
    return np.asarray(depth * np.sin(TURN * rate * time) * np.clip(time / 0.4, 0, 1))
