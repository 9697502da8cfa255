"""Pseudo-speech: no words of any language, but its syllables, stress, intonation and pauses."""

from dataclasses import dataclass

import numpy as np

from training.channel import record
from training.sound import (
    CLIP_SAMPLES,
    CLIP_SECONDS,
    Rng,
    Signal,
    add_at,
    chance,
    gain,
    leaky_walk,
    log_uniform,
    normalise,
)
from training.voice import FRAMES_PER_SECOND, HOP, VOWELS, Articulation, Larynx, vocalise

# Manners of articulation; "voiced" is a voiced fricative, "" no onset at all.
ONSETS = ("fricative", "fricative", "plosive", "plosive", "nasal", "nasal", "voiced", "")
CODAS = ("fricative", "nasal", "plosive")


@dataclass(frozen=True)
class Speaker:
    """A voice and a manner of speaking: mean pitch in Hz, the log of the ratio by which stress and
    declination move it, syllables a second, F4 and F5 in Hz, which hardly move in speech."""

    larynx: Larynx
    pitch: float
    pitch_range: float
    syllable_rate: float
    breathiness: float
    upper_formants: tuple[float, float]

    @classmethod
    def random(cls, rng: Rng) -> "Speaker":
        """Anyone between a deep man and a child."""
        pitch = log_uniform(rng, 80, 280)
        tract_scale = float(np.clip(0.85 + 0.0012 * (pitch - 80) + rng.normal(0, 0.06), 0.8, 1.3))
        return cls(
            larynx=Larynx.random(rng, tract_scale),
            pitch=pitch,
            pitch_range=rng.uniform(0.08, 0.4),
            syllable_rate=rng.uniform(3, 7.5),
            breathiness=rng.uniform(0.01, 0.15),
            upper_formants=(rng.uniform(3200, 3800), rng.uniform(4200, 5000)),
        )


def speech_clip(rng: Rng) -> Signal:
    """One speaker, or sometimes two in turn, recorded somewhere."""
    clip = np.zeros(CLIP_SAMPLES)
    speakers, levels = [Speaker.random(rng)], [0.0]
    if chance(rng, 0.2):
        speakers.append(Speaker.random(rng))
        levels.append(rng.uniform(-8, 0))
    both = len(speakers) == 2
    longest_gap, shortest_gap = rng.uniform(0.05, 1.6), -0.2 if both else 0.05
    time, turn = float(rng.choice([0.0, rng.uniform(0, 1.5)])), 0
    while time < CLIP_SECONDS:
        seconds = rng.uniform(2, 6) if both else 10.0
        whose = turn % len(speakers)
        add_at(clip, normalise(speak(rng, speakers[whose], seconds)) * gain(levels[whose]), time)
        time = max(0.0, time + seconds + rng.uniform(shortest_gap, longest_gap))
        turn += 1
    return record(rng, clip, reverb=0.6)


def speak(rng: Rng, speaker: Speaker, seconds: float) -> Signal:
    """Phrases with pauses between them for a number of seconds."""
    score = Articulation(int(seconds * FRAMES_PER_SECOND))
    score.pitch[:] = speaker.pitch
    frames = len(score.pitch)
    frame = int(rng.uniform(0, 0.6) * FRAMES_PER_SECOND)
    while frame < frames - 10:
        frame = articulate_phrase(rng, speaker, score, frame)
        short, long = rng.uniform(0.08, 0.3), rng.uniform(0.2, 1.2)
        frame += int((short if chance(rng, 0.5) else long) * FRAMES_PER_SECOND)
    score.formants[:, 3:] = speaker.upper_formants
    score.smooth(pitch=0.04, formants=0.05, amplitudes=0.02)
    return vocalise(rng, score, speaker.larynx)[: frames * HOP]


def articulate_phrase(rng: Rng, speaker: Speaker, score: Articulation, start: int) -> int:
    """Write two to fifteen syllables into the score; the frame after the last."""
    syllables, frame = int(rng.integers(2, 16)), start
    accents: list[tuple[int, float]] = []
    for index in range(syllables):
        stressed = chance(rng, 0.35)
        lengthening = (1.35 if stressed else 0.85) * (1.4 if index == syllables - 1 else 1.0)
        vowel_seconds = rng.uniform(0.6, 1.3) * lengthening / speaker.syllable_rate
        for phone, phone_seconds in random_syllable(rng, vowel_seconds):
            end = frame + max(2, int(phone_seconds * FRAMES_PER_SECOND))
            end = min(len(score.pitch), end)
            if end <= frame:
                break
            loudness = rng.uniform(0.5, 1.0) * (1.3 if stressed else 0.8)
            articulate(rng, speaker, score, phone, slice(frame, end), loudness)
            if phone == "vowel" and stressed:
                accents.append(((frame + end) // 2, rng.uniform(0.5, 1.2)))
            frame = end
    if frame > start:
        contour = intonation(rng, start, frame, speaker.pitch_range, accents)
        score.pitch[start:frame] = speaker.pitch * np.exp(contour)
    return frame


def random_syllable(rng: Rng, vowel_seconds: float) -> list[tuple[str, float]]:
    """Phones with their lengths: an onset, a vowel, sometimes a coda."""
    consonant_seconds = rng.uniform(0.03, 0.13)
    syllable = [("vowel", vowel_seconds)]
    if onset := ONSETS[rng.integers(len(ONSETS))]:
        syllable.insert(0, (onset, consonant_seconds * (0.8 if onset == "nasal" else 1.0)))
    if chance(rng, 0.2):
        syllable.append((CODAS[rng.integers(len(CODAS))], consonant_seconds))
    return syllable


def articulate(
    rng: Rng, speaker: Speaker, score: Articulation, phone: str, where: slice, loudness: float
) -> None:
    """Write one phone into the score."""
    count = where.stop - where.start
    if phone == "vowel":
        first = VOWELS[rng.integers(len(VOWELS))] * rng.uniform(0.92, 1.08, 3)
        last = first if chance(rng, 0.7) else VOWELS[rng.integers(len(VOWELS))]
        score.formants[where, :3] = np.linspace(first, last, count)
        attack, release = np.arange(1, count + 1) / 3, np.arange(count, 0, -1) / 4
        score.voicing[where] = loudness * np.minimum(1, np.minimum(attack, release))
        score.aspiration[where] = loudness * speaker.breathiness
    elif phone == "nasal":
        score.voicing[where] = 0.35 * loudness
        score.formants[where, :3] = 270.0, rng.uniform(900, 1600), 2300
    elif phone == "plosive":
        score.frication[where.stop - max(1, count // 3) : where.stop] = rng.uniform(0.15, 0.8)
        score.frication_centre[where] = log_uniform(rng, 600, 5500)
        score.frication_width[where] = rng.uniform(800, 2500)
    else:
        score.frication[where] = rng.uniform(0.05, 0.5) * np.hanning(count + 2)[1:-1]
        score.frication_centre[where] = log_uniform(rng, 1800, 7500)
        score.frication_width[where] = rng.uniform(400, 2200)
        if phone == "voiced":
            score.voicing[where] = 0.25


def intonation(
    rng: Rng, start: int, end: int, pitch_range: float, accents: list[tuple[int, float]]
) -> Signal:
    """Log pitch of a phrase: declination, a hump on each accent, sometimes a final rise."""
    count = end - start
    contour = np.linspace(0.6 * pitch_range, -0.6 * pitch_range, count)
    for centre, height in accents:
        distance = (np.arange(start, end) - centre) / (0.07 * FRAMES_PER_SECOND)
        contour += height * pitch_range * np.exp(-0.5 * distance**2)
    if chance(rng, 0.25):
        rise = min(count, 40)
        contour[-rise:] += np.linspace(0, 1.5 * pitch_range, rise)
    return contour + 0.03 * leaky_walk(rng, count, 0.95)
