"""What Ray and Prefect cost: ``python -m benchmarks.scale_out [--nodes 1,2,4] [--units N]``.

Units that only sleep, through the flow's own pipeline and a real Prefect server, on simulated
clusters on this machine, each node with a declared GPU: the share of the ideal time, the CPU of all
processes, and the driver's memory. The ideal is what the GPUs would take with never a pause between
two units. With ``--extract 0 --tag 0`` the units are empty: what is left is what they cost.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Units asleep need no cores: two are extracted on each node, so that its GPU need not wait.
os.environ["VIDEO_AUDIO_TAGS_UNIT_CORES"] = "1"

import ray
from prefect import flow
from prefect.testing.utilities import prefect_test_harness
from ray.cluster_utils import Cluster

from flows.pipeline import tag_units
from tasks.labels import Answer
from tasks.model import CheckpointId
from tasks.on_ray import executor as on_ray
from tasks.on_ray.remote import ModelActor, Work
from tasks.scores import VideoScores
from tasks.tagger import Tagger, TaggerRequest
from tasks.units import ExtractedUnit, ExtractedVideo, TaggedUnit
from tasks.videos import Videos

MODEL = "demo/model"
UNIT = 8
# All processes that are started here inherit it.
MARK = f"VIDEO_AUDIO_TAGS_BENCHMARK={uuid4().hex}"


def sleeping_extraction(seconds: float) -> Any:
    """Take the place of the extraction of a unit."""

    def extract(work: Work, urls: Sequence[str], tagger: Tagger) -> tuple[Any, ExtractedUnit]:
        from tasks.audio.clips import Clips
        from tasks.identify import Video
        from tasks.storage import Identity

        time.sleep(seconds)
        videos = [ExtractedVideo(Video(url, Identity(1, "1")), Clips()) for url in urls]
        unit = ExtractedUnit(extracted=videos)
        return (unit, seconds), unit

    return extract


def sleeping_actor(seconds: float) -> type[ModelActor]:
    """Take the place of the process with the model."""

    class Sleeping(ModelActor):
        def load(self, work: Work, tagger: Tagger) -> None:
            pass

        def tag(
            self, work: Work, tagger: Tagger, *units: ExtractedUnit
        ) -> tuple[TaggedUnit, float]:
            time.sleep(seconds)
            scores = {one.video.url: VideoScores.empty() for one in units[0].extracted}
            return TaggedUnit(scores), seconds

    return Sleeping


def measure(nodes: int, units: int, extract: float, tag: float) -> None:
    """Run so many units for each node, and print what it took."""
    cluster: Any = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8},
    )
    for _ in range(nodes):
        cluster.add_node(num_cpus=4, num_gpus=1, object_store_memory=10**8)
    asleep: Any = on_ray
    asleep.extract, asleep.ModelActor = sleeping_extraction(extract), sleeping_actor(tag)
    asleep.GPU_UNIT = UNIT

    @flow(name="scale-out")
    def run() -> tuple[float, dict[str, float], float]:
        with closing(Videos()) as videos:
            videos.add(0, [(row, f"{row}.mp4") for row in range(nodes * units * UNIT)])
            with closing(on_ray.RayExecutor(str(cluster.address), None, print)) as executor:
                request = TaggerRequest(CheckpointId(MODEL))
                tagger = executor.find(request)
                executor.start(tagger)
                begun, used, held = time.monotonic(), cpu(), memory()
                most = held
                for _ in tag_units(videos, tagger, executor, Answer()):
                    most = max(most, memory())
                each = {who: seconds - used[who] for who, seconds in cpu().items()}
                return time.monotonic() - begun, each, most - held

    wall, used, grown = run()
    ideal, all_units = extract + units * tag, nodes * units
    each = ", ".join(f"{who} {1000 * used[who] / all_units:.0f}" for who in sorted(used))
    print(
        f"{nodes} nodes, {all_units} units: {wall:.1f} s, ideal {ideal:.1f} s ({ideal / wall:.0%},"
        f" {1000 * (wall - ideal) / all_units:.0f} ms more a unit);"
        f" CPU a unit in ms: {each}; the driver grew by {grown:.0f} MB",
        flush=True,
    )
    ray.shutdown()
    cluster.shutdown()


def cpu() -> dict[str, float]:
    """Seconds of CPU so far: of this process, its Prefect server, the workers, and Ray itself."""
    used: dict[str, float] = defaultdict(float)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() not in (folder / "environ").read_bytes() and folder.name != OWN:
                continue
            title = (folder / "cmdline").read_bytes().decode(errors="replace")
            ticks = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        except OSError:
            continue
        used[_who(folder.name, title)] += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return used


OWN = str(os.getpid())


def _who(process: str, title: str) -> str:
    if process == OWN:
        return "driver"
    if "prefect" in title:
        return "server"
    ours = ("ray::Sleeping", "ray::extract", "ray::IDLE")
    return "workers" if title.startswith(ours) else "Ray itself"


def memory() -> float:
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", default="1,2,4")
    parser.add_argument("--units", type=int, default=12, help="for each node")
    parser.add_argument("--extract", type=float, default=6.0, help="seconds asleep")
    parser.add_argument("--tag", type=float, default=3.0, help="seconds asleep")
    options = parser.parse_args()
    name, _, value = MARK.partition("=")
    os.environ[name] = value
    with prefect_test_harness(server_startup_timeout=300):
        for nodes in map(int, options.nodes.split(",")):
            measure(nodes, options.units, options.extract, options.tag)


if __name__ == "__main__":
    main()
