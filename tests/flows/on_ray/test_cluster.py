"""A run on a cluster: machines that join, units that are slow, runs that end early or are two."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audio.media import melody, write_media
from tests.flows.conftest import DEMO, write_manifest
from tests.flows.on_ray.conftest import (
    Data,
    SimulatedCluster,
    command,
    facts,
    many,
    meanwhile,
    packs,
    run,
    simulated,
    tag_command,
    wait_for,
    written,
)
from tests.web import serving

# A process that has held a cluster is not one to run the other tests in.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def test_a_machine_that_joins_is_used_and_each_gpu_has_one_process(tmp_path: Path) -> None:
    there: set[int] = set()
    at_work: set[int] = set()
    with (
        simulated(nodes=1) as cluster,
        # A machine takes ten seconds to join: there must be work for longer.
        command(tmp_path, cluster.address, many(tmp_path, 4_000), "--no-cache") as process,
    ):
        wait_for(lambda: cluster.processes("ray::ModelActor.tag"))
        cluster.add_node()
        while process.poll() is None:
            for actor in cluster.processes("ray::ModelActor"):
                there.add(actor.pid)
                if actor.title.startswith("ray::ModelActor.tag"):
                    at_work.add(actor.pid)
            time.sleep(0.05)
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert len(at_work) == len(there) == 2
    assert "the cluster changed: 3 machines, 2 GPUs" in said


def test_a_run_that_is_stopped_leaves_nothing_on_the_cluster(
    cluster: SimulatedCluster, tmp_path: Path
) -> None:
    with command(tmp_path, cluster.address, many(tmp_path), "--no-cache") as process:
        wait_for(lambda: cluster.processes("ray::ModelActor.tag"))
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
    assert process.returncode in (128 + signal.SIGTERM, -signal.SIGTERM), said
    assert wait_for(lambda: not cluster.of_runs(), seconds=10)


def test_two_runs_on_one_cluster(cluster: SimulatedCluster, data: Data, tmp_path: Path) -> None:
    with (
        tag_command(data, tmp_path / "a", cluster.address) as one,
        tag_command(data, tmp_path / "b", cluster.address) as other,
    ):
        for process in (one, other):
            said, _ = process.communicate(timeout=300)
            assert process.returncode == 1, said  # gone.mp4
    for name in ("a", "b"):
        assert written(tmp_path / name / "out") == data.expected


def test_windows_scores_and_times_are_those_of_a_run_without_ray(
    cluster: SimulatedCluster, tmp_path: Path
) -> None:
    beeps = melody(25, 16_000)
    noise = np.random.default_rng(0).normal(0, 0.2, (len(beeps), 20 * 16_000))
    sound = np.concatenate([beeps, noise.astype(np.float32)], 1)
    write_media(tmp_path / "long.mkv", sound, 16_000, "pcm_s16le")
    names = ["long.mkv", *(str(path) for path in sorted((DEMO / "videos").iterdir()))]
    samples = [{"videos": [name]} for name in names]
    data = Data(tmp_path)
    write_manifest(data.manifests / "m.jsonl", samples)
    fields = {"scores_field": "scores", "timeline_field": "times", "provenance_field": "made_by"}
    for output, ray in (("with", cluster.address), ("without", None)):
        run(data, tmp_path / output, None, ray, windows="all", label_map="audioset", **fields)
    found = written(tmp_path / "with")
    assert found == written(tmp_path / "without")
    assert len(json.loads(found["m.jsonl"].splitlines()[0])["times"][0]) > 1


class SlowVideo:
    """A server of one video, which it does not give until it is told to."""

    def __init__(self) -> None:
        self.content = (DEMO / "videos" / "speech.mp4").read_bytes()
        self.released = threading.Event()
        self.asked = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            self.asked.set()
            self.released.wait(100)
        start_response("200 OK", [("Content-Length", str(len(self.content)))])
        return [self.content]


def test_when_the_head_dies_the_run_says_so_and_the_next_one_goes_on(tmp_path: Path) -> None:
    # Without their head the processes go on for a minute: the run may not end before that.
    slow = SlowVideo()
    with serving(slow) as url:
        manifest = Path(many(tmp_path, videos=300))
        manifest.write_text(json.dumps({"videos": [f"{url}/a.mp4"]}) + "\n" + manifest.read_text())
        options = [str(manifest), "--cache", "cache"]
        with simulated(nodes=1) as cluster, command(tmp_path, cluster.address, *options) as process:
            wait_for(lambda: packs(tmp_path / "cache") >= 1)
            cluster.kill_head()
            said, _ = process.communicate(timeout=120)
        slow.released.set()
        assert process.returncode == 4, said
        assert "Unfinished: The head of the Ray cluster has not answered" in said
        assert "Traceback" not in said
        known = packs(tmp_path / "cache")
        with (
            simulated(nodes=2) as cluster,
            command(tmp_path, cluster.address, *options, "--json") as process,
        ):
            said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert json.loads(said.splitlines()[-1])["cached"] >= known


@pytest.mark.parametrize("on_ray", [False, True], ids=["here", "on Ray"])
def test_a_slow_unit_holds_up_nobody(
    request: pytest.FixtureRequest, tmp_path: Path, on_ray: bool
) -> None:
    slow, data = SlowVideo(), Data(tmp_path)
    ray = request.getfixturevalue("cluster").address if on_ray else None
    with serving(slow) as url:
        names = [f"{number}.mp4" for number in range(130)]
        for name in names:
            os.link(DEMO / "videos" / "beeps.mp4", tmp_path / name)
        first = [f"{url}/slow.mp4", *names[:40]]
        for number, videos in enumerate([first, names[40:90], names[90:]]):
            samples = [{"videos": [video]} for video in videos]
            write_manifest(data.manifests / f"{number}.jsonl", samples)

        def release() -> None:
            slow.asked.wait(100)
            # The others are tagged and merged while it waits.
            try:
                wait_for(lambda: set(written(tmp_path / "out")) >= {"2.jsonl"}, seconds=90)
                assert set(written(tmp_path / "out")) == {"1.jsonl", "2.jsonl"}
            finally:
                slow.released.set()

        with meanwhile(release):
            state = run(data, tmp_path / "out", None, ray)
    assert facts(state)["tagged"] == 131
    first_manifest = written(tmp_path / "out")["0.jsonl"].splitlines()
    assert json.loads(first_manifest[0])["video_audio_tags"] == ["Speech"]
