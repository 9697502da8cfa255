"""What rooms, microphones and codecs do to a sound."""

import io
from typing import BinaryIO, Literal, NamedTuple

import av
import numpy as np

from training.sound import (
    SAMPLE_RATE,
    Signal,
    butterworth,
    chance,
    convolve,
    envelope,
    equalise,
    fit,
    gain,
    normalise,
    resample,
)


class Codec(NamedTuple):
    """A lossy codec in a container at a sampling rate in Hz."""

    name: Literal["mp3", "aac"]
    container: str
    rate: int


CODECS = (Codec("mp3", "mp3", 16_000), Codec("mp3", "mp3", 32_000), Codec("aac", "adts", 16_000))
BIT_RATES = (24_000, 32_000, 48_000, 64_000, 96_000)


def record(
    rng: np.random.Generator,
    x: Signal,
    *,
    reverb: float = 0.5,
    drive: float = 0.1,
    codec: float = 0.25,
) -> Signal:
    """A random recording chain; the arguments are the probabilities of its parts."""
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
    return through_codec(rng, x) if chance(rng, codec) else x


def reverberate(rng: np.random.Generator, x: Signal) -> Signal:
    """Adds a random room: decaying noise (RT60 of 0.1-1.3 s) and a few early reflections."""
    decay = rng.uniform(0.1, 1.3)
    wet = rng.uniform(0.1, 1.0)
    samples = int(decay * SAMPLE_RATE * 1.1)
    seconds = np.arange(samples) / SAMPLE_RATE
    tail = rng.standard_normal(samples) * 10 ** (-3 * seconds / decay)
    tail = butterworth(tail * np.clip(seconds / 0.004, 0, 1), 1, rng.uniform(1500, 7500))
    tail /= np.sqrt((tail**2).sum()) + 1e-9
    for _ in range(rng.integers(2, 7)):
        tail[rng.integers(0, min(samples, 700))] += rng.uniform(-0.5, 0.5)
    return x + wet * convolve(x, tail)


def compress(x: Signal, exponent: float) -> Signal:
    """Dynamic range compression, as broadcasts and telephones have."""
    return normalise(x / (envelope(x, 8.0) + 0.02) ** exponent)


def through_codec(rng: np.random.Generator, x: Signal) -> Signal:
    """Encodes and decodes with a random lossy codec at 24-96 kb/s; keeps the length."""
    codec = CODECS[rng.integers(len(CODECS))]
    with io.BytesIO() as file:
        encode(file, np.clip(x, -1, 1), codec, int(rng.choice(BIT_RATES)))
        file.seek(0)
        return fit(decode(file), len(x))


def encode(file: BinaryIO, x: Signal, codec: Codec, bit_rate: int) -> None:
    """Writes a mono signal as a file of one audio stream."""
    samples = resample(x, SAMPLE_RATE, codec.rate).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate = codec.rate
    with av.open(file, "w", format=codec.container) as output:
        stream = output.add_stream(codec.name, rate=codec.rate, layout="mono", bit_rate=bit_rate)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def decode(file: BinaryIO) -> Signal:
    """Reads a file's first audio stream as a mono signal at 16 kHz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(file, "r") as source:
        frames = [
            resampled.to_ndarray()[0]
            for frame in source.decode(audio=0)
            for resampled in resampler.resample(frame)
        ]
    return np.concatenate(frames).astype(np.float64)
