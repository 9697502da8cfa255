"""What rooms, microphones and codecs do to a sound."""

import av
import numpy as np
from scipy import signal

from training.sound import SAMPLE_RATE, Rng, Signal, butterworth, equalise, normalise, times

CODECS = (("libmp3lame", "mp3float"), ("aac", "aac"))  # encoder and decoder
BIT_RATES = (24_000, 32_000, 48_000, 64_000)


def record(rng: Rng, x: Signal, reverb: float = 0.5, drive: float = 0.1) -> Signal:
    """Pass a random recording chain; the arguments are the probabilities of two of its parts."""
    if rng.chance(0.5):
        x = equalise(x, rng.uniform(-9, 9, rng.integers(3, 8)))
    if rng.chance(reverb):
        x = reverberate(rng, x)
    if rng.chance(0.25):
        x = butterworth(x, int(rng.integers(1, 5)), rng.uniform(40, 350), "highpass")
    if rng.chance(0.2):
        x = butterworth(x, int(rng.integers(2, 9)), rng.uniform(2800, 7600), "lowpass")
    x = normalise(x)
    if rng.chance(drive):
        amount = rng.uniform(1, 8)
        x = np.tanh(amount * x) / np.tanh(amount)
    if rng.chance(0.2):
        x = compress(x, rng.uniform(0.2, 0.7))
    x = x * rng.gain(-12, 0)
    return through_codec(rng, x) if rng.chance(0.25) else x


def reverberate(rng: Rng, x: Signal) -> Signal:
    """Add a random room: decaying noise (RT60 of 0.1-1.3 s) and a few early reflections."""
    decay, wet = rng.uniform(0.1, 1.3), rng.uniform(0.1, 1.0)
    time = times(1.1 * decay)
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    tail = butterworth(tail * np.clip(time / 0.004, 0, 1), 1, rng.uniform(1500, 7500), "lowpass")
    tail /= np.sqrt((tail**2).sum()) + 1e-9
    tail[rng.integers(0, 700, 4)] += rng.uniform(-0.5, 0.5, 4)
    return x + wet * np.asarray(signal.fftconvolve(x, tail))[: len(x)]


def compress(x: Signal, exponent: float) -> Signal:
    """Compress the dynamic range, as broadcasts and telephones do: by the level below 8 Hz."""
    level = np.sqrt(np.maximum(butterworth(x * x, 1, 8.0, "lowpass"), 1e-8))
    return normalise(x / (level + 0.02) ** exponent)


def through_codec(rng: Rng, x: Signal) -> Signal:
    """Encode and decode as MP3 or AAC at 24-64 kb/s; keeps the length."""
    name, decoder_name = rng.pick(CODECS)
    encoder = av.CodecContext.create(name, "w")
    decoder = av.CodecContext.create(decoder_name, "r")
    assert isinstance(encoder, av.AudioCodecContext)
    assert isinstance(decoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", "fltp"
    encoder.bit_rate = rng.pick(BIT_RATES)
    samples = np.clip(x, -1, 1).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    packets = encoder.encode(frame) + encoder.encode(None)
    decoder.extradata = encoder.extradata
    decoded = [out.to_ndarray()[0] for packet in packets for out in decoder.decode(packet)]
    return np.concatenate(decoded).astype(np.float64)[: len(x)]
