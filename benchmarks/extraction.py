"""What the length of a video costs: CPU and memory to hear the start of 1 and of 60 minutes."""

import re
import tempfile
import time
from pathlib import Path
from statistics import median

from threadpoolctl import threadpool_limits

from tasks.audio.clip import make_clip
from tasks.audio.decode import decode
from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tests.audio.media import write_long_media

MINUTES = (1, 60)
BYTES_A_SECOND = 25_000
ROUNDS = 60
LAYOUTS: dict[str, tuple[str, dict[str, str]]] = {
    "index last": (".mp4", {}),
    "index first": (".mp4", {"movflags": "faststart"}),
    "fragmented": (".mp4", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "2000000"}),
    "mkv": (".mkv", {}),
}
WINDOW = Window(sampling_rate=16_000, num_samples=164_080)


def cpu_seconds(path: Path) -> float:
    """Measure one extraction as a child does it: decoded, mixed, resampled, on one thread."""
    start = time.process_time()
    with path.open("rb") as file, threadpool_limits(1):
        make_clip(decode(file, WINDOW).segments, WINDOW)
    return time.process_time() - start


def peak_memory(path: Path) -> int:
    """Of a child that decodes nothing else, in bytes."""
    with DecoderPool(1) as pool:
        pool.extract(str(path), WINDOW)
        status = Path(f"/proc/{pool.pids[0]}/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) * 1024


def main() -> None:
    print(f"{'layout':12} {'minutes':>8} {'MB':>8} {'CPU ms a video':>16} {'peak MB of child':>18}")
    with tempfile.TemporaryDirectory() as folder:
        for layout, (suffix, options) in LAYOUTS.items():
            paths = [
                write_long_media(
                    Path(folder) / f"{layout} {minutes}{suffix}",
                    60 * minutes,
                    60 * minutes * BYTES_A_SECOND,
                    options,
                )
                for minutes in MINUTES
            ]
            # In turns, and the median of each: a machine that is shared changes its pace.
            rounds = [[cpu_seconds(path) for path in paths] for _ in range(ROUNDS)]
            costs = [median(seconds) for seconds in zip(*rounds, strict=True)]
            for minutes, path, cost in zip(MINUTES, paths, costs, strict=True):
                print(
                    f"{layout:12} {minutes:8} {path.stat().st_size / 1e6:8.1f} {1e3 * cost:16.1f}"
                    f" {peak_memory(path) / 1e6:18.1f}"
                )
            print(f"{layout:12} {costs[1] / costs[0]:.2f} times the CPU for 60 times the video")


if __name__ == "__main__":
    main()
