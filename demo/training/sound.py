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
LOWEST_FREQUENCY = 20.0

Signal: TypeAlias = NDArray[np.float64]
Rng: TypeAlias = np.random.Generator


def gain(decibels: ArrayLike) -> Signal:
    """Amplitude ratio of a level difference in dB."""
    return np.asarray(10 ** (np.asarray(decibels, dtype=np.float64) / 20))


def rms(x: Signal) -> float:
    """Root mean square, never quite zero."""
    return float(np.sqrt(np.mean(x * x) + 1e-12))


def normalise(x: Signal) -> Signal:
    """Scale the peak to 1."""
    return np.asarray(x / (np.abs(x).max() + 1e-9))


def times(samples: int) -> Signal:
    """Time of each sample in seconds."""
    return np.arange(samples) / SAMPLE_RATE


def add_at(target: Signal, x: Signal, seconds: float) -> None:
    """Add ``x`` to ``target`` in place from a time on; what lies outside is dropped."""
    start = int(seconds * SAMPLE_RATE)
    x, start = x[max(0, -start) :], max(0, start)
    count = max(0, min(len(x), len(target) - start))
    target[start : start + count] += x[:count]


def chance(rng: Rng, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """One draw, uniform on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_curve(rng: Rng, samples: int, rate: float, low: float, high: float) -> Signal:
    """A curve that wanders linearly between random knots, ``rate`` of them a second."""
    knots = max(2, int(samples / SAMPLE_RATE * rate) + 2)
    positions = np.linspace(0, knots - 1, samples)
    return np.interp(positions, np.arange(knots), rng.uniform(low, high, knots))


def equalise(x: Signal, gains_db: Sequence[float] | Signal) -> Signal:
    """Filter by a gain curve whose knots lie evenly over log frequency, 20 Hz to 8 kHz."""
    frequencies = np.maximum(np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE), LOWEST_FREQUENCY)
    knots = np.linspace(np.log(LOWEST_FREQUENCY), np.log(SAMPLE_RATE / 2), len(gains_db))
    curve = np.interp(np.log(frequencies), knots, gains_db)
    return np.fft.irfft(np.fft.rfft(x) * gain(curve), len(x))


def coloured_noise(rng: Rng, samples: int, exponent: float) -> Signal:
    """Noise of unit power whose power spectrum follows ``frequency ** exponent``."""
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), LOWEST_FREQUENCY)
    spectrum = np.fft.rfft(rng.standard_normal(samples)) * (frequencies / 1000) ** (exponent / 2)
    x = np.fft.irfft(spectrum, samples)
    return x / rms(x)


def shaped_noise(rng: Rng, samples: int, gains_db: Sequence[float] | Signal) -> Signal:
    """Noise of unit power with a given spectrum, see :func:`equalise`."""
    x = equalise(rng.standard_normal(samples), gains_db)
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


def leaky_walk(rng: Rng, samples: int, leak: float) -> Signal:
    """Slow random drift: noise of standard deviation ``1 - leak`` through a one-pole filter."""
    return np.asarray(signal.lfilter([1 - leak], [1, -leak], rng.standard_normal(samples)))


def resample(x: Signal, rate: int, new_rate: int) -> Signal:
    """Polyphase resampling between two integer rates."""
    common = int(np.gcd(rate, new_rate))
    return np.asarray(signal.resample_poly(x, new_rate // common, rate // common))
