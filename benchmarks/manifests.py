"""How long and how much memory planning and merging a manifest of a million samples take.

python benchmarks/manifests.py [--samples 1000000]
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.manifests import Fields
from tasks.manifests.files import open_manifest
from tasks.merge import merge

TEXT = "<__dj__video> a street at night, cars pass by, someone plays the violin <|__dj__eoc|> " * 2
UNTAGGED_EVERY = 100


class Everything:
    """Outcomes: each video has a label."""

    def get(self, url: str, /) -> str:
        return "Music"


def sample(number: int, tagged: bool) -> dict[str, Any]:
    """About 300 bytes of JSON."""
    return {
        "id": number,
        "videos": [f"videos/{number:09}.mp4"],
        "text": TEXT,
        "score": number / 7,
        "video_audio_tags": ["Music"] if tagged else None,
    }


def write_jsonl(path: Path, samples: int, every: int) -> None:
    with path.open("w") as file:
        for number in range(samples):
            file.write(json.dumps(sample(number, not every or number % every != 0)) + "\n")


def write_parquet(path: Path, samples: int, every: int) -> None:
    kinds = {"id": pa.int64(), "videos": pa.list_(pa.string()), "text": pa.string(),
             "score": pa.float64(), "video_audio_tags": pa.list_(pa.string())}  # fmt: skip
    schema = pa.schema(kinds)
    group = 100_000
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, samples, group):
            rows = [
                sample(number, not every or number % every != 0)
                for number in range(start, min(samples, start + group))
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema))


def plan(path: str) -> int:
    with open_manifest(path) as manifest:
        return sum(1 for _ in manifest.format.read(manifest.stream, Fields()))


def merge_tags(path: str) -> int:
    return merge(path, path, Fields(), Everything()).tagged


def peak_megabytes() -> float:
    """Of this program. Not ru_maxrss: that counts what the parent had at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measured(work: Callable[[str], int], path: str, results: Any) -> None:
    imported, started, worked = peak_megabytes(), time.perf_counter(), time.process_time()
    count = work(path)
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    results.put((count, seconds, cpu, peak_megabytes(), imported))


def run(title: str, work: Callable[[str], int], path: Path) -> None:
    """Measure in a process of its own: the peak of memory is that of a process's whole life."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    size = path.stat().st_size / 1e6
    process = context.Process(target=measured, args=(work, str(path), results))
    process.start()
    count, seconds, cpu, peak, imported = results.get()
    process.join()
    print(
        f"{title:42} {size:6.0f} {count:9,} {seconds:8.1f} {cpu:6.1f} {peak:8.0f} {imported:8.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    samples = parser.parse_args().samples
    print(f"{'':42} {'MB':>6} {'count':>9} {'seconds':>8} {'cpu':>6} {'peak MB':>8} {'imports':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for suffix, write in ((".jsonl", write_jsonl), (".parquet", write_parquet)):
            path = Path(folder) / f"m{suffix}"
            write(path, samples, 0)
            run(f"plan {suffix}, all tagged", plan, path)
            write(path, samples, UNTAGGED_EVERY)
            run(f"merge {suffix}, 1 of {UNTAGGED_EVERY} gains tags", merge_tags, path)
            path.unlink()


if __name__ == "__main__":
    main()
