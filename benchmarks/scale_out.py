"""What Ray and Prefect cost: ``python -m benchmarks.scale_out [--nodes 1,2,4] [--units N]``.

Units that only sleep, through the flow's own pipeline and a real Prefect server, on simulated
clusters on this machine, each node with a declared GPU: the share of the ideal time, the CPU of all
processes, and the driver's memory. The ideal is what the GPUs would take with never a pause between
two units. Before the clock starts, a first run lets some dozen processes start, which here share
the cores of one machine; ``--cold`` leaves that out. With ``--extract 0 --tag 0`` the units are
empty: what is left is what they cost.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Units asleep need no cores: four are extracted on each node, twice what its GPU takes.
os.environ["VIDEO_AUDIO_TAGS_UNIT_CORES"] = "1"

import ray
from prefect import flow
from prefect.testing.utilities import prefect_test_harness
from ray.cluster_utils import Cluster

from flows.pipeline import tag_units
from tasks.labels import TagOptions
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
        def load(self, work: Work, tagger: Tagger) -> str:
            return ""

        def tag(
            self, work: Work, tagger: Tagger, *units: ExtractedUnit
        ) -> tuple[TaggedUnit, float]:
            time.sleep(seconds)
            scores = {one.video.url: VideoScores.empty() for one in units[0].extracted}
            return TaggedUnit(scores), seconds

    return Sleeping


class Measured:
    """What a run takes from now on."""

    def __init__(self) -> None:
        self._begun, self._used, self._held = time.monotonic(), cpu(), memory()
        self._ended: list[float] = []
        self._most = self._held

    def note(self) -> None:
        """Note that a unit has ended."""
        self._ended.append(time.monotonic() - self._begun)
        self._most = max(self._most, memory())

    def end(self) -> None:
        """Read the clocks of all processes, while they are there."""
        self._spent = {who: seconds - self._used[who] for who, seconds in cpu().items()}

    def describe(self, nodes: int, units: int, extract: float, tag: float) -> str:
        wall, start = self._ended[-1], self._ended[nodes - 1]  # each GPU has ended its first unit
        ideal, then = extract + units * tag / nodes, (units - nodes) * tag / nodes
        each = {who: 1000 * seconds / units for who, seconds in sorted(self._spent.items())}
        costs = ", ".join(f"{who} {spent:.0f}" for who, spent in each.items())
        return (
            f"{nodes} nodes, {units} units: {wall:.1f} s, ideal {ideal:.1f} s ({ideal / wall:.0%},"
            f" {1000 * (wall - ideal) / units:.0f} ms more a unit); without the start"
            f" {wall - start:.1f} s, ideal {then:.1f} s ({then / (wall - start):.0%});"
            f" CPU a unit in ms: {sum(each.values()):.0f} ({costs});"
            f" the driver grew by {self._most - self._held:.0f} MB"
        )


def run_units(
    executor: on_ray.RayExecutor,
    tagger: Tagger,
    units: int,
    note: Callable[[], object] = lambda: None,
) -> None:
    """Send so many units through the flow's pipeline."""
    with closing(Videos()) as videos:
        videos.add(0, [(row, f"{row}.mp4") for row in range(units * UNIT)])
        for _ in tag_units(videos, tagger, executor, TagOptions()):
            note()


def measure(nodes: int, units: int, extract: float, tag: float, cold: bool) -> None:
    """Run so many units for each node, and print what it took."""
    cluster: Any = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8},
    )
    for _ in range(nodes):
        cluster.add_node(num_cpus=6, num_gpus=1, object_store_memory=10**8)
    asleep: Any = on_ray
    asleep.extract, asleep.ModelActor = sleeping_extraction(extract), sleeping_actor(tag)
    asleep.GPU_UNIT = UNIT

    @flow(name="scale-out")
    def run() -> Measured:
        with closing(on_ray.RayExecutor(str(cluster.address), None, print)) as executor:
            tagger = executor.find(TaggerRequest(CheckpointId(MODEL)))
            executor.start(tagger)
            if not cold:
                run_units(executor, tagger, 2 * executor.units_in_flight)
            measured = Measured()
            run_units(executor, tagger, nodes * units, measured.note)
            measured.end()
            return measured

    print(run().describe(nodes, nodes * units, extract, tag), flush=True)
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
    parser.add_argument("--cold", action="store_true", help="count the start of the processes")
    options = parser.parse_args()
    name, _, value = MARK.partition("=")
    os.environ[name] = value
    with prefect_test_harness(server_startup_timeout=300):
        for nodes in map(int, options.nodes.split(",")):
            measure(nodes, options.units, options.extract, options.tag, options.cold)


if __name__ == "__main__":
    main()
