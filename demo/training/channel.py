"""What rooms, microphones and codecs do to a sound."""

import io
from typing import Literal

import av
import numpy as np
from scipy import signal

from training.sound import (
    SAMPLE_RATE,
    Rng,
    Signal,
    butterworth,
    chance,
    equalise,
    gain,
    normalise,
    resample,
)

# Codec, container and sampling rate in Hz.
CODECS: tuple[tuple[Literal["mp3", "aac"], str, int], ...] = (
    ("mp3", "mp3", 16_000),
    ("mp3", "mp3", 32_000),
    ("aac", "adts", 16_000),
)
BIT_RATES = (24_000, 32_000, 48_000, 64_000, 96_000)


def record(rng: Rng, x: Signal, reverb: float = 0.5, drive: float = 0.1) -> Signal:
    """A random recording chain; the arguments are the probabilities of two of its parts."""
    if chance(rng, 0.5):
        x = equalise(x, rng.uniform(-9, 9, rng.integers(3, 8)))
    if chance(rng, reverb):
        x = reverberate(rng, x)
    if chance(rng, 0.25):
        x = butterworth(x, int(rng.integers(1, 5)), rng.uniform(40, 350), "highpass")
    if chance(rng, 0.2):
        x = butterworth(x, int(rng.integers(2, 9)), rng.uniform(2800, 7600))
    x = normalise(x)
    if chance(rng, drive):
        amount = rng.uniform(1, 8)
        x = np.tanh(amount * x) / np.tanh(amount)
    if chance(rng, 0.2):
        x = compress(x, rng.uniform(0.2, 0.7))
    x = x * gain(rng.uniform(-12, 0))
    return through_codec(rng, x) if chance(rng, 0.25) else x


def reverberate(rng: Rng, x: Signal) -> Signal:
    """Add a random room: decaying noise (RT60 of 0.1-1.3 s) and a few early reflections."""
    decay, wet = rng.uniform(0.1, 1.3), rng.uniform(0.1, 1.0)
    samples = int(decay * SAMPLE_RATE * 1.1)
    seconds = np.arange(samples) / SAMPLE_RATE
    tail = rng.standard_normal(samples) * 10 ** (-3 * seconds / decay)
    tail = butterworth(tail * np.clip(seconds / 0.004, 0, 1), 1, rng.uniform(1500, 7500))
    tail /= np.sqrt((tail**2).sum()) + 1e-9
    for _ in range(rng.integers(2, 7)):
        tail[rng.integers(0, min(samples, 700))] += rng.uniform(-0.5, 0.5)
    return x + wet * np.asarray(signal.fftconvolve(x, tail))[: len(x)]


def compress(x: Signal, exponent: float) -> Signal:
    """Dynamic range compression, as broadcasts and telephones have: by the level below 8 Hz."""
    sections = signal.butter(1, 8.0, output="sos", fs=SAMPLE_RATE)
    level = np.sqrt(np.maximum(signal.sosfiltfilt(sections, x * x), 1e-8))
    return normalise(x / (level + 0.02) ** exponent)


def through_codec(rng: Rng, x: Signal) -> Signal:
    """Encode and decode with a random lossy codec at 24-96 kb/s; keeps the length."""
    name, container, rate = CODECS[rng.integers(len(CODECS))]
    bit_rate = int(rng.choice(BIT_RATES))
    samples = resample(np.clip(x, -1, 1), SAMPLE_RATE, rate).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate = rate
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(name, rate=rate, layout="mono", bit_rate=bit_rate)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(file, "r") as source:
        frames = [r.to_ndarray()[0] for f in source.decode(audio=0) for r in resampler.resample(f)]
    decoded = np.concatenate(frames).astype(np.float64)[: len(x)]
    return np.pad(decoded, (0, len(x) - len(decoded)))
