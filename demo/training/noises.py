"""Noise, and everyday sounds that the model learns to tell from speech and music."""

import numpy as np

from training.channel import record
from training.sound import (
    CLIP_SAMPLES,
    CLIP_SECONDS,
    SAMPLE_RATE,
    Signal,
    add_at,
    butterworth,
    chance,
    coloured_noise,
    gain,
    log_uniform,
    random_curve,
    rms,
    shaped_noise,
    times,
)
from training.tones import random_gate
from training.voice import FRAMES_PER_SECOND, Articulation, Larynx, vocalise


def noise_clip(rng: np.random.Generator) -> Signal:
    """Coloured noise, filtered noise, wind, mains hum with hiss, or noise that swells."""
    makers = (steady_noise, steady_noise, filtered_noise, wind, hum_and_hiss, swelling_noise)
    x = makers[rng.integers(len(makers))](rng)
    return record(rng, random_gate(rng, x, 0.2), reverb=0.1, drive=0)


def steady_noise(rng: np.random.Generator) -> Signal:
    """White, pink, brown, blue or anything between."""
    exponent = float(rng.choice([0, 0, -1, -2, 1, rng.uniform(-2.5, 1)]))
    return coloured_noise(rng, CLIP_SAMPLES, exponent)


def filtered_noise(rng: np.random.Generator) -> Signal:
    """Noise with a bumpy spectrum."""
    return shaped_noise(rng, CLIP_SAMPLES, rng.uniform(-25, 5, rng.integers(4, 9)))


def wind(rng: np.random.Generator) -> Signal:
    """Two gusty low noises and a whistle."""
    x = 0.3 * shaped_noise(rng, CLIP_SAMPLES, [-30, -10, 0, -10, -30])
    x *= random_curve(rng, CLIP_SAMPLES, 1, 0, 1)
    for _ in range(2):
        gusts = random_curve(rng, CLIP_SAMPLES, rng.uniform(0.3, 3), 0.1, 1)
        x += coloured_noise(rng, CLIP_SAMPLES, -rng.uniform(1, 3)) * gusts
    return x


def hum_and_hiss(rng: np.random.Generator) -> Signal:
    """Mains or motor hum with its harmonics over noise."""
    frequency = float(rng.choice([50, 60, rng.uniform(40, 200)]))
    x = coloured_noise(rng, CLIP_SAMPLES, rng.uniform(-2, 0))
    for number in range(1, 12):
        phase = 2 * np.pi * frequency * number * times(CLIP_SAMPLES) + rng.uniform(0, 2 * np.pi)
        x += rng.uniform(0, 1) / number * np.sin(phase)
    return x


def swelling_noise(rng: np.random.Generator) -> Signal:
    """Noise whose level wanders."""
    level = random_curve(rng, CLIP_SAMPLES, rng.uniform(0.2, 8), 0.3, 1)
    return coloured_noise(rng, CLIP_SAMPLES, rng.uniform(-1.5, 0.5)) * level


def rain_clip(rng: np.random.Generator) -> Signal:
    """A hiss with drops in it."""
    spectrum = np.array([-25, -22, -15, -8, -3, 0, 0, -3]) + rng.uniform(-6, 6, 8)
    hiss = shaped_noise(rng, CLIP_SAMPLES, spectrum)
    hiss *= random_curve(rng, CLIP_SAMPLES, 0.5, 0.7, 1)
    drops = np.zeros(CLIP_SAMPLES)
    time = times(800)
    for index in range(min(rng.poisson(log_uniform(rng, 20, 1500) * CLIP_SECONDS), 9000)):
        ring = np.sin(2 * np.pi * log_uniform(rng, 700, 7000) * time)
        splash = ring if index % 2 else rng.standard_normal(len(time))
        loudness = np.exp(rng.normal(0, 0.9))
        drop = loudness * np.exp(-rng.uniform(150, 1500) * time) * splash
        add_at(drops, drop, rng.uniform(0, CLIP_SECONDS))
    mixed = hiss + drops / rms(drops) * gain(rng.uniform(-8, 8))
    return record(rng, mixed, reverb=0.2, drive=0)


def applause_clip(rng: np.random.Generator) -> Signal:
    """From four to seventy people clapping, each at a rate of their own."""
    clip = np.zeros(CLIP_SAMPLES)
    time = times(900)
    for _ in range(int(log_uniform(rng, 4, 70))):
        rate = rng.uniform(2.5, 5.5)
        centre = rng.uniform(700, 2800)
        clap = butterworth(rng.standard_normal(900), 2, (0.6 * centre, 1.7 * centre), "bandpass")
        clap *= np.exp(-rng.uniform(120, 400) * time) * np.exp(rng.normal(0, 0.7))
        end = CLIP_SECONDS if chance(rng, 0.7) else rng.uniform(4, 10)
        moment = rng.uniform(0, 1)
        while moment < end:
            add_at(clip, clap * rng.uniform(0.6, 1.2), moment)
            moment += rng.normal(1, 0.07) / rate
    return record(rng, clip, reverb=0.9, drive=0)


def dog_clip(rng: np.random.Generator) -> Signal:
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


def bark(rng: np.random.Generator, throat: Larynx, pitch: float, seconds: float) -> Signal:
    """One bark: the mouth opens and closes as the pitch rises and falls."""
    frames = max(8, int(seconds * FRAMES_PER_SECOND))
    progress = np.linspace(0, 1, frames)
    score = Articulation.silent(frames)
    opening = np.sin(np.pi * progress)
    score.pitch = pitch * (1 + 0.5 * np.sin(np.pi * progress**0.7))
    score.voicing = np.maximum(np.sin(np.pi * np.sqrt(progress)), 0) ** 0.6
    score.aspiration = 0.35 * score.voicing
    score.frication = 0.1 * score.voicing
    score.frication_width[:] = 2000
    score.formants[:, 0] = 600 + 500 * opening
    score.formants[:, 1] = 1300 + 500 * opening
    return vocalise(rng, score, throat)


def engine_clip(rng: np.random.Generator) -> Signal:
    """A motor whose speed wanders, sometimes passing by."""
    time = times(CLIP_SAMPLES)
    speed = random_curve(rng, CLIP_SAMPLES, rng.uniform(0.1, 1), 1, rng.uniform(1, 2.5))
    rate = speed * log_uniform(rng, 14, 110) * (1 + 0.01 * rng.standard_normal(CLIP_SAMPLES))
    phase = 2 * np.pi * np.cumsum(rate) / SAMPLE_RATE
    x = np.zeros(CLIP_SAMPLES)
    roll_off = rng.uniform(0.03, 0.3)
    for number in range(1, int(rng.integers(9, 51))):
        amplitude = np.exp(-roll_off * number) * rng.uniform(0.1, 1)
        x += amplitude * np.sin(number * phase + number**2)
    spectrum = np.array([0, 3, 0, -5, -12, -20]) + rng.uniform(-8, 8, 6)
    rattle = shaped_noise(rng, CLIP_SAMPLES, spectrum) * (1 + rng.uniform(0, 0.8) * np.sin(phase))
    x = x / rms(x) + gain(rng.uniform(-10, 8)) * rattle
    if chance(rng, 0.45):
        distance = (time - rng.uniform(1, 9)) / rng.uniform(0.4, 2.5)
        x *= 0.08 + 1 / (1 + distance**2)
    return record(rng, x, reverb=0.3)


def impact_clip(rng: np.random.Generator) -> Signal:
    """Knocks, crunches, footsteps, crackle: sounds with no label of their own."""
    clip = np.zeros(CLIP_SAMPLES)
    single = chance(rng, 1 / 3)
    frequency = log_uniform(rng, 150, 4000)
    time = rng.uniform(0, 1)
    while time < CLIP_SECONDS:
        for _ in range(1 if single else rng.integers(5, 40)):
            delay = 0.0 if single else rng.uniform(0, 0.35)
            add_at(clip, knock(rng, frequency), time + delay)
        time += rng.uniform(0.3, 1.2) * (rng.uniform(0.3, 2) if single else 1.0)
    return record(rng, clip, reverb=0.6)


def knock(rng: np.random.Generator, frequency: float) -> Signal:
    """A decaying mixture of noise and one mode near a frequency."""
    decay = rng.uniform(20, 600)
    time = times(int(min(0.4, 6 / decay) * SAMPLE_RATE))
    mode = np.sin(2 * np.pi * frequency * np.exp(rng.normal(0, 0.5)) * time)
    x = rng.standard_normal(len(time)) + rng.uniform(0, 3) * mode
    return np.asarray(x * np.exp(-decay * time) * np.exp(rng.normal(0, 0.7)))
