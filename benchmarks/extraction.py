"""What an extraction costs: CPU beside a bare PyAV loop, and memory, for 10 s to 60 minutes."""

import gc
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import av
import numpy as np
from av.codec.context import ThreadType
from threadpoolctl import threadpool_limits

from tasks.audio.child import environment
from tasks.audio.clip import make_clip
from tasks.audio.decode import MARGIN_SECONDS, decode
from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tests.audio.media import melody, write_media

LENGTHS = (10, 60, 180, 3_600)  # seconds
ROUNDS = 30
# Suffix, codec, and options of FFmpeg's for the container.
LAYOUTS: dict[str, tuple[str, str, list[str]]] = {
    "MP4, AAC": (".mp4", "aac", []),
    "fragmented": (".mp4", "aac", ["-movflags", "frag_keyframe+empty_moov"]),
    "WebM, Opus": (".webm", "libopus", []),
    "MKV, AC-3": (".mkv", "ac3", []),
}
RATE = 48_000
WINDOW = Window(sampling_rate=16_000, num_samples=164_080)


def write_video(path: Path, codec: str, seconds: int, options: list[str]) -> Path:
    """Write a video in stereo, ten seconds of sound over and over."""
    sound = np.concatenate([melody(10, RATE), melody(10, RATE, seed=1)])
    source = write_media(path.with_name(f"source{path.suffix}"), sound, RATE, codec)
    command = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(source)]
    command += ["-t", str(seconds), "-c", "copy", *options, str(path)]
    subprocess.run(command, check=True)
    source.unlink()
    return path


def ours(path: Path) -> None:
    """Extract as a child process does it: decoded, mixed, resampled, serialised, on one thread."""
    with path.open("rb") as file:
        make_clip(decode(file, WINDOW).segments, WINDOW).to_bytes()


def bare_loop(path: Path) -> None:
    """Decode as much with PyAV alone: native rate, all channels."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_type = ThreadType.NONE
        seconds, arrays = 0.0, []
        for packet in container.demux(stream):
            for frame in packet.decode():
                arrays.append(frame.to_ndarray())
                seconds += frame.samples / frame.sample_rate
            if seconds >= WINDOW.seconds + MARGIN_SECONDS:
                return


def cpu_seconds(way: Callable[[Path], None], path: Path) -> float:
    """Measure one run of ``way``."""
    gc.collect()
    start = time.process_time()
    way(path)
    return time.process_time() - start


def cpu_of_the_parent(path: Path) -> float:
    """Measure the leading process, for each video that a child extracts."""
    with DecoderPool(1) as pool:
        pool.extract(str(path), WINDOW)
        start = time.process_time()
        for _ in range(ROUNDS):
            pool.extract(str(path), WINDOW)
        return (time.process_time() - start) / ROUNDS


def peak_memory(path: Path) -> int:
    """Of a child that decodes nothing else, in bytes."""
    with DecoderPool(1) as pool:
        pool.extract(str(path), WINDOW)
        status = Path(f"/proc/{pool.pids[0]}/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) * 1024


def main() -> None:
    columns = ("CPU ms", "bare loop", "ratio", "parent ms", "peak MB of child")
    print(f"{'layout':12} {'seconds':>8} {'MB':>8} " + " ".join(f"{c:>16}" for c in columns))
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for layout, (suffix, codec, options) in LAYOUTS.items():
            costs = {}
            for seconds in LENGTHS:
                path = Path(folder) / f"{layout} {seconds}{suffix}"
                write_video(path, codec, seconds, options)
                # In turns, and the median of each: a machine that is shared changes its pace.
                rounds = [
                    (cpu_seconds(ours, path), cpu_seconds(bare_loop, path)) for _ in range(ROUNDS)
                ]
                cost, bare = (median(times) for times in zip(*rounds, strict=True))
                costs[seconds] = cost
                print(
                    f"{layout:12} {seconds:8} {path.stat().st_size / 1e6:8.1f} {1e3 * cost:16.1f}"
                    f" {1e3 * bare:16.1f} {cost / bare:16.2f} {1e3 * cpu_of_the_parent(path):16.2f}"
                    f" {peak_memory(path) / 1e6:16.1f}",
                    flush=True,
                )
            ratio = costs[3_600] / costs[60]
            print(f"{layout:12} {ratio:.2f} times the CPU for 60 times the video", flush=True)


if __name__ == "__main__":
    if not environment().items() <= os.environ.items():
        # As a decoder process runs: malloc reads its settings when a process starts.
        os.execve(sys.executable, sys.orig_argv, environment())
    main()
