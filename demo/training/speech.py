"""Pseudo-speech: no words of any language, but its syllables, stress, intonation and pauses."""

import numpy as np

from training.channel import record
from training.sound import CLIP_SAMPLES, CLIP_SECONDS, Rng, Signal, add_at, normalise
from training.voice import FRAMES_PER_SECOND, VOWELS, Articulation, Voice, vocalise

# Manners of articulation; "voiced" is a voiced fricative, "" no consonant at all.
ONSETS = ("fricative", "fricative", "plosive", "plosive", "nasal", "nasal", "voiced", "")
CODAS = ("fricative", "nasal", "plosive") + ("",) * 12


def speech_clip(rng: Rng) -> Signal:
    """Let one speaker talk, or sometimes two in turn, recorded somewhere."""
    clip = np.zeros(CLIP_SAMPLES)
    voices = [(Voice(rng), rng.gain(-8, 0)) for _ in range(2 if rng.chance(0.2) else 1)]
    longest_gap, time = rng.uniform(0.05, 1.6), max(0.0, rng.uniform(-1.5, 1.5))
    while time < CLIP_SECONDS:
        seconds = CLIP_SECONDS if len(voices) == 1 else rng.uniform(2, 6)
        voice, level = voices[0]
        add_at(clip, level * normalise(speak(rng, voice, seconds)), time)
        time += seconds + rng.uniform(0.05, longest_gap)
        voices.reverse()
    return record(rng, clip, reverb=0.6)


def speak(rng: Rng, voice: Voice, seconds: float) -> Signal:
    """Speak phrases, or isolated words, with pauses between them for a number of seconds."""
    score = Articulation(voice, int(seconds * FRAMES_PER_SECOND))
    pitch_range = rng.uniform(0.08, 0.4)  # in the logarithm
    fewest, most = (1, 4) if rng.chance(0.15) else (2, 16)  # syllables
    frame = int(rng.uniform(0, 0.6) * FRAMES_PER_SECOND)
    while frame < len(score.pitch) - 10:
        start = frame
        frame = articulate_phrase(rng, voice, score, int(rng.integers(fewest, most)), start)
        intone(rng, score, slice(start, frame), pitch_range)
        short, long = rng.uniform(0.08, 0.3), rng.uniform(0.2, 1.2)
        frame += int((short if rng.chance(0.5) else long) * FRAMES_PER_SECOND)
    return vocalise(rng, score, voice)


def articulate_phrase(
    rng: Rng, voice: Voice, score: Articulation, syllables: int, frame: int
) -> int:
    """Write syllables into the score from a frame on; return the frame after the last."""
    for left in reversed(range(syllables)):
        stressed = rng.chance(0.35)
        lengthening = (1.35 if stressed else 0.85) * (1.0 if left else 1.4)
        vowel_seconds = rng.uniform(0.6, 1.3) * lengthening / voice.syllable_rate
        for phone in filter(None, (rng.pick(ONSETS), "vowel", rng.pick(CODAS))):
            seconds = vowel_seconds if phone == "vowel" else rng.uniform(0.03, 0.13)
            end = min(frame + max(2, int(seconds * FRAMES_PER_SECOND)), len(score.pitch))
            loudness = rng.uniform(0.5, 1.0) * (1.3 if stressed else 0.8)
            articulate(rng, voice, score, phone, slice(frame, end), loudness)
            frame = end
    return frame


def articulate(
    rng: Rng, voice: Voice, score: Articulation, phone: str, where: slice, loudness: float
) -> None:
    """Write one phone into the score."""
    count = where.stop - where.start
    if phone == "vowel":
        first = rng.pick(VOWELS) * rng.uniform(0.92, 1.08, 3)
        last = first if rng.chance(0.7) else np.array(rng.pick(VOWELS))
        score.formants[:3, where] = np.linspace(first, last, count, axis=1)
        attack, release = np.arange(1, count + 1) / 3, np.arange(count, 0, -1) / 4
        score.voicing[where] = loudness * np.minimum(1, np.minimum(attack, release))
        score.aspiration[where] = loudness * voice.breathiness
    elif phone == "nasal":
        score.voicing[where] = 0.35 * loudness
        score.formants[:3, where] = np.array([[270.0], [rng.uniform(900, 1600)], [2300.0]])
    else:
        burst = phone == "plosive"
        score.frication_centre[where] = rng.log_uniform(600 if burst else 1800, 7000)
        score.frication_width[where] = rng.uniform(400, 2400)
        shape = np.arange(count) >= 0.67 * count if burst else np.hanning(count + 2)[1:-1]
        score.frication[where] = rng.uniform(0.05, 0.8 if burst else 0.5) * shape
        score.voicing[where] = 0.25 if phone == "voiced" else 0.0


def intone(rng: Rng, score: Articulation, where: slice, pitch_range: float) -> None:
    """Move the pitch of a phrase: declination, accents, sometimes a final rise."""
    count = where.stop - where.start
    contour = np.linspace(0.6 * pitch_range, -0.6 * pitch_range, count)
    for centre in rng.uniform(0, count, int(2 * count / FRAMES_PER_SECOND)):
        distance = (np.arange(count) - centre) / (0.07 * FRAMES_PER_SECOND)
        contour += rng.uniform(0.5, 1.2) * pitch_range * np.exp(-0.5 * distance**2)
    if rng.chance(0.25):
        rise = min(count, 40)
        contour[-rise:] += np.linspace(0, 1.5 * pitch_range, rise)
    score.pitch[where] *= np.exp(contour)
