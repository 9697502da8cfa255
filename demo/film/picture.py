"""What there is to see: a title, the spectrogram and waveform of the sound, and a playhead."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from training.features import LOG_FLOOR, log_mel
from training.sound import SAMPLE_RATE, Signal

from film.lettering import letter

Image = NDArray[np.float64]
"""``[height, width, 3]``, RGB in 0-1."""

WIDTH, HEIGHT = 640, 360
FRAMES_PER_SECOND = 10
MARGIN = 28
SPECTROGRAM = slice(112, 272)
WAVEFORM = slice(288, 332)
PLOT_WIDTH = WIDTH - 2 * MARGIN
DYNAMIC_RANGE = 13.0
"""Natural logarithm of the power ratio between the brightest and the darkest colour."""

TOP, BOTTOM = np.array([0.07, 0.08, 0.16]), np.array([0.03, 0.03, 0.07])
WHITE, GREY, ACCENT = np.array([0.96, 0.96, 1.0]), np.array([0.55, 0.58, 0.7]), (0.35, 0.85, 0.9)
# Dark violet over magenta and orange to pale yellow.
PALETTE = np.array(
    [
        [0.03, 0.02, 0.09],
        [0.25, 0.07, 0.42],
        [0.65, 0.18, 0.48],
        [0.96, 0.45, 0.36],
        [0.99, 0.95, 0.72],
    ]
)
UNPLAYED = 0.35
"""Brightness of what the playhead has not reached."""


def draw_frames(title: str, subtitle: str, sound: Signal | None, seconds: float) -> Iterator[Image]:
    """The frames of a video of ``seconds``; without a sound the plots stay empty."""
    canvas = draw_background()
    draw_text(canvas, title, MARGIN, 24, 6, WHITE)
    draw_text(canvas, subtitle, MARGIN, 80, 2, GREY)
    played, unplayed = canvas.copy(), canvas.copy()
    plot = slice(MARGIN, MARGIN + PLOT_WIDTH)
    spectrogram, waveform = draw_plots(sound, canvas[WAVEFORM, plot])
    played[SPECTROGRAM, plot], unplayed[SPECTROGRAM, plot] = spectrogram, UNPLAYED * spectrogram
    played[WAVEFORM, plot] = waveform
    unplayed[WAVEFORM, plot] = (1 - UNPLAYED) * canvas[WAVEFORM, plot] + UNPLAYED * waveform

    count = round(seconds * FRAMES_PER_SECOND)
    for index in range(count):
        playhead = MARGIN + round(PLOT_WIDTH * index / count)
        frame = unplayed.copy()
        frame[:, :playhead] = played[:, :playhead]
        frame[SPECTROGRAM.start : WAVEFORM.stop, playhead : playhead + 2] = WHITE
        yield frame


def draw_background() -> Image:
    """A vertical gradient."""
    shade = np.linspace(0, 1, HEIGHT)[:, None, None]
    return np.broadcast_to((1 - shade) * TOP + shade * BOTTOM, (HEIGHT, WIDTH, 3)).copy()


def draw_text(canvas: Image, text: str, x: int, y: int, pitch: int, colour: Image) -> None:
    """Puts a line of text on the canvas, its top left corner at (x, y)."""
    mask = letter(text, pitch)[:, : WIDTH - x, None]
    area = canvas[y : y + mask.shape[0], x : x + mask.shape[1]]
    area += mask * (colour - area)


def draw_plots(sound: Signal | None, background: Image) -> tuple[Image, Image]:
    """Spectrogram and waveform, each as wide as the plot."""
    height = SPECTROGRAM.stop - SPECTROGRAM.start
    if sound is None:
        empty = np.broadcast_to(PALETTE[0], (height, PLOT_WIDTH, 3))
        return empty.copy(), background.copy()
    return draw_spectrogram(sound, height), draw_waveform(sound, background)


def draw_spectrogram(sound: Signal, height: int) -> Image:
    """Log-mel power in colour, low frequencies at the bottom."""
    spectrum = log_mel(sound)
    rows = np.linspace(spectrum.shape[1] - 1, 3, height).round().astype(int)
    columns = np.linspace(0, len(spectrum) - 1, PLOT_WIDTH).round().astype(int)
    top = max(float(spectrum.max()), LOG_FLOOR + DYNAMIC_RANGE)
    brightness = np.clip(1 + (spectrum[columns][:, rows].T - top) / DYNAMIC_RANGE, 0, 1)
    steps = np.linspace(0, 1, len(PALETTE))
    return np.stack([np.interp(brightness, steps, channel) for channel in PALETTE.T], axis=-1)


def draw_waveform(sound: Signal, background: Image) -> Image:
    """Peak level of each pixel's time as a bar around the middle."""
    height = len(background)
    peaks = np.array([np.abs(part).max() for part in np.array_split(sound, PLOT_WIDTH)])
    distance = np.abs(np.arange(height) - (height - 1) / 2)[:, None]
    mask = np.clip(peaks * height / 2 + 1 - distance, 0, 1)[:, :, None]
    return np.asarray(background + mask * (np.array(ACCENT) - background))


def duration(sound: Signal) -> float:
    """Seconds of a sound at 16 kHz."""
    return len(sound) / SAMPLE_RATE
