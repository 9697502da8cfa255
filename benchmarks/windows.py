"""What more windows cost: CPU and bytes by length of video, what they ask of S3, memory."""

import gc
import os
import tempfile
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from tasks.audio.extraction import extract_clips
from tasks.audio.pool import DecoderPool
from tasks.audio.source import opened
from tasks.audio.window import Window, Windows
from tests.audio.counted import ENVIRONMENT, counted_s3
from tests.audio.media import write_long_media

SECONDS = {"10 s": 10, "3 min": 180, "60 min": 3_600}
SUFFIXES = (".mp4", ".mkv", ".ts")
FAR_SUFFIXES = (".mp4", ".mkv", ".ts")
FAR_SECONDS = 3_600
WINDOWS: tuple[Windows, ...] = ("start", 2, 6, "all")
BYTES_A_SECOND = 25_000
WINDOW = Window(sampling_rate=16_000, num_samples=164_080)
ROUNDS = 5


def cost(path: Path, windows: Windows) -> tuple[float, int, int]:
    """Hear a video as a child process does; CPU seconds, bytes read, clips."""
    gc.collect()
    start = time.process_time()
    with opened(str(path), None) as source:
        clips = sum(bool(clip.to_bytes()) for _, clip in extract_clips(source, WINDOW, windows))
    return time.process_time() - start, source.bytes_read, clips


def on_s3(folder: Path) -> None:
    """Requests and bytes of one long video, for each number of windows."""
    os.environ.update(ENVIRONMENT)
    print(f"{'on S3':>12} {'windows':>8} {'clips':>6} {'GETs':>8} {'MB read':>8}")
    with counted_s3() as server:
        os.environ["AWS_ENDPOINT_URL"] = server.endpoint
        for suffix in FAR_SUFFIXES:
            path = folder / f"far{suffix}"
            write_long_media(path, FAR_SECONDS, FAR_SECONDS * BYTES_A_SECOND)
            url, identity = server.put(path)
            for windows in ("start", 2, 6):
                server.reset()
                with (
                    DecoderPool(1) as pool,
                    pool.extract(url, WINDOW, identity, windows).clips as clips,
                ):
                    print(
                        f"{'60 min ' + suffix:>12} {windows:>8} {len(clips):6}"
                        f" {server.requests.count('GET'):8} {server.bytes_sent / 1e6:8.2f}"
                    )


def memory(folder: Path) -> None:
    """The peak of a decoder process that hears all of a video."""
    for suffix in (".mp4", ".mkv"):
        for hours in (1, 10):
            path = folder / f"{hours}h{suffix}"
            write_long_media(path, hours * 3_600, hours * 3_600_000)
            with DecoderPool(1) as pool, pool.extract(str(path), WINDOW, windows="all").clips as c:
                status = Path(f"/proc/{pool.pids[0]}/status").read_text()
                peak = int(status.split("VmHWM:")[1].split()[0]) / 1_024
                print(f"{path.name:>12} {'all':>8} {len(c):6} {peak:8.0f} MB at most", flush=True)
            path.unlink()


def main() -> None:
    print(f"{'file':>12} {'windows':>8} {'clips':>6} {'CPU ms':>8} {'x start':>8} {'MB read':>8}")
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for suffix in SUFFIXES:
            for length, seconds in SECONDS.items():
                path = Path(folder) / f"{seconds}{suffix}"
                write_long_media(path, seconds, seconds * BYTES_A_SECOND)
                first = 0.0
                for windows in WINDOWS:
                    rounds = 1 if windows == "all" and seconds > 1_000 else ROUNDS
                    cpu, read, clips = min(cost(path, windows) for _ in range(rounds))
                    first = first or cpu
                    print(
                        f"{length + ' ' + suffix:>12} {windows:>8} {clips:6} {1e3 * cpu:8.1f}"
                        f" {cpu / first:8.2f} {read / 1e6:8.2f}",
                        flush=True,
                    )
                path.unlink()
        on_s3(Path(folder))
        memory(Path(folder))


if __name__ == "__main__":
    main()
