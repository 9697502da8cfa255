"""What Ray and Prefect cost: ``python -m benchmarks.scale_out [--nodes 1,2,4] [--units N]``.

Units that only sleep, through the flow's own pipeline, on simulated clusters on this machine, each
node with a declared GPU: the share of the ideal time, and the CPU of the driver and its memory.
The ideal is what the GPUs would take with never a pause between two units.
"""

import argparse
import os
import resource
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

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
from tasks.plan import Videos
from tasks.scores import VideoScores
from tasks.tagger import Tagger, TaggerRequest
from tasks.units import ExtractedUnit, ExtractedVideo, TaggedUnit

MODEL = "demo/model"
UNIT = 8


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
    def run() -> tuple[float, float]:
        with closing(Videos()) as videos:
            videos.add(0, [(row, f"{row}.mp4") for row in range(nodes * units * UNIT)])
            with closing(on_ray.RayExecutor(str(cluster.address), None, print)) as executor:
                request = TaggerRequest(CheckpointId(MODEL))
                tagger = executor.load(request)
                begun, used = time.monotonic(), cpu()
                for _ in tag_units(videos, tagger, executor, Answer()):
                    pass
                return time.monotonic() - begun, cpu() - used

    wall, used = run()
    ideal = extract + units * tag
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{nodes} nodes, {nodes * units} units: {wall:.1f} s, ideal {ideal:.1f} s"
        f" ({ideal / wall:.0%}); driver {1000 * used / (nodes * units):.0f} ms CPU a unit,"
        f" {memory:.0f} MB at most; {1000 * (wall - ideal) / units:.0f} ms beside each unit's own",
        flush=True,
    )
    ray.shutdown()
    cluster.shutdown()


def cpu() -> float:
    """Seconds of CPU of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", default="1,2,4")
    parser.add_argument("--units", type=int, default=12, help="for each node")
    parser.add_argument("--extract", type=float, default=6.0, help="seconds asleep")
    parser.add_argument("--tag", type=float, default=3.0, help="seconds asleep")
    options = parser.parse_args()
    with prefect_test_harness(server_startup_timeout=300):
        for nodes in map(int, options.nodes.split(",")):
            measure(nodes, options.units, options.extract, options.tag)


if __name__ == "__main__":
    main()
