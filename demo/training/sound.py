"""Units and primitives that every synthesiser shares.

A signal is a one-dimensional float64 array at 16 kHz with full scale at 1.0. Levels are in dB
relative to full scale, times in seconds, frequencies in Hz. Randomness comes only from the
generator that is passed in.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import signal

SAMPLE_RATE = 16_000
CLIP_SAMPLES = 164_080  # fill the 1,024 frames of an AST exactly
CLIP_SECONDS = CLIP_SAMPLES / SAMPLE_RATE
LOWEST_FREQUENCY = 20.0
TURN = 2 * np.pi

T = TypeVar("T")
Signal: TypeAlias = NDArray[np.float64]


class Rng(np.random.Generator):
    """A generator of random numbers that also draws what sounds are made of."""

    def __init__(self, *seed: int) -> None:
        super().__init__(np.random.PCG64(seed))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return bool(self.random() < probability)

    def pick(self, choices: Sequence[T]) -> T:
        """Draw one of several."""
        return choices[int(self.integers(len(choices)))]

    def log_uniform(self, low: float, high: float) -> float:
        """Draw a number, uniform on a logarithmic scale."""
        return float(np.exp(self.uniform(np.log(low), np.log(high))))

    def gain(self, low: float, high: float) -> float:
        """Draw an amplitude ratio, uniform in dB."""
        return float(10 ** (self.uniform(low, high) / 20))

    def curve(self, samples: int, rate: float, low: float, high: float) -> Signal:
        """Draw a curve that wanders linearly between random knots, ``rate`` of them a second."""
        knots = int(samples / SAMPLE_RATE * rate) + 2
        positions = np.linspace(0, knots - 1, samples)
        return np.interp(positions, np.arange(knots), self.uniform(low, high, knots))


def normalise(x: Signal) -> Signal:
    """Scale the peak to 1."""
    return np.asarray(x / (np.abs(x).max() + 1e-9))


def times(seconds: float) -> Signal:
    """Return the time of each sample of a sound."""
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def add_at(target: Signal, x: Signal, seconds: float) -> None:
    """Add ``x`` to ``target`` in place from a time on; what lies beyond the end is dropped."""
    room = target[int(seconds * SAMPLE_RATE) :]
    room[: len(x)] += x[: len(room)]


def equalise(x: Signal, gains: Sequence[float] | Signal) -> Signal:
    """Filter by a curve of gains in dB, its knots evenly over log frequency, 20 Hz to 8 kHz."""
    frequencies = np.maximum(np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE), LOWEST_FREQUENCY)
    knots = np.geomspace(LOWEST_FREQUENCY, SAMPLE_RATE / 2, len(gains))
    curve = np.interp(np.log(frequencies), np.log(knots), gains)
    return np.fft.irfft(np.fft.rfft(x) * 10 ** (curve / 20), len(x))


def coloured_noise(rng: Rng, samples: int, gains: Sequence[float] | Signal) -> Signal:
    """Make noise of unit power with a given spectrum, see :func:`equalise`."""
    x = equalise(rng.standard_normal(samples), gains)
    return np.asarray(x / x.std())


def butterworth(
    x: Signal, order: int, cutoff: float, kind: Literal["lowpass", "highpass"]
) -> Signal:
    """Filter by a Butterworth low-pass or high-pass."""
    sections = signal.butter(order, cutoff, kind, output="sos", fs=SAMPLE_RATE)
    return np.asarray(signal.sosfilt(sections, x))
