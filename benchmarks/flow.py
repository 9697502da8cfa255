"""The flow beside a plain loop, and its memory: ``python benchmarks/flow.py``.

512 distinct ten-second videos, the demo model, a Prefect server that is up, a cold cache; the CPU
of the flow and its decoder processes beside bare PyAV loops over the same videos; then the same
again with everything tagged; then peak memory over 200 and over 2,000 videos.
"""

import json
import logging
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import wave
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from prefect import State
from prefect.testing.utilities import prefect_test_harness

from benchmarks import extraction
from benchmarks.orchestration import cpu_of, cpu_of_this
from flows.tag import tag_videos
from tasks.cache import Cache
from tasks.extract import decoders, extract_unit
from tasks.model import CheckpointId
from tasks.tag import tag_unit
from tasks.tagger import Tagger, TaggerRequest
from tests.audio.media import melody, write_media

MODEL = str(Path(__file__).parents[1] / "demo" / "model")
VIDEOS, BATCH = 512, 16
REQUEST = TaggerRequest(CheckpointId(MODEL), batch_size=BATCH)
FEW, MANY = 200, 2_000


def write_videos(folder: Path) -> Path:
    """Videos of ten seconds, AAC in MP4, and their manifest."""
    for number in range(VIDEOS):
        write_media(folder / f"{number}.mp4", melody(10, 44_100, seed=number))
    return _manifest(folder, [f"{number}.mp4" for number in range(VIDEOS)])


def write_sounds(folder: Path, count: int) -> Path:
    """Ten seconds of noise each, as WAV (quicker to make), and their manifest."""
    for number in range(count):
        noise = np.random.default_rng(number).integers(-9_000, 9_000, 80_000, np.int16)
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 8_000, 0, "NONE", ""))
            file.writeframes(noise.tobytes())
    return _manifest(folder, [f"{number}.wav" for number in range(count)])


def _manifest(folder: Path, names: list[str]) -> Path:
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps({"videos": [name]}) + "\n" for name in names))
    return manifest


def run(manifest: Path, cache: str) -> dict[str, float]:
    """The flow; its summary."""
    state: State[Any] = tag_videos(
        manifests=[str(manifest)],
        hf_ast=MODEL,
        cache=cache,
        batch_size=BATCH,
        return_state=True,
    )
    summary: dict[str, float] = state.result()
    return summary


def plain_loop(manifest: Path, cache: Cache) -> int:
    """The same functions without Prefect: one video after the other, a batch at a time."""
    tagger = Tagger.find(REQUEST)
    paths = [str(manifest.parent / json.loads(line)["videos"][0]) for line in manifest.open()]
    tagged = 0
    for start in range(0, len(paths), BATCH):
        unit = extract_unit(paths[start : start + BATCH], tagger, cache)
        tagged += len(tag_unit(unit, tagger, cache).scores)
    return tagged


def cpu_seconds() -> float:
    """What this process and its decoder processes, at work or ended, have used."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    at_work = sum(map(cpu_of, decoders().pids))
    return cpu_of_this() + at_work + ended.ru_utime + ended.ru_stime


def compare() -> None:
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_videos(Path(folder))
        Tagger.find(REQUEST).load()  # imports and weights
        start = time.perf_counter()
        plain_loop(manifest, Cache(f"{folder}/cache-loop"))
        loop = time.perf_counter() - start
        # On all cores, as the flow works: two threads of one core each take longer than one alone.
        bare = partial(extraction.cpu_seconds, extraction.bare_loop)
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
            bare_cpu = sum(processes.map(bare, Path(folder).glob("*.mp4")))
        start, before = time.perf_counter(), cpu_seconds()
        first = run(manifest, f"{folder}/cache-flow")
        flow, cpu = time.perf_counter() - start, cpu_seconds() - before
        start = time.perf_counter()
        second = run(manifest, f"{folder}/cache-flow")
        again = time.perf_counter() - start
    print(f"plain loop: {loop:.1f} s for {VIDEOS} videos")
    print(f"flow: {flow:.1f} s, {first['tagged']} tagged; ratio {flow / loop:.2f} (at most 1.3)")
    each, alone = (1e3 * seconds / VIDEOS for seconds in (cpu, bare_cpu))
    print(f"CPU a video: {each:.1f} ms (at most 30); a bare PyAV loop {alone:.1f} ms")
    print(f"flow again: {again:.1f} s, {second['bytes_read']} bytes of videos read (0)")


def measure_memory(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(write_sounds(Path(folder), count), f"{folder}/cache")
    # Not by getrusage: its maximum is that of the parent, which it was forked from, if larger.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(int(peak) / 1024)


def peak_mb(count: int) -> float:
    """Of a process of its own."""
    command = [sys.executable, __file__, str(count)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(printed.split()[-1])


def main() -> None:
    logging.disable(logging.INFO)
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    with prefect_test_harness(server_startup_timeout=300):
        if len(sys.argv) > 1:
            measure_memory(int(sys.argv[1]))
            return
        compare()
    few, many = peak_mb(FEW), peak_mb(MANY)
    print(f"peak memory: {few:.0f} MB over {FEW} videos, {many:.0f} MB over {MANY:,}")
    print(f"difference: {many - few:.0f} MB (at most 100)")


if __name__ == "__main__":
    main()
