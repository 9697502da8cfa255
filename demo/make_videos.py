"""Makes the demo videos: ``python demo/make_videos.py``.

``videos.json`` says how each is encoded. Every sound is synthesised here, with seeds that the
training set does not use, and FFmpeg's own filters draw it, so the clips are free of anybody's
rights.
"""

import argparse
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import soxr
from training.bank import synthesise
from training.noises import beep
from training.sound import SAMPLE_RATE, Rng, Signal, add_at, butterworth, coloured_noise

DEMO = Path(__file__).parent
SPECTRUM = "size=640x360:fps=10:count=6:axis=0:basefreq=40:endfreq=7800:sono_g=4:bar_g=2"
UNSEEN = 20_261_123  # the training set has indices below 2,000


def sound_of(name: str) -> Signal:
    """Make the sound of a video at 16 kHz; the one without an audio stream gets four seconds."""
    match name:
        case "speech":
            return 0.7 * synthesise("speech", UNSEEN)
        case "telephone":
            return butterworth(0.6 * synthesise("speech", UNSEEN + 1), 8, 3400, "lowpass")
        case "music":
            return 0.7 * synthesise("music", UNSEEN)
        case "tone":
            return 0.4 * beep(440, 5)
        case "beeps":
            clip = np.zeros(6 * SAMPLE_RATE)
            for second in range(6):
                add_at(clip, 0.4 * beep(1000, 0.2), second + 0.3)
            return clip
        case "noise":
            return 0.1 * coloured_noise(Rng(0), 5 * SAMPLE_RATE, [0, -26])  # pink
    return np.zeros(4 * SAMPLE_RATE)


def audio_frame(sound: Signal, rate: int, layout: str) -> av.AudioFrame:
    """Return the whole sound in a rate and layout; all channels are alike."""
    samples = soxr.resample(sound, SAMPLE_RATE, rate).astype(np.float32)
    planes = np.tile(samples, (av.AudioLayout(layout).nb_channels, 1))
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    return frame


def pictures(sound: Signal) -> Iterator[av.VideoFrame]:
    """Draw the spectrum of the sound, and below it a spectrogram that scrolls by."""
    graph = av.filter.Graph()
    nodes = [
        graph.add_abuffer(sample_rate=SAMPLE_RATE, format="fltp", layout="mono"),
        graph.add("showcqt", SPECTRUM),
        graph.add("format", "yuv420p"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    graph.push(audio_frame(sound, SAMPLE_RATE, "mono"))
    graph.push(None)
    for number in range(len(sound) * 10 // SAMPLE_RATE):
        frame = graph.vpull()
        assert isinstance(frame, av.VideoFrame)
        frame.pts, frame.time_base = number, Fraction(1, 10)
        yield frame


def write_video(path: Path, encoding: dict[str, Any]) -> None:
    """Encode the sound of a video and its picture."""
    sound, rate, layout = sound_of(path.stem), encoding["rate"], encoding["layout"]
    with av.open(str(path), "w") as output:
        video = output.add_stream(encoding["video"], 10, encoding["options"])
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        audio: av.AudioStream | None = None  # all streams are declared before the first packet
        if encoding["audio"]:
            audio = output.add_stream(encoding["audio"], rate, layout=layout)
            audio.bit_rate = encoding["bit_rate"]
        for picture in pictures(sound):
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        if audio:
            output.mux(audio.encode(audio_frame(sound, rate, layout)))
            output.mux(audio.encode(None))


def main() -> None:
    """Write every video."""
    parser = argparse.ArgumentParser(description="Make the demo videos.")
    parser.add_argument("--output", type=Path, default=DEMO / "videos", help="where they go")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    encodings = json.loads((DEMO / "videos.json").read_text())
    for file, encoding in encodings["videos"].items():
        write_video(output / file, encodings["any"] | encoding)


if __name__ == "__main__":
    main()
