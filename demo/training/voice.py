"""The human voice by the source-filter model (Fant, Acoustic Theory of Speech Production, 1960).

A glottal pulse train and noise pass a vocal tract given as formant resonances for every frame;
frication passes a spectral bump of its own. Everything is rendered with a short-time Fourier
transform, so all controls may move freely.
"""

from dataclasses import dataclass

import numpy as np

from training.sound import SAMPLE_RATE, Rng, Signal, leaky_walk

HOP = 80
FRAMES_PER_SECOND = SAMPLE_RATE // HOP
FFT_SIZE = 512
WINDOW = np.hanning(FFT_SIZE + 1)[:-1]
FREQUENCIES = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE)

# Mean formants F1-F3 in Hz: the first ten are those of American English vowels by men
# (Peterson and Barney, 1952), then a central vowel and a high central one.
VOWELS = np.array([
    (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410),
    (730, 1090, 2440), (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240),
    (640, 1190, 2390), (490, 1350, 1690), (500, 1500, 2500), (350, 1700, 2400),
], dtype=np.float64)  # fmt: skip
NEUTRAL_FORMANTS = np.array([500.0, 1500.0, 2500.0, 3500.0, 4500.0])
BANDWIDTHS = np.array([70.0, 100.0, 140.0, 220.0, 300.0])


class Articulation:
    """What the voice does in each frame of 5 ms: pitch, frication's centre and width and the five
    formants in Hz, the amplitudes of the glottal pulses (voicing), of breath through the vocal
    tract (aspiration) and of noise at a constriction (frication)."""

    def __init__(self, frames: int) -> None:
        """A closed mouth, to be filled in."""
        self.pitch = np.full(frames, 150.0)
        self.voicing, self.aspiration, self.frication = np.zeros((3, frames))
        self.frication_centre = np.full(frames, 4000.0)
        self.frication_width = np.full(frames, 1000.0)
        self.formants = np.tile(NEUTRAL_FORMANTS, (frames, 1))

    def smooth(self, pitch: float, formants: float, amplitudes: float) -> None:
        """Round all corners off; the arguments are window lengths in seconds."""
        self.pitch = smooth(self.pitch, pitch)
        self.voicing = smooth(self.voicing, amplitudes)
        self.aspiration = smooth(self.aspiration, amplitudes)
        self.frication = smooth(self.frication, amplitudes * 0.75)
        self.formants = np.stack([smooth(track, formants) for track in self.formants.T], axis=1)


@dataclass(frozen=True)
class Larynx:
    """What stays the same about a voice: factors on bandwidths and formants (above 1 for a short
    vocal tract), the exponent of the glottal spectrum, relative drift of the pitch, and standard
    deviation of the log amplitude from pulse to pulse."""

    bandwidth_scale: float
    tract_scale: float
    tilt: float
    jitter: float = 0.005
    shimmer: float = 0.08

    @classmethod
    def random(cls, rng: Rng, tract_scale: float) -> "Larynx":
        """A plausible voice for a given vocal tract length."""
        scale, tilt = rng.uniform(0.8, 1.6), rng.uniform(-1.0, -0.25)
        return cls(scale, tract_scale, tilt, rng.uniform(0.001, 0.012), rng.uniform(0.02, 0.15))


def smooth(track: Signal, seconds: float) -> Signal:
    """Convolve a control track with a Hann window of the given length."""
    width = max(1, int(seconds * FRAMES_PER_SECOND))
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(track, width, "edge")
    return np.convolve(padded, window / window.sum(), "same")[width:-width]


def vocalise(rng: Rng, score: Articulation, larynx: Larynx) -> Signal:
    """Render an articulation: ``frames * HOP`` samples."""
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
    distance = (FREQUENCIES - score.frication_centre[:, None]) / score.frication_width[:, None]
    spectra = spectra_of(pulses + breath) * tract_response(score.formants, larynx)
    spectra += spectra_of(hiss) * (np.exp(-0.5 * distance**2) + 0.05)
    sound = np.zeros(samples + FFT_SIZE)
    for index, frame in enumerate(np.fft.irfft(spectra, FFT_SIZE) * WINDOW):
        sound[index * HOP : index * HOP + FFT_SIZE] += frame
    return sound[FFT_SIZE // 2 :][:samples]


def glottal_pulses(rng: Rng, phase: Signal, pitch: Signal, shimmer: float) -> Signal:
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
    response = np.ones((len(formants), len(FREQUENCIES)))
    for track, bandwidth in zip(formants.T, BANDWIDTHS, strict=True):
        centre = track[:, None] * larynx.tract_scale
        half = (bandwidth * larynx.bandwidth_scale) ** 2 / 4
        below, above = (FREQUENCIES - centre) ** 2 + half, (FREQUENCIES + centre) ** 2 + half
        response *= (centre**2 + half) / np.sqrt(below * above)
    source = (np.maximum(FREQUENCIES, 60) / 300) ** larynx.tilt
    return np.asarray(response * source * np.minimum(1, FREQUENCIES / 120))


def spectra_of(x: Signal) -> "np.ndarray[tuple[int, ...], np.dtype[np.complex128]]":
    """Spectra of Hann-windowed frames centred on every hop, ``[frames, bins]``."""
    padded = np.pad(x, (FFT_SIZE // 2, FFT_SIZE))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[::HOP][: len(x) // HOP]
    return np.fft.rfft(frames * WINDOW)
