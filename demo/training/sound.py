"""Units and primitives that every synthesiser shares.

A signal is a one-dimensional float64 array at 16 kHz with full scale at 1.0. Levels are in dB
relative to full scale, times in seconds, frequencies in Hz. Randomness comes only from the
generator that is passed in.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal

SAMPLE_RATE = 16_000
CLIP_SAMPLES = 163_840
CLIP_SECONDS = CLIP_SAMPLES / SAMPLE_RATE
NYQUIST = SAMPLE_RATE / 2
LOWEST_FREQUENCY = 20.0

Signal: TypeAlias = NDArray[np.float64]


def gain(decibels: ArrayLike) -> Signal:
    """Amplitude ratio of a level difference in dB."""
    return np.asarray(10 ** (np.asarray(decibels, dtype=np.float64) / 20))


def rms(x: Signal) -> float:
    """Root mean square, never quite zero."""
    return float(np.sqrt(np.mean(x * x) + 1e-12))


def normalise(x: Signal) -> Signal:
    """Scales the peak to 1."""
    return np.asarray(x / (np.abs(x).max() + 1e-9))


def times(samples: int) -> Signal:
    """Time of each sample in seconds."""
    return np.arange(samples) / SAMPLE_RATE


def fit(x: Signal, samples: int) -> Signal:
    """Cuts or zero-pads to a number of samples."""
    return np.pad(x[:samples], (0, max(0, samples - len(x))))


def add_at(target: Signal, x: Signal, seconds: float) -> None:
    """Adds ``x`` to ``target`` in place from a time on; what lies outside is dropped."""
    start = int(seconds * SAMPLE_RATE)
    x = x[max(0, -start) :]
    start = max(0, start)
    count = max(0, min(len(x), len(target) - start))
    target[start : start + count] += x[:count]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One draw, uniform on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_curve(
    rng: np.random.Generator, samples: int, rate: float, low: float, high: float
) -> Signal:
    """A curve that wanders linearly between random knots, ``rate`` of them a second."""
    knots = max(2, int(samples / SAMPLE_RATE * rate) + 2)
    positions = np.linspace(0, knots - 1, samples)
    return np.interp(positions, np.arange(knots), rng.uniform(low, high, knots))


def equalise(x: Signal, gains_db: Sequence[float] | Signal) -> Signal:
    """Filters by a gain curve whose knots lie evenly over log frequency, 20 Hz to 8 kHz."""
    frequencies = np.maximum(np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE), LOWEST_FREQUENCY)
    knots = np.linspace(np.log(LOWEST_FREQUENCY), np.log(NYQUIST), len(gains_db))
    curve = np.interp(np.log(frequencies), knots, gains_db)
    return np.fft.irfft(np.fft.rfft(x) * gain(curve), len(x))


def white_noise(rng: np.random.Generator, samples: int) -> Signal:
    """Gaussian noise of unit power."""
    return rng.standard_normal(samples)


def coloured_noise(rng: np.random.Generator, samples: int, exponent: float) -> Signal:
    """Noise of unit power whose power spectrum follows ``frequency ** exponent``."""
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), LOWEST_FREQUENCY)
    spectrum = np.fft.rfft(white_noise(rng, samples)) * (frequencies / 1000) ** (exponent / 2)
    x = np.fft.irfft(spectrum, samples)
    return x / rms(x)


def shaped_noise(
    rng: np.random.Generator, samples: int, gains_db: Sequence[float] | Signal
) -> Signal:
    """Noise of unit power with a given spectrum, see :func:`equalise`."""
    x = equalise(white_noise(rng, samples), gains_db)
    return x / rms(x)


def butterworth(
    x: Signal,
    order: int,
    cutoff: float | tuple[float, float],
    kind: Literal["lowpass", "highpass", "bandpass"] = "lowpass",
) -> Signal:
    """Butterworth filter with its cut-off in Hz."""
    sections = signal.butter(order, cutoff, kind, output="sos", fs=SAMPLE_RATE)
    return np.asarray(signal.sosfilt(sections, x))


def envelope(x: Signal, cutoff: float) -> Signal:
    """Short-term RMS amplitude, smoothed below ``cutoff`` Hz in both directions."""
    sections = signal.butter(1, cutoff, output="sos", fs=SAMPLE_RATE)
    power = signal.sosfiltfilt(sections, x * x)
    return np.asarray(np.sqrt(np.maximum(power, 1e-8)))


def leaky_walk(rng: np.random.Generator, samples: int, leak: float) -> Signal:
    """Slow random drift: noise of standard deviation ``1 - leak`` through a one-pole filter."""
    return np.asarray(signal.lfilter([1 - leak], [1, -leak], rng.standard_normal(samples)))


def convolve(x: Signal, response: Signal) -> Signal:
    """The first ``len(x)`` samples of the convolution with an impulse response."""
    return np.asarray(signal.fftconvolve(x, response))[: len(x)]


def resample(x: Signal, rate: int, new_rate: int) -> Signal:
    """Polyphase resampling between two integer rates."""
    common = int(np.gcd(rate, new_rate))
    return np.asarray(signal.resample_poly(x, new_rate // common, rate // common))


def warp(rng: np.random.Generator, x: Signal, amount: float, rate: float) -> Signal:
    """Wow: playback speed wanders by ``amount`` (natural log), ``rate`` knots a second."""
    speed = np.exp(random_curve(rng, len(x), rate, -amount, amount))
    positions = np.cumsum(speed)
    inside = positions[positions < len(x) - 1]
    return np.asarray(np.interp(inside, np.arange(len(x)), x))
