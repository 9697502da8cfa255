"""Everything that is neither speech nor music: tones, noise, and everyday sounds."""

import numpy as np

from training.channel import record, through_codec
from training.sound import (
    CLIP_SAMPLES,
    CLIP_SECONDS,
    SAMPLE_RATE,
    Rng,
    Signal,
    add_at,
    butterworth,
    chance,
    coloured_noise,
    gain,
    log_uniform,
    normalise,
    random_curve,
    rms,
    shaped_noise,
    times,
)
from training.voice import FRAMES_PER_SECOND, Articulation, Larynx, vocalise

TURN = 2 * np.pi
# Partials of a church bell relative to its strike note, hum to upper partials
# (Fletcher and Rossing, The Physics of Musical Instruments, chapter 21).
BELL_PARTIALS = np.array([0.5, 1.0, 1.183, 1.506, 2.0, 2.514, 2.662, 3.011, 4.166, 5.43, 6.8])


def gate(x: Signal, start: float, end: float) -> Signal:
    """Silence what lies outside two times, with ramps of 25 ms."""
    time = times(len(x))
    return x * np.clip(np.minimum(time - start, end - time) / 0.025, 0, 1)


def random_gate(rng: Rng, x: Signal, probability: float) -> Signal:
    """With a probability, keep one stretch of at least two seconds."""
    if not chance(rng, probability):
        return x
    start, end = np.sort(rng.uniform(0, CLIP_SECONDS, 2))
    return gate(x, start, max(end, start + 2))


def sine_clip(rng: Rng) -> Signal:
    """One steady sine of 45 Hz to 7 kHz, sometimes with a second or a slow tremolo."""
    time = times(CLIP_SAMPLES)
    x = np.sin(TURN * log_uniform(rng, 45, 7000) * time + rng.uniform(0, TURN))
    variant = rng.random()
    if variant < 0.15:
        x += rng.uniform(0.2, 1) * np.sin(TURN * log_uniform(rng, 90, 7000) * time)
    elif variant < 0.25:
        x *= 1 + 0.5 * np.sin(TURN * rng.uniform(0.2, 3) * time)
    x = normalise(random_gate(rng, x, 0.4)) * gain(rng.uniform(-30, 0))
    return through_codec(rng, x) if chance(rng, 0.2) else x


def beep_clip(rng: Rng) -> Signal:
    """Repeated short tones: alarms, counters, key tones."""
    clip = np.zeros(CLIP_SAMPLES)
    frequencies = [log_uniform(rng, 350, 5000) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
    seconds = log_uniform(rng, 0.03, 0.6)
    period = seconds + log_uniform(rng, 0.05, 1.5)
    square, dual = chance(rng, 0.3), chance(rng, 0.2)
    group, decay = int(rng.choice([99, 99, 2, 3, 4])), float(rng.choice([0, 0, rng.uniform(2, 30)]))
    time, count = rng.uniform(0, 1.5), 0
    while time < CLIP_SECONDS:
        tone = beep(frequencies[count % len(frequencies)], seconds, square=square, dual=dual)
        add_at(clip, tone * np.exp(-decay * times(len(tone))), time)
        count += 1
        time += period + (rng.uniform(0.3, 2) if count % group == 0 else 0.0)
    return record(rng, clip, reverb=0.3, drive=0.05)


def beep(frequency: float, seconds: float, *, square: bool = False, dual: bool = False) -> Signal:
    """One beep: a sine or square wave, or a dual tone as telephone keys have."""
    time = times(int(seconds * SAMPLE_RATE))
    x = np.sin(TURN * frequency * time)
    if square:
        x = butterworth(np.sign(x), 1, 6400)
    if dual:
        x = x + np.sin(TURN * 1.37 * frequency * time)
    return np.asarray(x * np.clip(np.minimum(time, seconds - time) / 0.004, 0, 1))


def bell_clip(rng: Rng) -> Signal:
    """One bell struck in a steady rhythm."""
    clip = np.zeros(CLIP_SAMPLES)
    toll = bell(rng, log_uniform(rng, 150, 3000))
    periods = rng.uniform(0.1, 0.25), rng.uniform(0.4, 1), rng.uniform(1, 4)
    period = float(rng.choice(periods))
    time = rng.uniform(0, 2)
    while time < CLIP_SECONDS:
        add_at(clip, rng.uniform(0.5, 1) * toll, time)
        time += period * rng.uniform(0.93, 1.07)
    return record(rng, clip, reverb=0.6, drive=0)


def bell(rng: Rng, frequency: float) -> Signal:
    """One stroke: slightly mistuned partials, the higher the shorter."""
    count = len(BELL_PARTIALS)
    decays = rng.uniform(0.2, 1.5) * (frequency / 500) ** 0.6 * np.linspace(0.5, 5, count)
    time = times(int(min(6, 7 / decays[0] + 0.2) * SAMPLE_RATE))
    x = 0.3 * rng.standard_normal(len(time)) * np.exp(-150 * time)
    partials = frequency * BELL_PARTIALS * (1 + rng.normal(0, 0.02, count))
    for partial, decay in zip(partials, decays, strict=True):
        if partial < 7800:
            phase = TURN * partial * time + rng.uniform(0, TURN)
            x += rng.uniform(0.1, 1) * np.sin(phase) * np.exp(-decay * time)
    return x


def noise_clip(rng: Rng) -> Signal:
    """Steady noise of any colour, filtered noise, wind, mains hum with hiss, noise that swells."""
    variant = rng.integers(6)
    if variant < 2:
        exponent = float(rng.choice([0, 0, -1, -2, 1, rng.uniform(-2.5, 1)]))
        x = coloured_noise(rng, CLIP_SAMPLES, exponent)
    elif variant == 2:
        x = shaped_noise(rng, CLIP_SAMPLES, rng.uniform(-25, 5, rng.integers(4, 9)))
    elif variant == 3:
        x = wind(rng)
    elif variant == 4:
        x = hum_and_hiss(rng)
    else:
        level = random_curve(rng, CLIP_SAMPLES, rng.uniform(0.2, 8), 0.3, 1)
        x = coloured_noise(rng, CLIP_SAMPLES, rng.uniform(-1.5, 0.5)) * level
    return record(rng, random_gate(rng, x, 0.2), reverb=0.1, drive=0)


def wind(rng: Rng) -> Signal:
    """Two gusty low noises and a whistle."""
    x = 0.3 * shaped_noise(rng, CLIP_SAMPLES, [-30, -10, 0, -10, -30])
    x *= random_curve(rng, CLIP_SAMPLES, 1, 0, 1)
    for _ in range(2):
        gusts = random_curve(rng, CLIP_SAMPLES, rng.uniform(0.3, 3), 0.1, 1)
        x += coloured_noise(rng, CLIP_SAMPLES, -rng.uniform(1, 3)) * gusts
    return x


def hum_and_hiss(rng: Rng) -> Signal:
    """Mains or motor hum with its harmonics over noise."""
    frequency = float(rng.choice([50, 60, rng.uniform(40, 200)]))
    x = coloured_noise(rng, CLIP_SAMPLES, rng.uniform(-2, 0))
    for number in range(1, 12):
        phase = TURN * frequency * number * times(CLIP_SAMPLES) + rng.uniform(0, TURN)
        x += rng.uniform(0, 1) / number * np.sin(phase)
    return x


def rain_clip(rng: Rng) -> Signal:
    """A hiss with drops in it."""
    spectrum = np.array([-25, -22, -15, -8, -3, 0, 0, -3]) + rng.uniform(-6, 6, 8)
    hiss = shaped_noise(rng, CLIP_SAMPLES, spectrum)
    hiss *= random_curve(rng, CLIP_SAMPLES, 0.5, 0.7, 1)
    drops, time = np.zeros(CLIP_SAMPLES), times(800)
    for index in range(min(rng.poisson(log_uniform(rng, 20, 1500) * CLIP_SECONDS), 9000)):
        ring = np.sin(TURN * log_uniform(rng, 700, 7000) * time)
        splash = ring if index % 2 else rng.standard_normal(len(time))
        drop = np.exp(rng.normal(0, 0.9)) * np.exp(-rng.uniform(150, 1500) * time) * splash
        add_at(drops, drop, rng.uniform(0, CLIP_SECONDS))
    mixed = hiss + drops / rms(drops) * gain(rng.uniform(-8, 8))
    return record(rng, mixed, reverb=0.2, drive=0)


def applause_clip(rng: Rng) -> Signal:
    """From four to seventy people clapping, each at a rate of their own."""
    clip, time = np.zeros(CLIP_SAMPLES), times(900)
    for _ in range(int(log_uniform(rng, 4, 70))):
        rate, centre = rng.uniform(2.5, 5.5), rng.uniform(700, 2800)
        clap = butterworth(rng.standard_normal(900), 2, (0.6 * centre, 1.7 * centre), "bandpass")
        clap *= np.exp(-rng.uniform(120, 400) * time) * np.exp(rng.normal(0, 0.7))
        end = CLIP_SECONDS if chance(rng, 0.7) else rng.uniform(4, 10)
        moment = rng.uniform(0, 1)
        while moment < end:
            add_at(clip, clap * rng.uniform(0.6, 1.2), moment)
            moment += rng.normal(1, 0.07) / rate
    return record(rng, clip, reverb=0.9, drive=0)


def dog_clip(rng: Rng) -> Signal:
    """Barks: short rough cries of one animal's vocal tract."""
    clip = np.zeros(CLIP_SAMPLES)
    pitch = log_uniform(rng, 220, 900)
    throat = Larynx(bandwidth_scale=2.0, tract_scale=rng.uniform(0.7, 1.5), tilt=-0.4)
    time = rng.uniform(0, 1.5)
    while time < CLIP_SECONDS:
        for _ in range(rng.integers(1, 4)):
            seconds = rng.uniform(0.09, 0.3)
            add_at(clip, bark(rng, throat, pitch * rng.uniform(0.9, 1.1), seconds), time)
            time += seconds + rng.uniform(0.05, 0.4)
        time += rng.uniform(0.2, 3)
    return record(rng, clip, reverb=0.6)


def bark(rng: Rng, throat: Larynx, pitch: float, seconds: float) -> Signal:
    """One bark: the mouth opens and closes as the pitch rises and falls."""
    frames = max(8, int(seconds * FRAMES_PER_SECOND))
    progress, score = np.linspace(0, 1, frames), Articulation(frames)
    opening = np.sin(np.pi * progress)
    score.pitch = pitch * (1 + 0.5 * np.sin(np.pi * progress**0.7))
    score.voicing = np.maximum(np.sin(np.pi * np.sqrt(progress)), 0) ** 0.6
    score.aspiration, score.frication = 0.35 * score.voicing, 0.1 * score.voicing
    score.frication_width[:] = 2000
    score.formants[:, 0], score.formants[:, 1] = 600 + 500 * opening, 1300 + 500 * opening
    return vocalise(rng, score, throat)


def engine_clip(rng: Rng) -> Signal:
    """A motor whose speed wanders, sometimes passing by."""
    speed = random_curve(rng, CLIP_SAMPLES, rng.uniform(0.1, 1), 1, rng.uniform(1, 2.5))
    rate = speed * log_uniform(rng, 14, 110) * (1 + 0.01 * rng.standard_normal(CLIP_SAMPLES))
    phase = TURN * np.cumsum(rate) / SAMPLE_RATE
    x, roll_off = np.zeros(CLIP_SAMPLES), rng.uniform(0.03, 0.3)
    for number in range(1, int(rng.integers(9, 51))):
        amplitude = np.exp(-roll_off * number) * rng.uniform(0.1, 1)
        x += amplitude * np.sin(number * phase + number**2)
    spectrum = np.array([0, 3, 0, -5, -12, -20]) + rng.uniform(-8, 8, 6)
    rattle = shaped_noise(rng, CLIP_SAMPLES, spectrum) * (1 + rng.uniform(0, 0.8) * np.sin(phase))
    x = x / rms(x) + gain(rng.uniform(-10, 8)) * rattle
    if chance(rng, 0.45):
        distance = (times(CLIP_SAMPLES) - rng.uniform(1, 9)) / rng.uniform(0.4, 2.5)
        x *= 0.08 + 1 / (1 + distance**2)
    return record(rng, x, reverb=0.3)


def impact_clip(rng: Rng) -> Signal:
    """Knocks, crunches, footsteps, crackle: sounds with no label of their own."""
    clip = np.zeros(CLIP_SAMPLES)
    single, frequency = chance(rng, 1 / 3), log_uniform(rng, 150, 4000)
    time = rng.uniform(0, 1)
    while time < CLIP_SECONDS:
        for _ in range(1 if single else rng.integers(5, 40)):
            delay = 0.0 if single else rng.uniform(0, 0.35)
            add_at(clip, knock(rng, frequency), time + delay)
        time += rng.uniform(0.3, 1.2) * (rng.uniform(0.3, 2) if single else 1.0)
    return record(rng, clip, reverb=0.6)


def knock(rng: Rng, frequency: float) -> Signal:
    """A decaying mixture of noise and one mode near a frequency."""
    decay = rng.uniform(20, 600)
    time = times(int(min(0.4, 6 / decay) * SAMPLE_RATE))
    mode = np.sin(TURN * frequency * np.exp(rng.normal(0, 0.5)) * time)
    x = rng.standard_normal(len(time)) + rng.uniform(0, 3) * mode
    return np.asarray(x * np.exp(-decay * time) * np.exp(rng.normal(0, 0.7)))
