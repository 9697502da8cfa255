"""Plays notes on random additive-synthesis instruments, drum kits and a singing voice."""

from collections.abc import Callable

import numpy as np

from training.channel import record
from training.composer import Note, compose
from training.sound import (
    CLIP_SAMPLES,
    SAMPLE_RATE,
    Rng,
    Signal,
    add_at,
    chance,
    gain,
    normalise,
    random_curve,
    rms,
    times,
)
from training.voice import FRAMES_PER_SECOND, HOP, VOWELS, Articulation, Larynx, vocalise

HIGHEST_PARTIAL = 7600.0
LONGEST_NOTE = 6.0
CYMBAL_MODES = (3012.0, 4150.0, 5222.0, 6100.0)
TURN = 2 * np.pi

Instrument = Callable[[float, float], Signal]
"""Renders a note from its frequency in Hz and its length in seconds."""


def music_clip(rng: Rng) -> Signal:
    """A random piece by a random band, sometimes sung, recorded somewhere."""
    notes = compose(rng)
    clip = play(rng, notes)
    melody = [note for note in notes if note.part == "melody"]
    if melody and chance(rng, 0.14):
        song = sing(rng, melody)
        clip = clip / rms(clip) + gain(rng.uniform(-6, 5)) * song / rms(song)
    if rms(clip) < 1e-4:
        return music_clip(rng)
    clip = normalise(clip)
    if chance(rng, 0.12):  # wow: the speed of the tape wanders
        positions = np.cumsum(np.exp(random_curve(rng, len(clip), 2.0, -0.01, 0.01)))
        inside = positions[positions < len(clip) - 1]
        warped = np.interp(inside, np.arange(len(clip)), clip)
        clip = np.pad(warped, (0, max(0, CLIP_SAMPLES - len(warped))), "wrap")[:CLIP_SAMPLES]
    return record(rng, clip, reverb=0.4, drive=0.2)


def play(rng: Rng, notes: list[Note], samples: int = CLIP_SAMPLES) -> Signal:
    """Each part on one instrument at a level of its own; equal notes sound equal."""
    clip = np.zeros(samples)
    # Something plucked or struck with this probability, else bowed, blown or electronic.
    plucks = {"chords": 0.6, "bass": 0.6, "melody": 0.25, "drums": 0.25}
    instruments = {
        part: plucked(rng) if chance(rng, probability) else sustained(rng)
        for part, probability in plucks.items()
    }
    levels = {part: rng.uniform(0.35, 1.0) for part in plucks}
    strike = drum_kit(rng)
    played: dict[tuple[str, float, float], Signal] = {}
    for note in notes:
        if note.drum:
            sound = 2 * strike(note.drum, note.pitch)
        else:
            key = (note.part, note.pitch, round(note.seconds, 1))
            if key not in played:
                render = instruments[note.part]
                played[key] = normalise(render(pitch_to_hz(note.pitch), key[2] + 0.05))
            sound = played[key]
        add_at(clip, 0.5 * levels[note.part] * note.velocity * sound, note.start)
    return clip


def plucked(rng: Rng) -> Instrument:
    """Strings, bars and keys: partials that decay, the higher the faster."""
    partials = int(rng.integers(6, 30))
    inharmonicity = float(rng.choice([0, rng.uniform(0, 8e-4)]))
    roll_off = rng.uniform(0.6, 2)
    position = rng.uniform(0.3, 3)  # where it is struck: a comb over the partials
    decay, damping = rng.uniform(0.6, 6), rng.uniform(0.05, 0.5)
    phases, click = rng.uniform(0, TURN, 30), rng.uniform(0, 0.15)

    def render(frequency: float, seconds: float) -> Signal:
        time = times(int((min(seconds, LONGEST_NOTE) + 0.25) * SAMPLE_RATE))
        sound = click * rng.standard_normal(len(time)) * np.exp(-90 * time)
        for number in range(1, partials + 1):
            partial = frequency * number * np.sqrt(1 + inharmonicity * number**2)
            if partial > HIGHEST_PARTIAL:
                break
            amplitude = number**-roll_off * (1 + 0.5 * np.sin(number * position))
            rate = decay * np.sqrt(frequency / 200) * (1 + damping * number)
            phase = TURN * partial * time + phases[number - 1]
            sound += amplitude * np.sin(phase) * np.exp(-rate * time)
        return sound * np.minimum(1, time / 0.003) * release(time, 0.25)

    return render


def sustained(rng: Rng) -> Instrument:
    """Bows, pipes, reeds and oscillators: a filtered harmonic spectrum that lasts."""
    partials, roll_off = int(rng.integers(6, 30)), rng.uniform(0.6, 2)
    odd = chance(rng, 0.25)  # hardly any even harmonics, as a clarinet or a square wave
    cutoff, resonance = rng.uniform(400, 6000), rng.uniform(300, 2500)  # Hz
    chorus, attack, sustain = chance(rng, 0.35), rng.uniform(0.005, 0.25), rng.uniform(0.4, 1)
    breath = float(rng.choice([0, 0, rng.uniform(0, 0.1)]))
    vibrato_depth = float(rng.choice([0, rng.uniform(0.002, 0.012)]))
    vibrato_rate, phases = rng.uniform(4, 7), rng.uniform(0, TURN, 30)

    def amplitude(number: int, frequency: float) -> float:
        even = 0.1 if odd and number % 2 == 0 else 1.0
        low_pass = 1 / (1 + (frequency / cutoff) ** 4)
        formant = 1 + 2 * np.exp(-0.5 * ((frequency - resonance) / 400) ** 2)
        return float(number**-roll_off * even * low_pass * formant)

    def render(frequency: float, seconds: float) -> Signal:
        time = times(int((min(seconds, LONGEST_NOTE) + 0.15) * SAMPLE_RATE))
        wobble = np.sin(TURN * vibrato_rate * time) * np.clip(time / 0.4, 0, 1)
        phase = TURN * np.cumsum(frequency * (1 + vibrato_depth * wobble)) / SAMPLE_RATE
        sound = breath * rng.standard_normal(len(time))
        for number in range(1, min(partials, int(HIGHEST_PARTIAL / frequency)) + 1):
            level = amplitude(number, number * frequency)
            sound += level * np.sin(number * phase + phases[number - 1])
            if chorus:
                sound += 0.7 * level * np.sin(1.004 * number * phase + number)
        swell, fall = np.minimum(1, time / attack), sustain + (1 - sustain) * np.exp(-4 * time)
        return sound * swell * fall * release(time, 0.15)

    return render


def drum_kit(rng: Rng) -> Callable[[str, float], Signal]:
    """Acoustic or electronic: sines for the heads, noise for the wires and cymbals. Renders a
    stroke from the drum's name and a MIDI pitch; no two are quite the same."""
    kick_pitch, kick_drop, kick_decay = (
        rng.uniform(40, 65),
        rng.uniform(80, 300),
        rng.uniform(6, 16),
    )
    snare_pitch, snare_decay = rng.uniform(160, 260), rng.uniform(12, 40)
    hat_decay, tom_decay = rng.uniform(30, 90), rng.uniform(7, 16)
    decays = {"closed hat": hat_decay, "open hat": 9.0, "ride": 10.0, "crash": 4.0}

    def strike(drum: str, pitch: float) -> Signal:
        time = times(int((1.2 if drum == "crash" else 0.5) * SAMPLE_RATE))
        noise = rng.standard_normal(len(time))
        if drum == "kick":
            sweep = kick_pitch * time + kick_drop * (1 - np.exp(-30 * time)) / 30
            thump = np.sin(TURN * sweep) * np.exp(-kick_decay * time)
            return np.asarray(thump + 0.2 * noise * np.exp(-200 * time))
        if drum == "snare":
            wires = 0.6 * noise * np.exp(-snare_decay * time)
            return wires + 0.5 * np.sin(TURN * snare_pitch * time) * np.exp(-25 * time)
        if drum == "tom":
            sweep = (60 + 9 * (pitch - 36)) * (time + 0.3 * (1 - np.exp(-20 * time)) / 20)
            return np.asarray(np.sin(TURN * sweep) * np.exp(-tom_decay * time))
        sizzle = 0.3 * np.diff(noise, append=0.0) * np.exp(-decays[drum] * time)
        if drum in ("ride", "crash"):
            modes = np.sin(TURN * np.outer(CYMBAL_MODES, time)).sum(axis=0)
            sizzle += 0.1 * modes * np.exp(-8 * time)
        return np.asarray(sizzle)

    return strike


def sing(rng: Rng, melody: list[Note]) -> Signal:
    """The melody sung on changing vowels, with vibrato and glides."""
    frames = CLIP_SAMPLES // HOP
    score = Articulation(frames)
    vibrato_rate, vibrato_depth = rng.uniform(4.5, 6.5), rng.uniform(0, 0.02)
    for note in melody:
        start = int(note.start * FRAMES_PER_SECOND)
        end = min(frames, start + int(note.seconds * 0.97 * FRAMES_PER_SECOND))
        count = end - start
        if count < 6:
            continue
        time = np.arange(count) / FRAMES_PER_SECOND
        wobble = np.sin(TURN * vibrato_rate * time) * np.clip(time / 0.3, 0, 1)
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
    score.smooth(pitch=glide, formants=0.07, amplitudes=0.01)
    song = vocalise(rng, score, larynx)
    return np.pad(song, (0, CLIP_SAMPLES - len(song)))


def pitch_to_hz(pitch: float) -> float:
    """Equal temperament at 440 Hz."""
    return float(440 * 2 ** ((pitch - 69) / 12))


def release(time: Signal, seconds: float) -> Signal:
    """A linear fade at the end."""
    return np.clip((time[-1] - time) / seconds, 0, 1) if len(time) else time
