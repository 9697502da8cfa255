"""The human voice by the source-filter model (Fant, Acoustic Theory of Speech Production, 1960).

A glottal pulse train and noise pass a vocal tract given as formant resonances for every frame;
frication passes a spectral bump of its own. Everything is rendered with a short-time Fourier
transform, so all controls may move freely.
"""

import librosa
import numpy as np
from scipy.ndimage import gaussian_filter1d

from training.sound import SAMPLE_RATE, Rng, Signal

HOP = 80
FRAMES_PER_SECOND = SAMPLE_RATE // HOP
FFT_SIZE = 512
FREQUENCIES = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE)[:, None]

# Mean formants F1-F3 in Hz: the first ten are those of American English vowels by men
# (Peterson and Barney, 1952), then a central vowel and a high central one.
VOWELS = (
    (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410),
    (730, 1090, 2440), (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240),
    (640, 1190, 2390), (490, 1350, 1690), (500, 1500, 2500), (350, 1700, 2400),
)  # fmt: skip
BANDWIDTHS = (70, 100, 140, 220, 300)


class Voice:
    """What stays the same about a voice: mean pitch, F4 and F5 in Hz, factors on all formants
    (above 1 for a short vocal tract) and on bandwidths, the exponent of the glottal spectrum,
    relative drift of the pitch, standard deviation of the log amplitude from pulse to pulse, the
    amplitude of breath, and syllables a second."""

    def __init__(self, rng: Rng) -> None:
        """Draw anyone between a deep man and a child."""
        self.pitch = rng.log_uniform(80, 280)
        self.upper_formants = rng.uniform(3200, 3800), rng.uniform(4200, 5000)
        tract_scale = 0.75 + 0.0012 * self.pitch + rng.normal(0, 0.06)
        self.tract_scale = float(np.clip(tract_scale, 0.8, 1.3))
        self.bandwidth_scale = rng.uniform(0.8, 1.6)
        self.tilt = rng.uniform(-1.0, -0.25)
        self.jitter, self.shimmer = rng.uniform(0.001, 0.012), rng.uniform(0.02, 0.15)
        self.breathiness = rng.uniform(0.01, 0.15)
        self.syllable_rate = rng.uniform(3, 7.5)


class Articulation:
    """What a voice does in each frame of 5 ms: pitch, frication's centre and width and the five
    formants in Hz, the amplitudes of the glottal pulses (voicing), of breath through the vocal
    tract (aspiration) and of noise at a constriction (frication)."""

    def __init__(self, voice: Voice, frames: int) -> None:
        """Close the mouth; the rest is to be filled in."""
        self.pitch = np.full(frames, voice.pitch)
        self.voicing, self.aspiration, self.frication = np.zeros((3, frames))
        self.frication_centre, self.frication_width = np.full((2, frames), [[4000.0], [1000.0]])
        neutral = np.array([500, 1500, 2500, *voice.upper_formants])
        self.formants = np.repeat(neutral[:, None], frames, axis=1)


def vocalise(rng: Rng, score: Articulation, voice: Voice, glide: float = 0.04) -> Signal:
    """Render an articulation, its corners rounded off; ``glide`` is how long the pitch takes to
    move, in seconds."""
    frames = len(score.pitch)
    samples = (frames - 1) * HOP

    def per_sample(track: Signal, seconds: float = 0.02) -> Signal:
        return np.interp(np.arange(samples) / HOP, np.arange(frames), smooth(track, seconds))

    drift = rng.curve(samples, 80, -2 * voice.jitter, 2 * voice.jitter)
    pitch = per_sample(score.pitch, glide) * (1 + drift)
    phase = np.cumsum(pitch / SAMPLE_RATE)
    pulses = glottal_pulses(rng, phase, pitch, voice.shimmer) * per_sample(score.voicing)
    # Breath is strongest while the glottis is open, so it pulses with the voice.
    breath = rng.standard_normal(samples) * per_sample(score.aspiration) * (0.6 + 0.8 * (phase % 1))
    hiss = rng.standard_normal(samples) * per_sample(score.frication)
    bump = np.exp(-0.5 * ((FREQUENCIES - score.frication_centre) / score.frication_width) ** 2)
    voiced, unvoiced = librosa.stft(
        np.stack([pulses + breath, hiss]), n_fft=FFT_SIZE, hop_length=HOP
    )
    spectra = voiced * tract_response(score.formants, voice) + unvoiced * (bump + 0.05)
    return np.asarray(librosa.istft(spectra, hop_length=HOP, length=samples))


def smooth(tracks: Signal, seconds: float) -> Signal:
    """Smooth control tracks by a bell about as long as said."""
    return np.asarray(gaussian_filter1d(tracks, 0.2 * seconds * FRAMES_PER_SECOND, mode="nearest"))


def glottal_pulses(rng: Rng, phase: Signal, pitch: Signal, shimmer: float) -> Signal:
    """Make one impulse of equal energy for each period, placed between samples by interpolation."""
    starts = np.flatnonzero(np.diff(np.floor(phase))) + 1
    lateness = (phase[starts] % 1) / (pitch[starts] / SAMPLE_RATE)
    amplitudes = np.exp(shimmer * rng.standard_normal(len(starts)))
    pulses = np.zeros(len(phase))
    pulses[starts] = amplitudes * (1 - lateness)
    pulses[starts - 1] += amplitudes * lateness
    return pulses * np.sqrt(SAMPLE_RATE / pitch)


def tract_response(formants: Signal, voice: Voice) -> Signal:
    """Return the gain of the vocal tract, ``[bins, frames]``: glottal tilt, lip radiation, and a
    resonance for each formant."""
    response = (np.maximum(FREQUENCIES, 60) / 300) ** voice.tilt * np.minimum(1, FREQUENCIES / 120)
    for track, bandwidth in zip(smooth(formants, 0.05), BANDWIDTHS, strict=True):
        centre, half = track * voice.tract_scale, (bandwidth * voice.bandwidth_scale / 2) ** 2
        below, above = (FREQUENCIES - centre) ** 2 + half, (FREQUENCIES + centre) ** 2 + half
        response = response * (centre**2 + half) / np.sqrt(below * above)
    return np.asarray(response)
