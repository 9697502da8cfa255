"""What the product hears of a file, and what FFmpeg's command line, the judge, hears."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.audio.clip import Clip, make_clip
from tasks.audio.pool import DecoderPool, Extracted
from tasks.audio.window import Window
from tests import needs

Sound = npt.NDArray[np.float32]  # mono, at the window's rate, shape (n,)

JUDGE_SECONDS = 60.0
MAX_STREAMS = 4


def product_hears(pool: DecoderPool, path: Path, window: Window) -> Sound:
    """The clip of a file; empty where it is EMPTY. Raises what the pool raises."""
    with pool.extract(str(path), window).clips as clips:
        return next((Clip.from_bytes(clip).waveform for _, clip in clips), np.zeros(0, np.float32))


def first_clip(extracted: Extracted) -> Clip:
    """The first clip of a video; an empty one where it is EMPTY."""
    nothing = make_clip([], Window(16_000, 16_000))
    return next((Clip.from_bytes(clip) for _, clip in extracted.clips), nothing)


def ffmpeg_hears(path: Path, window: Window) -> Sound:
    """The first channel of the first audio stream that has sound; empty where there is none.

    The first channel alone: FFmpeg mixes by other weights than the product.
    """
    streams = (_ffmpeg_hears_stream(number, path, window) for number in range(MAX_STREAMS))
    return next((sound for sound in streams if sound.size), np.zeros(0, np.float32))


def _ffmpeg_hears_stream(number: int, path: Path, window: Window) -> Sound:
    # The time stamps are counted anew, lest damaged ones decide where the window ends.
    filters = f"pan=mono|c0=c0,asetpts=N/SR/TB,aresample={window.sampling_rate}"
    command = [needs.program("ffmpeg"), "-v", "quiet", "-nostdin", "-i", str(path), "-map"]
    command += [f"0:a:{number}", "-af", filters, "-t", str(window.seconds), "-f", "f32le", "-"]
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, timeout=JUDGE_SECONDS)
    except subprocess.TimeoutExpired as stuck:
        return np.frombuffer(stuck.stdout or b"", "<f4")
    return np.frombuffer(answer.stdout, "<f4")


# Without ignidx an error in the index of an MP4, behind what it tells of the sound, fails the file.
_DECODE_ANY = """
import sys, av
options = {"fflags": "+ignidx", "advanced_editlist": sys.argv[2]}
container = av.open(sys.argv[1], options=options, metadata_errors="ignore")
for _ in range(100):
    try:
        for packet in container.demux(container.streams.audio):
            if any(frame.samples for frame in packet.decode()):
                sys.exit(0)
    except av.error.FFmpegError:
        pass  # costs itself: go on behind it, as the product does
sys.exit(1)
"""


def libraries_hear(path: Path, edits: bool = True) -> bool:
    """Whether PyAV decodes any sound: its FFmpeg is of another version than the command line.

    Args:
        edits: apply the edit list of an MP4.
    """
    command = [sys.executable, "-c", _DECODE_ANY, str(path), str(int(edits))]
    return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=JUDGE_SECONDS).returncode == 0


def likeness(one: Sound, other: Sound) -> float:
    """The correlation of two sounds, at whatever short delay it is highest."""
    size = 1 << (one.size + other.size).bit_length()
    product = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size)))
    delay = int(product.argmax())
    if delay > size // 2:
        one, other, delay = other, one, size - delay
    one = one[delay:].astype(np.float64)
    overlap = min(one.size, other.size)
    one, other = one[:overlap], other[:overlap]
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) or 1.0))


def level(sound: Sound) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.square(sound, dtype=np.float64).mean())) if sound.size else 0.0
