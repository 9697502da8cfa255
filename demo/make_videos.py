"""Makes the demo videos and their manifest: ``python demo/make_videos.py``.

Everything seen and heard is synthesised here, so the clips are free of anybody's rights. No clip
uses a seed of the training set.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from film.encode import Format, write_video
from film.picture import draw_frames, duration
from film.recital import WOMAN, Reader, read_aloud
from film.tunes import ode_to_joy
from training.sound import SAMPLE_RATE, Signal, add_at, coloured_noise, gain, resample, times
from training.tones import beep, gate

DEMO = Path(__file__).parent
TELEPHONE_RATE = 8_000
SEED = 20_261_123
VP8 = {"deadline": "good", "crf": "45", "b": "60000"}
VP9 = {"deadline": "good", "crf": "42", "b:v": "0"}

# "This is a demo. Nobody ever spoke these words: a program made them, one sound wave at a time.
# The model should call it speech."
SENTENCES = (
    "DH IH1 S IH Z AX D EH1 M OW . N OW1 B AA D IY EH1 V ER S P OW1 K DH IY Z W ER1 D Z , "
    "AX P R OW1 G R AE M M EY1 D DH EH M , W AH1 N S AW1 N D W EY V AE T AX T AY1 M . "
    "DH AX M AA1 D AX L SH UH D K AO1 L IH T S P IY1 CH . "
)


@dataclass(frozen=True)
class Clip:
    """One video of the demo."""

    file: str
    title: str
    subtitle: str
    sound: Callable[[], Signal] | None
    """Makes the sound at 16 kHz; None for a video without an audio stream."""
    form: Format = field(default_factory=Format)
    silent_seconds: float = 4.0
    """Length of a video without an audio stream."""


def speech() -> Signal:
    """A man's voice reads three sentences."""
    return 0.7 * read_aloud(SENTENCES, Reader(pace=1.15), SEED)


def telephone_speech() -> Signal:
    """A woman's voice reads the same over a line that carries 8,000 samples a second."""
    voice = read_aloud(SENTENCES, Reader(pitch=205.0, pace=1.15, larynx=WOMAN), SEED + 1)
    narrow = resample(0.6 * voice, SAMPLE_RATE, TELEPHONE_RATE)
    return resample(narrow, TELEPHONE_RATE, SAMPLE_RATE)


def music() -> Signal:
    """Ode to Joy."""
    return 0.7 * ode_to_joy(SEED)


def tone() -> Signal:
    """440 Hz for five seconds."""
    return gate(0.4 * np.sin(2 * np.pi * 440 * times(5 * SAMPLE_RATE)), 0.0, 5.0)


def beeps() -> Signal:
    """A beep of 1 kHz for a fifth of a second, every second."""
    clip = np.zeros(6 * SAMPLE_RATE)
    for second in range(6):
        add_at(clip, 0.4 * beep(1000, 0.2), second + 0.3)
    return clip


def noise() -> Signal:
    """Pink noise at -20 dB."""
    x = coloured_noise(np.random.default_rng(SEED), 5 * SAMPLE_RATE, -1)
    return x * float(gain(-20))


def silence() -> Signal:
    """Four seconds of digital zero."""
    return np.zeros(4 * SAMPLE_RATE)


CLIPS = (
    Clip("speech.mp4", "SPEECH", "A SYNTHETIC VOICE READS - H264, AAC", speech),
    Clip(
        "telephone.avi",
        "TELEPHONE",
        "SPEECH AT 8 KHZ - MPEG-4, MU-LAW",
        telephone_speech,
        Format(
            video_codec="mpeg4",
            video_options={"b": "70000", "g": "120"},
            audio_codec="pcm_mulaw",
            audio_rate=TELEPHONE_RATE,
            audio_bit_rate=None,
        ),
    ),
    Clip(
        "music.webm",
        "MUSIC",
        "ODE TO JOY, STEREO - VP9, OPUS",
        music,
        Format("libvpx-vp9", VP9, "libopus", 48_000, 64_000, "stereo"),
    ),
    Clip(
        "tone.mkv",
        "TONE",
        "A SINE OF 440 HZ - H264, FLAC",
        tone,
        Format(audio_codec="flac", audio_rate=16_000, audio_bit_rate=None),
    ),
    Clip(
        "beeps.mp4", "BEEPS", "1000 HZ, ONCE A SECOND - H264, MP3", beeps, Format(audio_codec="mp3")
    ),
    Clip(
        "noise.webm",
        "NOISE",
        "PINK NOISE - VP8, OPUS",
        noise,
        Format("libvpx", VP8, "libopus", 48_000, 64_000),
    ),
    Clip("silence.mp4", "SILENCE", "DIGITAL ZERO - H264, AAC", silence),
    Clip("no-audio.mp4", "NO AUDIO", "THERE IS NO AUDIO STREAM - H264", None),
)

SAMPLES: tuple[dict[str, object], ...] = (
    {"id": "speech", "text": "A synthetic voice reads.", "videos": ["videos/speech.mp4"]},
    {"id": "telephone", "text": "Speech at 8 kHz.", "videos": ["videos/telephone.avi"]},
    {"id": "music", "text": "Ode to Joy.", "videos": ["videos/music.webm"]},
    {"id": "tone", "text": "A sine of 440 Hz.", "videos": ["videos/tone.mkv"]},
    {"id": "beeps", "text": "One beep a second.", "videos": ["videos/beeps.mp4"]},
    {"id": "noise", "text": "Pink noise.", "videos": ["videos/noise.webm"]},
    {"id": "silence", "text": "An audio stream of zeros.", "videos": ["videos/silence.mp4"]},
    {"id": "no-audio", "text": "A video without sound.", "videos": ["videos/no-audio.mp4"]},
    {
        "id": "several",
        "text": "A sample of three videos.",
        "videos": ["videos/music.webm", "videos/no-audio.mp4", "videos/speech.mp4"],
    },
    {
        "id": "already-tagged",
        "text": "Tagged by an earlier run.",
        "videos": ["videos/music.webm"],
        "video_audio_tags": ["Music"],
    },
    {"id": "no-videos", "text": "A sample without videos.", "videos": []},
)


def main() -> None:
    """Writes every clip, then the manifest."""
    parser = argparse.ArgumentParser(description="Make the demo videos and their manifest.")
    parser.add_argument("--output", type=Path, default=DEMO, help="where both go")
    output: Path = parser.parse_args().output
    videos = output / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    for clip in CLIPS:
        sound = clip.sound() if clip.sound else None
        seconds = clip.silent_seconds if sound is None else duration(sound)
        frames = draw_frames(clip.title, clip.subtitle, sound, seconds)
        path = videos / clip.file
        write_video(path, frames, sound, clip.form)
        print(f"{path}: {seconds:.1f} s, {path.stat().st_size / 1000:.0f} kB")
    lines = [json.dumps(sample) + "\n" for sample in SAMPLES]
    (output / "manifest.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
