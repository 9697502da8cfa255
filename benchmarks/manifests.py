"""How long and how much memory planning and merging a manifest of a million samples take, and the
same for a large Parquet file, on disk and on S3 (moto), beside writing all of its columns anew.

python benchmarks/manifests.py [--samples 1000000] [--megabytes 1000]
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.listing import start_server
from tasks.manifests import Fields
from tasks.manifests.files import open_manifest
from tasks.merge import merge
from tasks.tags import Score, Span, VideoTags

TEXT = "<__dj__video> a street at night, cars pass by, someone plays the violin <|__dj__eoc|> " * 2
UNTAGGED_EVERY = 100


FOUR = Fields(scores="scores", timeline="timeline", provenance="made_by")
LABELS = ["Music", "Violin, fiddle", "Speech", "Vehicle", "Outside, urban or manmade"]


class Everything:
    """Outcomes: each video has a label, five scores and a timeline of three spans."""

    def get(self, url: str, /) -> VideoTags:
        part = int(url[-8:-4], 16) / 65_536
        scores: list[Score] = [{"label": label, "score": part, "peak": 0.9} for label in LABELS]
        spans: list[Span] = [
            {"start": n * 10.24, "end": n * 10.24 + 10.24, "label": LABELS[n], "score": part}
            for n in range(3)
        ]
        return VideoTags("Music", scores, spans)


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


def write_large(path: Path, megabytes: int) -> None:
    """Parquet without tags, about as large: samples of 1 kB of text that hardly compresses."""
    schema = pa.schema({"videos": pa.list_(pa.string()), "text": pa.string()})
    group = 50_000
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while path.stat().st_size < megabytes * 1_000_000:
            videos = [[f"videos/{os.urandom(6).hex()}.mp4"] for _ in range(group)]
            texts = [os.urandom(500).hex() for _ in range(group)]
            writer.write_table(pa.table([videos, texts], schema=schema))


def write_anew(path: str) -> int:
    """Add the column by decoding and encoding every other one, as libraries do."""
    new, rows = Path(f"{path}.new"), 0
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow.append(pa.field("video_audio_tags", pa.list_(pa.string())))
        with pq.ParquetWriter(new, schema, compression="zstd") as writer:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                tags = pa.array([["Music"]] * table.num_rows, pa.list_(pa.string()))
                writer.write_table(table.append_column(schema.field(-1), tags))
                rows += table.num_rows
    new.unlink()
    return rows


def plan(path: str) -> int:
    with open_manifest(path) as manifest:
        return sum(1 for _ in manifest.format.read(manifest.stream, Fields()))


def merge_tags(path: str) -> int:
    return merge(path, path, Fields(), Everything()).tagged


def merge_four(path: str) -> int:
    return merge(path, path, FOUR, Everything(), provenance="model@revision float32").tagged


def peak_megabytes() -> float:
    """Of this program. Not ru_maxrss: that counts what the parent had at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measured(work: Callable[[str], int], path: str, results: Any) -> None:
    imported, started, worked = peak_megabytes(), time.perf_counter(), time.process_time()
    count = work(path)
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    results.put((count, seconds, cpu, peak_megabytes(), imported))


def run(title: str, work: Callable[[str], int], path: Path, url: str = "") -> None:
    """Measure in a process of its own: the peak of memory is that of a process's whole life."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    size = path.stat().st_size / 1e6
    process = context.Process(target=measured, args=(work, url or str(path), results))
    process.start()
    count, seconds, cpu, peak, imported = results.get()
    process.join()
    print(
        f"{title:42} {size:6.0f} {count:9,} {seconds:8.1f} {cpu:6.1f} {peak:8.0f} {imported:8.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--megabytes", type=int, default=1000)
    options = parser.parse_args()
    samples = options.samples
    print(f"{'':42} {'MB':>6} {'count':>9} {'seconds':>8} {'cpu':>6} {'peak MB':>8} {'imports':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for suffix, write in ((".jsonl", write_jsonl), (".parquet", write_parquet)):
            path = Path(folder) / f"m{suffix}"
            write(path, samples, 0)
            run(f"plan {suffix}, all tagged", plan, path)
            write(path, samples, UNTAGGED_EVERY)
            run(f"merge {suffix}, 1 of {UNTAGGED_EVERY} gains tags", merge_tags, path)
            write(path, samples, 1)
            run(f"merge {suffix}, every sample gains tags", merge_tags, path)
            run(f"merge {suffix}, each gains 3 fields more", merge_four, path)
            write(path, samples, 1)
            run(f"merge {suffix}, every sample gains 4 fields", merge_four, path)
            path.unlink()
        path = Path(folder) / "large.parquet"
        write_large(path, options.megabytes)
        run("all columns of .parquet written anew", write_anew, path)
        run_on_s3(path)
        run("plan .parquet, nothing tagged", plan, path)
        run("merge .parquet, every sample gains tags", merge_tags, path)
        run("the same for the tags of a file of ours", retag, path)


def retag(path: str) -> int:
    return merge(path, path, Fields(), Everything(), retag=True).tagged


def run_on_s3(path: Path) -> None:
    """Plan and merge a copy on S3; print what travelled."""
    app, client = start_server(), boto3.client("s3")
    client.create_bucket(Bucket="bench")
    client.upload_file(str(path), "bench", "m.parquet")
    for title, work in (("plan", plan), ("merge", merge_tags)):
        app.reset()
        run(f"{title} .parquet on S3", work, path, "s3://bench/m.parquet")
        read, written = app.sent / 1e6, app.received / 1e6
        print(
            f"{'':10} {app.requests.total()} requests, {read:.2f} MB read, {written:.2f} MB written"
        )


if __name__ == "__main__":
    main()
