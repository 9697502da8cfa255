"""Pure tones, beeps and bells."""

import numpy as np

from training.channel import record, through_codec
from training.sound import (
    CLIP_SAMPLES,
    CLIP_SECONDS,
    SAMPLE_RATE,
    Signal,
    add_at,
    butterworth,
    chance,
    gain,
    log_uniform,
    normalise,
    times,
)

# Partials of a church bell relative to its strike note, hum to upper partials
# (Fletcher and Rossing, The Physics of Musical Instruments, chapter 21).
BELL_PARTIALS = np.array(
    [0.5, 1.0, 1.183, 1.506, 2.0, 2.514, 2.662, 3.011, 4.166, 5.43, 6.8],
)


def gate(x: Signal, start: float, end: float) -> Signal:
    """Silences what lies outside two times, with ramps of 25 ms."""
    time = times(len(x))
    return x * np.clip(np.minimum(time - start, end - time) / 0.025, 0, 1)


def random_gate(rng: np.random.Generator, x: Signal, probability: float) -> Signal:
    """With a probability, keeps one stretch of at least two seconds."""
    if not chance(rng, probability):
        return x
    start, end = np.sort(rng.uniform(0, CLIP_SECONDS, 2))
    return gate(x, start, max(end, start + 2))


def sine_clip(rng: np.random.Generator) -> Signal:
    """One steady sine of 45 Hz to 7 kHz, sometimes with a second or a slow tremolo."""
    time = times(CLIP_SAMPLES)
    x = np.sin(2 * np.pi * log_uniform(rng, 45, 7000) * time + rng.uniform(0, 2 * np.pi))
    variant = rng.random()
    if variant < 0.15:
        x += rng.uniform(0.2, 1) * np.sin(2 * np.pi * log_uniform(rng, 90, 7000) * time)
    elif variant < 0.25:
        x *= 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.2, 3) * time)
    x = normalise(random_gate(rng, x, 0.4)) * gain(rng.uniform(-30, 0))
    return through_codec(rng, x) if chance(rng, 0.2) else x


def beep_clip(rng: np.random.Generator) -> Signal:
    """Repeated short tones: alarms, counters, key tones."""
    clip = np.zeros(CLIP_SAMPLES)
    frequencies = [log_uniform(rng, 350, 5000) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
    seconds = log_uniform(rng, 0.03, 0.6)
    period = seconds + log_uniform(rng, 0.05, 1.5)
    square, dual = chance(rng, 0.3), chance(rng, 0.2)
    group = int(rng.choice([99, 99, 2, 3, 4]))
    decay = float(rng.choice([0, 0, rng.uniform(2, 30)]))
    time = rng.uniform(0, 1.5)
    count = 0
    while time < CLIP_SECONDS:
        tone = beep(frequencies[count % len(frequencies)], seconds, square=square, dual=dual)
        add_at(clip, tone * np.exp(-decay * times(len(tone))), time)
        count += 1
        time += period + (rng.uniform(0.3, 2) if count % group == 0 else 0.0)
    return record(rng, clip, reverb=0.3, drive=0.05)


def beep(frequency: float, seconds: float, *, square: bool = False, dual: bool = False) -> Signal:
    """One beep: a sine or square wave, or a dual tone as telephone keys have."""
    time = times(int(seconds * SAMPLE_RATE))
    x = np.sin(2 * np.pi * frequency * time)
    if square:
        x = butterworth(np.sign(x), 1, 6400)
    if dual:
        x = x + np.sin(2 * np.pi * 1.37 * frequency * time)
    return np.asarray(x * np.clip(np.minimum(time, seconds - time) / 0.004, 0, 1))


def bell_clip(rng: np.random.Generator) -> Signal:
    """One bell struck in a steady rhythm."""
    clip = np.zeros(CLIP_SAMPLES)
    toll = bell(rng, log_uniform(rng, 150, 3000))
    period = float(
        rng.choice([rng.uniform(0.1, 0.25), rng.uniform(0.4, 1), rng.uniform(1, 4)]),
    )
    time = rng.uniform(0, 2)
    while time < CLIP_SECONDS:
        add_at(clip, rng.uniform(0.5, 1) * toll, time)
        time += period * rng.uniform(0.93, 1.07)
    return record(rng, clip, reverb=0.6, drive=0)


def bell(rng: np.random.Generator, frequency: float) -> Signal:
    """One stroke: slightly mistuned partials, the higher the shorter."""
    count = len(BELL_PARTIALS)
    decays = rng.uniform(0.2, 1.5) * (frequency / 500) ** 0.6 * np.linspace(0.5, 5, count)
    time = times(int(min(6, 7 / decays[0] + 0.2) * SAMPLE_RATE))
    x = 0.3 * rng.standard_normal(len(time)) * np.exp(-150 * time)
    partials = frequency * BELL_PARTIALS * (1 + rng.normal(0, 0.02, count))
    for partial, decay in zip(partials, decays, strict=True):
        if partial < 7800:
            phase = 2 * np.pi * partial * time + rng.uniform(0, 2 * np.pi)
            x += rng.uniform(0.1, 1) * np.sin(phase) * np.exp(-decay * time)
    return x
