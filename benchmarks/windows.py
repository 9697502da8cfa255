"""What more windows cost: CPU and bytes, beside the window at the start, by length of video."""

import gc
import tempfile
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from tasks.audio.hear import hear
from tasks.audio.source import opened
from tasks.audio.window import Window, Windows
from tests.audio.media import write_long_media

SECONDS = {"10 s": 10, "3 min": 180, "60 min": 3_600}
SUFFIXES = (".mp4", ".mkv", ".ts")
WINDOWS: tuple[Windows, ...] = ("start", 2, 6, "all")
BYTES_A_SECOND = 25_000
WINDOW = Window(sampling_rate=16_000, num_samples=164_080)
ROUNDS = 5


def cost(path: Path, windows: Windows) -> tuple[float, int, int]:
    """Hear a video as a child process does; CPU seconds, bytes read, clips."""
    gc.collect()
    start = time.process_time()
    with opened(str(path), None) as source:
        clips = sum(bool(clip.to_bytes()) for _, clip in hear(source, WINDOW, windows))
    return time.process_time() - start, source.bytes_read, clips


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
                        f" {cpu / first:8.2f} {read / 1e6:8.2f}"
                    )


if __name__ == "__main__":
    main()
