"""Reads phonemes aloud with the source-filter voice: speech that nobody ever spoke.

Targets are those of Klatt, "Software for a cascade/parallel formant synthesizer", Journal of the
Acoustical Society of America 67 (1980), tables II and III, for a man's voice.
"""

from dataclasses import dataclass

import numpy as np
from training.sound import Signal, leaky_walk, normalise
from training.voice import FRAMES_PER_SECOND, Articulation, Larynx, vocalise

Formants = tuple[float, float, float]


@dataclass(frozen=True)
class Phoneme:
    """Targets of one phoneme: frequencies in Hz, amplitudes relative to a vowel."""

    seconds: float
    start: Formants
    end: Formants | None = None
    """Where the formants go, in a diphthong."""
    voicing: float = 0.0
    aspiration: float = 0.0
    frication: float = 0.0
    centre: float = 4000.0
    width: float = 1000.0
    closed: float = 0.0
    """Share of the length, from its start, without noise: the closure of a plosive."""


def vowel(seconds: float, start: Formants, end: Formants | None = None) -> Phoneme:
    """Full voicing and a little breath."""
    return Phoneme(seconds, start, end, voicing=1.0, aspiration=0.03)


def sonorant(start: Formants, voicing: float = 0.5) -> Phoneme:
    """Nasals, liquids and glides."""
    return Phoneme(0.065, start, voicing=voicing, aspiration=0.01)


def fricative(
    start: Formants, centre: float, width: float, loudness: float, voicing: float = 0.0
) -> Phoneme:
    """Noise at a constriction, voiced or not."""
    seconds = 0.07 if voicing else 0.1
    return Phoneme(seconds, start, voicing=voicing, frication=loudness, centre=centre, width=width)


def plosive(start: Formants, centre: float, width: float, voicing: float = 0.0) -> Phoneme:
    """A closure and a burst."""
    return Phoneme(
        0.075 if voicing else 0.095,
        start,
        voicing=voicing,
        aspiration=0.0 if voicing else 0.06,
        frication=0.2,
        centre=centre,
        width=width,
        closed=0.75 if voicing else 0.55,
    )


PHONEMES = {
    "IY": vowel(0.12, (310, 2020, 2960), (290, 2070, 2960)),
    "IH": vowel(0.08, (400, 1800, 2570)),
    "EY": vowel(0.14, (480, 1720, 2520), (330, 2020, 2600)),
    "EH": vowel(0.11, (530, 1680, 2500)),
    "AE": vowel(0.15, (620, 1660, 2430)),
    "AA": vowel(0.14, (700, 1220, 2600)),
    "AO": vowel(0.14, (600, 990, 2570)),
    "AH": vowel(0.11, (620, 1220, 2550)),
    "AX": vowel(0.06, (500, 1450, 2500)),
    "ER": vowel(0.12, (470, 1270, 1540), (420, 1310, 1540)),
    "OW": vowel(0.14, (540, 1100, 2300), (450, 900, 2300)),
    "UH": vowel(0.09, (450, 1100, 2350)),
    "UW": vowel(0.12, (350, 1250, 2200), (320, 900, 2200)),
    "AY": vowel(0.17, (660, 1200, 2550), (400, 1880, 2500)),
    "AW": vowel(0.17, (640, 1230, 2550), (420, 940, 2350)),
    "W": sonorant((290, 610, 2150)),
    "Y": sonorant((260, 2070, 3020)),
    "R": sonorant((310, 1060, 1380)),
    "L": sonorant((310, 1050, 2880)),
    "M": sonorant((270, 1270, 2130), voicing=0.35),
    "N": sonorant((270, 1500, 2470), voicing=0.35),
    "NG": sonorant((270, 2000, 2700), voicing=0.35),
    "F": fricative((340, 1100, 2080), 6000, 2500, 0.07),
    "TH": fricative((320, 1290, 2540), 6500, 2000, 0.06),
    "S": fricative((320, 1390, 2530), 6000, 1200, 0.2),
    "SH": fricative((300, 1840, 2750), 3000, 900, 0.22),
    "HH": Phoneme(0.06, (500, 1500, 2500), aspiration=0.25),
    "V": fricative((220, 1100, 2080), 6000, 2500, 0.04, voicing=0.4),
    "DH": fricative((270, 1290, 2540), 6500, 2000, 0.03, voicing=0.35),
    "Z": fricative((240, 1390, 2530), 6000, 1200, 0.11, voicing=0.4),
    "P": plosive((400, 1100, 2150), 900, 900),
    "T": plosive((400, 1600, 2600), 4500, 1200),
    "K": plosive((300, 1990, 2850), 2000, 700),
    "B": plosive((200, 1100, 2150), 700, 700, voicing=0.12),
    "D": plosive((200, 1600, 2600), 4000, 1200, voicing=0.12),
    "G": plosive((200, 1990, 2850), 1800, 700, voicing=0.12),
    "CH": fricative((350, 1800, 2820), 3200, 1000, 0.25),
}
"""By their ARPAbet names."""

PAUSES = {",": 0.22, ".": 0.45}
STRESS = "1"
STRESSED_LENGTH = 1.25


MAN = Larynx(jitter=0.004, shimmer=0.05, tilt=-0.5)
WOMAN = Larynx(tract_scale=1.16, jitter=0.003, shimmer=0.04, tilt=-0.6)


@dataclass(frozen=True)
class Reader:
    """Who reads."""

    pitch: float = 118.0
    """Mean pitch in Hz."""
    pitch_range: float = 0.24
    """Natural log of the ratio by which stress lifts the pitch."""
    pace: float = 1.0
    """Factor on all lengths."""
    larynx: Larynx = MAN


def read_aloud(text: str, reader: Reader, seed: int) -> Signal:
    """Speech at 16 kHz from ARPAbet phonemes with stress marks, commas and full stops."""
    rng = np.random.default_rng(seed)
    tokens = text.split()
    lengths = [int(token_seconds(token) * reader.pace * FRAMES_PER_SECOND) for token in tokens]
    score = Articulation.silent(sum(lengths))
    accents: list[int] = []
    frame = 0
    for token, length in zip(tokens, lengths, strict=True):
        where = slice(frame, frame + length)
        if token not in PAUSES:
            loudness = 1.0 if token.endswith(STRESS) else 0.75
            write(score, PHONEMES[token.rstrip(STRESS)], where, loudness)
        if token.endswith(STRESS):
            accents.append(frame + length // 2)
        frame += length
    hold_formants(score)
    score.pitch = pitch_contour(rng, tokens, lengths, accents, reader)
    score = score.smoothed(pitch=0.05, formants=0.08, amplitudes=0.03)
    return normalise(vocalise(rng, score, reader.larynx))


def token_seconds(token: str) -> float:
    """Length of a phoneme or pause."""
    if token in PAUSES:
        return PAUSES[token]
    phoneme = PHONEMES[token.rstrip(STRESS)]
    return phoneme.seconds * (STRESSED_LENGTH if token.endswith(STRESS) else 1.0)


def write(score: Articulation, phoneme: Phoneme, where: slice, loudness: float) -> None:
    """Writes a phoneme's targets into the score."""
    count = where.stop - where.start
    opens = where.start + int(phoneme.closed * count)
    score.formants[where, :3] = np.linspace(phoneme.start, phoneme.end or phoneme.start, count)
    score.voicing[where] = loudness * phoneme.voicing
    score.aspiration[opens : where.stop] = loudness * phoneme.aspiration
    score.frication[opens : where.stop] = loudness * phoneme.frication
    score.frication_centre[where] = phoneme.centre
    score.frication_width[where] = phoneme.width


def hold_formants(score: Articulation) -> None:
    """In pauses the mouth stays as it was."""
    silent = (score.voicing + score.aspiration + score.frication) == 0
    for frame in np.flatnonzero(silent[1:]) + 1:
        score.formants[frame] = score.formants[frame - 1]


def pitch_contour(
    rng: np.random.Generator,
    tokens: list[str],
    lengths: list[int],
    accents: list[int],
    reader: Reader,
) -> Signal:
    """Hz for each frame: each phrase declines, each stress lifts, a full stop falls."""
    ends = np.cumsum(lengths)
    contour = np.zeros(ends[-1])
    start = 0
    for token, end in zip(tokens, ends, strict=True):
        if token in PAUSES:
            fall = 0.8 if token == "." else 0.3
            contour[start:end] = np.linspace(0.5, -fall, end - start)
            start = end
    for accent in accents:
        distance = (np.arange(len(contour)) - accent) / (0.08 * FRAMES_PER_SECOND)
        contour += 0.8 * np.exp(-0.5 * distance**2)
    drift = 0.03 * leaky_walk(rng, len(contour), 0.95)
    return np.asarray(reader.pitch * np.exp(reader.pitch_range * contour + drift))
