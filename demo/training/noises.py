"""Everything that is neither speech nor music: noise, tones, and sounds without a label."""

import numpy as np

from training.channel import record, through_codec
from training.sound import (
    CLIP_SAMPLES,
    CLIP_SECONDS,
    TURN,
    Rng,
    Signal,
    add_at,
    coloured_noise,
    normalise,
    times,
)


def noise_clip(rng: Rng) -> Signal:
    """Make steady noise of any colour, wind, noise that swells, mains hum with hiss."""
    slope = [0.0, 26 * rng.choice([0, -1, -2, rng.uniform(-2.5, 1)])]  # a power of the frequency
    free = rng.uniform(-25, 5, rng.integers(4, 9))
    x = coloured_noise(rng, CLIP_SAMPLES, free if rng.chance(0.3) else slope)
    if rng.chance(0.35):
        x *= rng.curve(CLIP_SAMPLES, rng.log_uniform(0.2, 8), 0.1, 1)
    if rng.chance(0.15):
        frequency, time = float(rng.choice([50, 60, rng.uniform(40, 200)])), times(CLIP_SECONDS)
        for number in range(1, 12):
            x += rng.uniform(0, 1) / number * np.sin(TURN * frequency * number * time + number**2)
    return record(rng, excerpt(rng, x, 0.2), reverb=0.1, drive=0)


def excerpt(rng: Rng, x: Signal, probability: float) -> Signal:
    """With a probability, keep one stretch of at least two seconds, with ramps of 25 ms."""
    if not rng.chance(probability):
        return x
    start, end = np.sort(rng.uniform(0, CLIP_SECONDS, 2))
    time = times(CLIP_SECONDS)
    return np.asarray(
        x * np.clip(np.minimum(time - start, max(end, start + 2) - time) / 0.025, 0, 1)
    )


def sine_clip(rng: Rng) -> Signal:
    """Make one steady sine of 45 Hz to 7 kHz, sometimes with a second or a slow tremolo."""
    time, variant = times(CLIP_SECONDS), rng.random()
    x = np.sin(TURN * rng.log_uniform(45, 7000) * time)
    if variant < 0.15:
        x += rng.uniform(0.2, 1) * np.sin(TURN * rng.log_uniform(90, 7000) * time)
    elif variant < 0.25:
        x *= 1 + 0.5 * np.sin(TURN * rng.uniform(0.2, 3) * time)
    x = normalise(excerpt(rng, x, 0.4)) * rng.gain(-30, 0)
    return through_codec(rng, x) if rng.chance(0.2) else x


def beep_clip(rng: Rng) -> Signal:
    """Make repeated short tones: alarms, counters, key tones."""
    clip = np.zeros(CLIP_SAMPLES)
    frequencies = [rng.log_uniform(350, 5000) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
    seconds = rng.log_uniform(0.03, 0.6)
    period = seconds + rng.log_uniform(0.05, 1.5)
    square, dual = rng.chance(0.3), rng.chance(0.2)
    group, decay = int(rng.choice([99, 99, 2, 3, 4])), float(rng.choice([0, 0, rng.uniform(2, 30)]))
    time, count = rng.uniform(0, 1.5), 0
    while time < CLIP_SECONDS:
        tone = beep(frequencies[count % len(frequencies)], seconds, square=square, dual=dual)
        add_at(clip, tone * np.exp(-decay * times(seconds)), time)
        count += 1
        time += period + (rng.uniform(0.3, 2) if count % group == 0 else 0.0)
    return record(rng, clip, reverb=0.3, drive=0.05)


def beep(frequency: float, seconds: float, *, square: bool = False, dual: bool = False) -> Signal:
    """Make one beep: a sine, nearly a square wave, or a dual tone as telephone keys have."""
    time = times(seconds)
    x = np.sin(TURN * frequency * time)
    if square:
        x = np.tanh(8 * x)
    if dual:
        x = x + np.sin(TURN * 1.37 * frequency * time)
    return np.asarray(x * np.clip(np.minimum(time, time[-1] - time) / 0.004, 0, 1))


def other_clip(rng: Rng) -> Signal:
    """Make a sound with no label of its own: knocks, clapping, rain, or an engine."""
    return record(rng, engine(rng) if rng.chance(0.3) else strokes(rng), reverb=0.5)


def strokes(rng: Rng) -> Signal:
    """Make knocks, steps, crackle, claps or drops: bursts of noise that ring, one or many."""
    clip, hiss = np.zeros(CLIP_SAMPLES), coloured_noise(rng, CLIP_SAMPLES, rng.uniform(-25, 0, 6))
    rate, frequency, spread = rng.log_uniform(0.7, 500), rng.log_uniform(150, 4000), rng.random()
    ringing, steady = rng.uniform(0, 3), 1 if rng.chance(0.3) else 0
    moments = np.cumsum(rng.exponential(1 / rate, int(rate * CLIP_SECONDS) + 1))
    regular = np.arange(len(moments)) / rate
    for moment in regular * steady + moments * (1 - steady):
        decay = rng.log_uniform(20, 800)
        time = times(min(0.4, 6 / decay))
        mode = np.sin(TURN * frequency * np.exp(spread * rng.standard_normal()) * time)
        stroke = (rng.standard_normal(len(time)) + ringing * mode) * np.exp(-decay * time)
        if moment < CLIP_SECONDS:
            add_at(clip, np.exp(rng.normal(0, 0.7)) * stroke, moment)
    return np.asarray(clip / clip.std() + (rng.gain(-30, 6) * hiss if rate > 20 else 0.0))


def engine(rng: Rng) -> Signal:
    """Make a motor whose speed wanders: many harmonics, and a rattle in their rhythm."""
    speed = rng.curve(CLIP_SAMPLES, rng.uniform(0.1, 1), 1, rng.uniform(1, 2.5))
    rate = speed * rng.log_uniform(14, 110) * (1 + 0.01 * rng.standard_normal(CLIP_SAMPLES))
    phase = TURN * np.cumsum(rate) * times(1)[1]
    x, roll_off = np.zeros(CLIP_SAMPLES), rng.uniform(0.03, 0.3)
    for number in range(1, int(rng.integers(9, 51))):
        x += np.exp(-roll_off * number) * rng.uniform(0.1, 1) * np.sin(number * phase + number**2)
    rattle = coloured_noise(rng, CLIP_SAMPLES, rng.uniform(-8, 8, 6) - [0, 0, 3, 8, 15, 23])
    return np.asarray(x / x.std() + rng.gain(-10, 8) * rattle * (1 + 0.5 * np.sin(phase)))
