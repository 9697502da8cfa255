"""The same videos with and without Ray: ``python -m benchmarks.two_nodes [FOLDER] [--videos N]``.

Real videos, the demo model and two runs of the command line: one here, one on a simulated cluster
of two nodes with a declared GPU each. Both share this machine's cores, so that CPU tells more than
time. The manifests must be equal byte for byte.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from ray.cluster_utils import Cluster

FLOW = Path(__file__).parents[1] / "flows" / "tag.py"
MODEL = Path(__file__).parents[1] / "demo" / "model"
VIDEOS = Path(__file__).parents[1] / "demo" / "videos"
# All processes that are started here inherit it.
MARK = f"VIDEO_AUDIO_TAGS_BENCHMARK={uuid4().hex}"
_LOOK_SECONDS = 0.2


def cpu(seen: dict[str, float]) -> None:
    """Note how many seconds of CPU each process has used, while it is there."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (folder / "environ").read_bytes():
                ticks = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
                seen[folder.name] = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue


def tag(manifest: Path, output: str, *options: str) -> tuple[float, float, str]:
    """Run once: seconds, seconds of CPU, and what the model computed on."""
    before: dict[str, float] = {}
    cpu(before)
    seen, started = dict(before), time.monotonic()
    command: list[str | Path] = [
        sys.executable,
        FLOW,
        manifest.name,
        "--output",
        output,
        "--hf-ast",
        MODEL,
    ]
    command += ["--no-cache", "--max-failure-rate", "1", "--json", *options]
    with subprocess.Popen(
        command, cwd=manifest.parent, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        while process.poll() is None:
            cpu(seen)
            time.sleep(_LOOK_SECONDS)
        assert process.stdout
        told = json.loads(process.stdout.read().splitlines()[-1])
    wall = time.monotonic() - started
    return wall, sum(seen.values()) - sum(before.values()), str(told["computed_on"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=VIDEOS, help="holds the videos")
    parser.add_argument(
        "--videos", type=int, default=400, help="so many, each file again and again"
    )
    options = parser.parse_args()
    name, _, value = MARK.partition("=")
    os.environ |= {name: value, "RAY_USAGE_STATS_ENABLED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "m.jsonl"
        files = sorted(path for path in options.folder.absolute().iterdir() if path.is_file())
        with manifest.open("w") as lines:
            for number, file in enumerate(islice(cycle(files), options.videos)):
                (Path(folder) / f"{number}{file.suffix}").symlink_to(file)
                lines.write(json.dumps({"videos": [f"{number}{file.suffix}"]}) + "\n")
        cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        for _ in range(2):
            cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=5 * 10**8)
        for output, where in (("here", []), ("on Ray", ["--ray", str(cluster.address)])):
            wall, used, computed_on = tag(manifest, output, *where)
            print(f"{output}: {wall:.1f} s, {used:.1f} s of CPU; {computed_on}", flush=True)
        cluster.shutdown()
        here, there = (
            (Path(folder) / name / "m.jsonl").read_bytes() for name in ("here", "on Ray")
        )
        tagged = sum("video_audio_tags" in json.loads(line) for line in here.splitlines())
        equal = "equal" if here == there else "DIFFERENT"
        print(f"{options.videos} videos, {tagged} tagged; the manifests are {equal}")


if __name__ == "__main__":
    main()
