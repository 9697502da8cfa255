"""Makes the demo videos and their manifest: ``python demo/make_videos.py``.

Every sound is synthesised here, with seeds that the training set does not use, and FFmpeg's own
filters draw it, so the clips are free of anybody's rights.
"""

import argparse
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import av.filter
import numpy as np
from training.bank import synthesise
from training.noises import beep, gate
from training.sound import SAMPLE_RATE, Signal, add_at, coloured_noise, gain, resample, times

DEMO = Path(__file__).parent
SPECTRUM = "size=640x360:fps=10:count=6:axis=0:basefreq=40:endfreq=7800:sono_g=4:bar_g=2"
UNSEEN = 20_261_123  # the training set has indices below 2,000


class Encoding(NamedTuple):
    """Codecs of a video; the container follows from the file's suffix."""

    video: str = "libx264"
    video_options: tuple[tuple[str, str], ...] = (("crf", "30"), ("preset", "slow"))
    audio: str = "aac"
    rate: int = 44_100
    bit_rate: int = 48_000
    layout: str = "mono"


MPEG4 = Encoding("mpeg4", (("b", "150000"), ("g", "120")), "pcm_mulaw", 8_000, 64_000)
VP9 = Encoding("libvpx-vp9", (("crf", "42"), ("b:v", "0")), "libopus", 48_000, 64_000, "stereo")
VP8 = Encoding("libvpx", (("crf", "45"), ("b", "60000")), "libopus", 48_000, 64_000)
ENCODINGS = {
    "speech.mp4": Encoding(),
    "telephone.avi": MPEG4,
    "music.webm": VP9,
    "tone.mkv": Encoding(audio="flac", rate=16_000),
    "beeps.mp4": Encoding(audio="mp3"),
    "noise.webm": VP8,
    "silence.mp4": Encoding(),
    "no-audio.mp4": Encoding(),
}
# What a sample says of itself, and its videos; tags that it brings along are in its text.
SAMPLES = {
    "speech": ("A synthetic voice reads.", ["speech.mp4"]),
    "telephone": ("Speech at 8 kHz.", ["telephone.avi"]),
    "music": ("A synthetic band plays.", ["music.webm"]),
    "tone": ("A sine of 440 Hz.", ["tone.mkv"]),
    "beeps": ("One beep a second.", ["beeps.mp4"]),
    "noise": ("Pink noise.", ["noise.webm"]),
    "silence": ("An audio stream of zeros.", ["silence.mp4"]),
    "no-audio": ("A video without sound.", ["no-audio.mp4"]),
    "several": ("A sample of three videos.", ["music.webm", "no-audio.mp4", "speech.mp4"]),
    "already-tagged": ("Tagged by an earlier run.", ["music.webm"]),
    "no-videos": ("A sample without videos.", []),
}


def sound_of(file: str) -> Signal:
    """The sound of a video at 16 kHz; the one without an audio stream gets four seconds."""
    match Path(file).stem:
        case "speech":
            return 0.7 * synthesise("speech", UNSEEN)
        case "telephone":
            narrow = resample(0.6 * synthesise("speech", UNSEEN + 1), SAMPLE_RATE, 8_000)
            return resample(narrow, 8_000, SAMPLE_RATE)
        case "music":
            return 0.7 * synthesise("music", UNSEEN)
        case "tone":
            return gate(0.4 * np.sin(2 * np.pi * 440 * times(5 * SAMPLE_RATE)), 0.0, 5.0)
        case "beeps":
            clip = np.zeros(6 * SAMPLE_RATE)
            for second in range(6):
                add_at(clip, 0.4 * beep(1000, 0.2), second + 0.3)
            return clip
        case "noise":
            return coloured_noise(np.random.default_rng(0), 5 * SAMPLE_RATE, -1) * gain(-20)
    return np.zeros(4 * SAMPLE_RATE)


def audio_frame(sound: Signal, rate: int, layout: str) -> av.AudioFrame:
    """The whole sound in a rate and layout; all channels are alike."""
    samples = resample(sound, SAMPLE_RATE, rate).astype(np.float32)
    planes = np.tile(samples, (av.AudioLayout(layout).nb_channels, 1))
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    return frame


def pictures(sound: Signal) -> Iterator[av.VideoFrame]:
    """The spectrum of the sound, and below it a spectrogram that scrolls by."""
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


def write_video(path: Path, encoding: Encoding) -> None:
    """Encode the sound of a video and its picture."""
    sound = sound_of(path.name)
    with av.open(str(path), "w") as output:
        video = output.add_stream(encoding.video, 10, dict(encoding.video_options))
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        audio: av.AudioStream | None = None  # all streams are declared before the first packet
        if path.stem != "no-audio":
            stream = output.add_stream(encoding.audio, encoding.rate, layout=encoding.layout)
            assert isinstance(stream, av.AudioStream)
            stream.bit_rate, audio = encoding.bit_rate, stream
        for picture in pictures(sound):
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        if audio is not None:
            output.mux(audio.encode(audio_frame(sound, encoding.rate, encoding.layout)))
            output.mux(audio.encode(None))


def main() -> None:
    """Write every video, then the manifest."""
    parser = argparse.ArgumentParser(description="Make the demo videos and their manifest.")
    parser.add_argument("--output", type=Path, default=DEMO, help="where both go")
    output: Path = parser.parse_args().output
    (output / "videos").mkdir(parents=True, exist_ok=True)
    for file, encoding in ENCODINGS.items():
        write_video(output / "videos" / file, encoding)
    with (output / "manifest.jsonl").open("w") as manifest:
        for name, (text, files) in SAMPLES.items():
            sample: dict[str, object] = {"id": name, "text": text}
            sample["videos"] = [f"videos/{file}" for file in files]
            if name == "already-tagged":
                sample["video_audio_tags"] = ["Music"]
            manifest.write(json.dumps(sample) + "\n")


if __name__ == "__main__":
    main()
