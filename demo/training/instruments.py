"""Plays notes on random additive-synthesis instruments, drum kits and a singing voice."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.channel import record
from training.composer import compose
from training.drums import DrumKit
from training.score import Note, Part, pitch_to_hz
from training.singing import sing
from training.sound import (
    CLIP_SAMPLES,
    SAMPLE_RATE,
    Signal,
    add_at,
    chance,
    gain,
    normalise,
    rms,
    times,
    warp,
)

HIGHEST_PARTIAL = 7600.0
LONGEST_NOTE = 6.0

Instrument = Callable[[float, float], Signal]
"""Renders a note from its frequency in Hz and its length in seconds."""


def music_clip(rng: np.random.Generator) -> Signal:
    """A random piece by a random band, sometimes sung, recorded somewhere."""
    notes = compose(rng)
    clip = play(rng, notes)
    melody = [note for note in notes if note.part is Part.MELODY]
    if melody and chance(rng, 0.14):
        song = sing(rng, melody)
        clip = clip / rms(clip) + gain(rng.uniform(-6, 5)) * song / rms(song)
    if rms(clip) < 1e-4:
        return music_clip(rng)
    clip = normalise(clip)
    if chance(rng, 0.12):
        warped = warp(rng, clip, 0.01, 2.0)
        clip = np.pad(warped, (0, max(0, CLIP_SAMPLES - len(warped))), "wrap")[:CLIP_SAMPLES]
    return record(rng, clip, reverb=0.4, drive=0.2)


def play(rng: np.random.Generator, notes: list[Note], samples: int = CLIP_SAMPLES) -> Signal:
    """Each part on one instrument at a level of its own; equal notes sound equal."""
    clip = np.zeros(samples)
    instruments = {part: random_instrument(rng, part) for part in Part}
    levels = {part: rng.uniform(0.35, 1.0) for part in Part}
    kit = DrumKit.random(rng)
    played: dict[tuple[Part, float, float], Signal] = {}
    for note in notes:
        if note.drum is not None:
            sound = 2 * kit.strike(rng, note.drum, note.pitch)
        else:
            key = (note.part, note.pitch, round(note.seconds, 1))
            if key not in played:
                frequency = pitch_to_hz(note.pitch)
                played[key] = normalise(instruments[note.part](frequency, key[2] + 0.05))
            sound = played[key]
        add_at(clip, 0.5 * levels[note.part] * note.velocity * sound, note.start)
    return clip


def random_instrument(rng: np.random.Generator, part: Part) -> Instrument:
    """Something plucked or struck, or something bowed, blown or electronic."""
    plucked = {Part.CHORDS: 0.6, Part.BASS: 0.6}.get(part, 0.25)
    return Plucked.random(rng) if chance(rng, plucked) else Sustained.random(rng)


@dataclass(frozen=True)
class Plucked:
    """Strings, bars and keys: partials that decay, the higher the faster."""

    rng: np.random.Generator
    partials: int
    inharmonicity: float
    roll_off: float
    position: float
    """Where it is struck: a comb over the partials."""
    decay: float
    damping: float
    """How much faster each higher partial decays."""
    phases: Signal
    click: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Plucked":
        """Anything from a harp to a clavinet."""
        return cls(
            rng=rng,
            partials=int(rng.integers(6, 30)),
            inharmonicity=float(rng.choice([0, rng.uniform(0, 8e-4)])),
            roll_off=rng.uniform(0.6, 2),
            position=rng.uniform(0.3, 3),
            decay=rng.uniform(0.6, 6),
            damping=rng.uniform(0.05, 0.5),
            phases=rng.uniform(0, 2 * np.pi, 30),
            click=rng.uniform(0, 0.15),
        )

    def __call__(self, frequency: float, seconds: float) -> Signal:
        """One note with a release of a quarter of a second."""
        time = times(int((min(seconds, LONGEST_NOTE) + 0.25) * SAMPLE_RATE))
        sound = self.click * self.rng.standard_normal(len(time)) * np.exp(-90 * time)
        for number in range(1, self.partials + 1):
            partial = frequency * number * np.sqrt(1 + self.inharmonicity * number**2)
            if partial > HIGHEST_PARTIAL:
                break
            amplitude = number**-self.roll_off * (1 + 0.5 * np.sin(number * self.position))
            rate = self.decay * np.sqrt(frequency / 200) * (1 + self.damping * number)
            phase = 2 * np.pi * partial * time + self.phases[number - 1]
            sound += amplitude * np.sin(phase) * np.exp(-rate * time)
        return sound * np.minimum(1, time / 0.003) * release(time, 0.25)


@dataclass(frozen=True)
class Sustained:
    """Bows, pipes, reeds and oscillators: a filtered harmonic spectrum that lasts."""

    rng: np.random.Generator
    partials: int
    roll_off: float
    odd: bool
    """Hardly any even harmonics, as a clarinet or a square wave."""
    cutoff: float
    """Of a fourth-order low-pass filter, in Hz."""
    resonance: float
    """Centre of the instrument's formant, in Hz."""
    chorus: bool
    attack: float
    sustain: float
    breath: float
    vibrato_depth: float
    vibrato_rate: float
    phases: Signal

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Sustained":
        """Anything from a flute to a synthesiser's brass."""
        return cls(
            rng=rng,
            partials=int(rng.integers(6, 30)),
            roll_off=rng.uniform(0.6, 2),
            odd=chance(rng, 0.25),
            cutoff=rng.uniform(400, 6000),
            resonance=rng.uniform(300, 2500),
            chorus=chance(rng, 0.35),
            attack=rng.uniform(0.005, 0.25),
            sustain=rng.uniform(0.4, 1),
            breath=float(rng.choice([0, 0, rng.uniform(0, 0.1)])),
            vibrato_depth=float(rng.choice([0, rng.uniform(0.002, 0.012)])),
            vibrato_rate=rng.uniform(4, 7),
            phases=rng.uniform(0, 2 * np.pi, 30),
        )

    def __call__(self, frequency: float, seconds: float) -> Signal:
        """One note with a release of 0.15 s."""
        time = times(int((min(seconds, LONGEST_NOTE) + 0.15) * SAMPLE_RATE))
        wobble = np.sin(2 * np.pi * self.vibrato_rate * time) * np.clip(time / 0.4, 0, 1)
        phase = 2 * np.pi * np.cumsum(frequency * (1 + self.vibrato_depth * wobble)) / SAMPLE_RATE
        sound = self.breath * self.rng.standard_normal(len(time))
        for number in range(1, min(self.partials, int(HIGHEST_PARTIAL / frequency)) + 1):
            amplitude = self.amplitude(number, number * frequency)
            sound += amplitude * np.sin(number * phase + self.phases[number - 1])
            if self.chorus:
                sound += 0.7 * amplitude * np.sin(1.004 * number * phase + number)
        swell = np.minimum(1, time / self.attack)
        fall = self.sustain + (1 - self.sustain) * np.exp(-4 * time)
        return sound * swell * fall * release(time, 0.15)

    def amplitude(self, number: int, frequency: float) -> float:
        """Amplitude of a harmonic."""
        even = 0.1 if self.odd and number % 2 == 0 else 1.0
        low_pass = 1 / (1 + (frequency / self.cutoff) ** 4)
        formant = 1 + 2 * np.exp(-0.5 * ((frequency - self.resonance) / 400) ** 2)
        return float(number**-self.roll_off * even * low_pass * formant)


def release(time: Signal, seconds: float) -> Signal:
    """A linear fade at the end."""
    return np.clip((time[-1] - time) / seconds, 0, 1) if len(time) else time
