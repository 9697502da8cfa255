"""The human voice by the source-filter model (Fant, Acoustic Theory of Speech Production, 1960).

A glottal pulse train and noise pass a vocal tract given as formant resonances for every frame;
frication passes a spectral bump of its own. Everything is rendered with a short-time Fourier
transform, so all controls may move freely.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.sound import SAMPLE_RATE, Signal, leaky_walk

HOP = 80
FRAMES_PER_SECOND = SAMPLE_RATE // HOP
FFT_SIZE = 512
WINDOW = np.hanning(FFT_SIZE + 1)[:-1]

Spectra: TypeAlias = NDArray[np.complex128]

# Mean formants F1-F3 in Hz: the first ten are those of American English vowels by men
# (Peterson and Barney, 1952), then a central vowel and a high central one.
VOWELS = np.array(
    [
        [270, 2290, 3010],
        [390, 1990, 2550],
        [530, 1840, 2480],
        [660, 1720, 2410],
        [730, 1090, 2440],
        [570, 840, 2410],
        [440, 1020, 2240],
        [300, 870, 2240],
        [640, 1190, 2390],
        [490, 1350, 1690],
        [500, 1500, 2500],
        [350, 1700, 2400],
    ],
    dtype=np.float64,
)
NEUTRAL_FORMANTS = np.array([500.0, 1500.0, 2500.0, 3500.0, 4500.0])
BANDWIDTHS = np.array([70.0, 100.0, 140.0, 220.0, 300.0])


@dataclass
class Articulation:
    """What the voice does in each frame of 5 ms; all arrays have one row for each frame."""

    pitch: Signal
    """Fundamental frequency in Hz."""
    voicing: Signal
    """Amplitude of the glottal pulses."""
    aspiration: Signal
    """Amplitude of breath noise through the vocal tract."""
    frication: Signal
    """Amplitude of noise made at a constriction."""
    frication_centre: Signal
    """Centre of that noise in Hz."""
    frication_width: Signal
    """Width of that noise in Hz."""
    formants: Signal
    """Formant frequencies in Hz, shape ``[frames, 5]``."""

    @classmethod
    def silent(cls, frames: int) -> "Articulation":
        """A closed mouth, to be filled in."""
        return cls(
            pitch=np.full(frames, 150.0),
            voicing=np.zeros(frames),
            aspiration=np.zeros(frames),
            frication=np.zeros(frames),
            frication_centre=np.full(frames, 4000.0),
            frication_width=np.full(frames, 1000.0),
            formants=np.tile(NEUTRAL_FORMANTS, (frames, 1)),
        )

    def smoothed(self, *, pitch: float, formants: float, amplitudes: float) -> "Articulation":
        """Rounds all corners off; the arguments are window lengths in seconds."""
        return Articulation(
            pitch=smooth(self.pitch, pitch),
            voicing=smooth(self.voicing, amplitudes),
            aspiration=smooth(self.aspiration, amplitudes),
            frication=smooth(self.frication, amplitudes * 0.75),
            frication_centre=self.frication_centre,
            frication_width=self.frication_width,
            formants=np.stack([smooth(track, formants) for track in self.formants.T], axis=1),
        )


@dataclass(frozen=True)
class Larynx:
    """What stays the same about a voice."""

    bandwidth_scale: float = 1.0
    tract_scale: float = 1.0
    """Factor on all formants: above 1 for a shorter vocal tract."""
    tilt: float = -0.6
    """Exponent of the glottal spectrum."""
    jitter: float = 0.005
    """Relative drift of the pitch."""
    shimmer: float = 0.08
    """Standard deviation of the log amplitude from pulse to pulse."""

    @classmethod
    def random(cls, rng: np.random.Generator, tract_scale: float) -> "Larynx":
        """A plausible voice for a given vocal tract length."""
        return cls(
            bandwidth_scale=rng.uniform(0.8, 1.6),
            tract_scale=tract_scale,
            tilt=rng.uniform(-1.0, -0.25),
            jitter=rng.uniform(0.001, 0.012),
            shimmer=rng.uniform(0.02, 0.15),
        )


def smooth(track: Signal, seconds: float) -> Signal:
    """Convolves a control track with a Hann window of the given length."""
    width = max(1, int(seconds * FRAMES_PER_SECOND))
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(track, width, "edge")
    return np.convolve(padded, window / window.sum(), "same")[width:-width]


def vocalise(rng: np.random.Generator, score: Articulation, larynx: Larynx) -> Signal:
    """Renders an articulation: ``frames * HOP`` samples."""
    samples = len(score.pitch) * HOP
    sample_frames = np.arange(samples) / HOP

    def per_sample(track: Signal) -> Signal:
        return np.interp(sample_frames, np.arange(len(track)), track)

    pitch = per_sample(score.pitch) * (1 + 7 * larynx.jitter * leaky_walk(rng, samples, 0.98))
    phase = np.cumsum(pitch / SAMPLE_RATE)
    pulses = glottal_pulses(rng, phase, pitch, larynx.shimmer) * per_sample(score.voicing)
    # Breath is strongest while the glottis is open, so it pulses with the voice.
    breath = rng.standard_normal(samples) * per_sample(score.aspiration) * (0.6 + 0.8 * (phase % 1))
    hiss = rng.standard_normal(samples) * per_sample(score.frication)

    spectra = stft(pulses + breath) * tract_response(score.formants, larynx)
    spectra += stft(hiss) * frication_response(score)
    return istft(spectra)


def glottal_pulses(
    rng: np.random.Generator, phase: Signal, pitch: Signal, shimmer: float
) -> Signal:
    """One impulse of equal energy for each period, placed between samples by interpolation."""
    starts = np.flatnonzero(np.diff(np.floor(phase))) + 1
    lateness = (phase[starts] % 1) / (pitch[starts] / SAMPLE_RATE)
    amplitudes = np.exp(shimmer * rng.standard_normal(len(starts)))
    pulses = np.zeros(len(phase))
    np.add.at(pulses, starts, amplitudes * (1 - lateness))
    np.add.at(pulses, np.maximum(starts - 1, 0), amplitudes * lateness)
    return pulses * np.sqrt(SAMPLE_RATE / np.maximum(pitch, 50))


def tract_response(formants: Signal, larynx: Larynx) -> Signal:
    """Gain of the vocal tract, ``[frames, bins]``: resonances, glottal tilt, lip radiation."""
    frequencies = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE)
    response = np.ones((len(formants), len(frequencies)))
    for track, bandwidth in zip(formants.T, BANDWIDTHS, strict=True):
        centre = track[:, None] * larynx.tract_scale
        half = (bandwidth * larynx.bandwidth_scale) ** 2 / 4
        below, above = (frequencies - centre) ** 2 + half, (frequencies + centre) ** 2 + half
        response *= (centre**2 + half) / np.sqrt(below * above)
    source = (np.maximum(frequencies, 60) / 300) ** larynx.tilt
    return np.asarray(response * source * np.minimum(1, frequencies / 120))


def frication_response(score: Articulation) -> Signal:
    """Gain of the frication noise, ``[frames, bins]``: a bump over a low floor."""
    frequencies = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE)
    distance = (frequencies - score.frication_centre[:, None]) / score.frication_width[:, None]
    return np.asarray(np.exp(-0.5 * distance**2) + 0.05)


def stft(x: Signal) -> Spectra:
    """Spectra of Hann-windowed frames centred on every hop, ``[frames, bins]``."""
    padded = np.pad(x, (FFT_SIZE // 2, FFT_SIZE))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[::HOP][: len(x) // HOP]
    return np.fft.rfft(frames * WINDOW)


def istft(spectra: Spectra) -> Signal:
    """Inverse of :func:`stft` by overlap-add, up to a constant gain."""
    frames = np.fft.irfft(spectra, FFT_SIZE) * WINDOW
    x = np.zeros(len(frames) * HOP + FFT_SIZE)
    for index, frame in enumerate(frames):
        x[index * HOP : index * HOP + FFT_SIZE] += frame
    return x[FFT_SIZE // 2 :][: len(frames) * HOP]
