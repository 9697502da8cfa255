"""Whatever dies, the manifests are those of a run without Ray, byte for byte."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.on_ray import executor
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

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

CHANCE = random.Random(0)


def kill(cluster: SimulatedCluster, title: str) -> None:
    """Kill a process of the cluster at work, as the system does when memory runs out."""
    process = CHANCE.choice(wait_for(lambda: cluster.processes(title)))
    os.kill(process.pid, signal.SIGKILL)


def nothing(cluster: SimulatedCluster) -> None:
    """All is well."""


def extraction(cluster: SimulatedCluster) -> None:
    kill(cluster, "ray::extract")


def model(cluster: SimulatedCluster) -> None:
    kill(cluster, "ray::ModelActor")


def index(cluster: SimulatedCluster) -> None:
    kill(cluster, "ray::ScoreIndex")


@pytest.mark.parametrize("die", [nothing, extraction, model, index], ids=lambda f: f.__name__)
def test_a_process_that_dies_changes_nothing(
    cluster: SimulatedCluster,
    data: Data,
    tmp_path: Path,
    die: Callable[[SimulatedCluster], None],
) -> None:
    check(cluster, data, tmp_path, die)


def test_a_machine_that_dies_changes_nothing(data: Data, tmp_path: Path) -> None:
    with simulated(nodes=2) as cluster:
        check(cluster, data, tmp_path, SimulatedCluster.kill_node)


def test_the_processes_of_lost_machines_take_no_cores_from_extraction(tmp_path: Path) -> None:
    """Ray starts them again on the machines that are left, where all cores would be theirs."""
    with simulated(nodes=0) as cluster:
        for _ in range(3):
            cluster.add_node(gpus=0)
        options = [many(tmp_path, videos=2_000), "--no-cache"]
        with command(tmp_path, cluster.address, *options) as process:
            wait_for(lambda: len(cluster.processes("ray::ModelActor.tag")) == 3)
            cluster.kill_node()
            cluster.kill_node()
            said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert "the cluster changed: 2 machines, 1 tagging process" in said


def large_is_lost(cluster: SimulatedCluster, now: Callable[[], bool]) -> None:
    """Lose the machine whose size decided how many cores the model has."""
    wait_for(now)
    cluster.kill_node()


@pytest.mark.parametrize("when", ["at the start", "at work"])
def test_the_loss_of_the_largest_machine_changes_nothing(
    data: Data, tmp_path: Path, when: str
) -> None:
    """No machine that is left has as many cores as the processes with the model had."""
    with simulated(nodes=0) as cluster:
        cluster.add_node(gpus=0, cores=2)
        cluster.add_node(gpus=0, cores=8)

        def now() -> bool:
            if when == "at the start":
                return bool(cluster.processes("ray::ModelActor"))
            return packs(tmp_path / "cache") > 0

        with meanwhile(lambda: large_is_lost(cluster, now)):
            state = run(data, tmp_path / "out", tmp_path / "cache", cluster.address)
    assert written(tmp_path / "out") == data.expected
    assert "2 machines, 1 tagging process" in facts(state)["computed_on"]


def test_the_only_gpu_is_lost_and_another_joins(data: Data, tmp_path: Path) -> None:
    with simulated(nodes=1) as cluster, tag_command(data, tmp_path, cluster.address) as process:
        wait_for(lambda: packs(tmp_path / "cache") > 0)
        cluster.kill_node()
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        assert any("No machine of the Ray cluster has a GPU" in line for line in lines)
        cluster.add_node()
        said = process.stdout.read()
        assert process.wait() == 1, said  # a video is missing
    assert written(tmp_path / "out") == data.expected


def test_the_only_gpu_is_lost_for_good(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "MAX_SHORT_SECONDS", 5.0)
    with simulated(nodes=1) as cluster:

        def fault() -> None:
            wait_for(lambda: packs(tmp_path / "cache") > 0)
            cluster.kill_node()

        with meanwhile(fault):
            state = run(data, tmp_path / "out", tmp_path / "cache", cluster.address)
    assert state.name == "Unfinished"
    assert str(state.message).startswith("No machine of the Ray cluster has a GPU")
    # The next run, without the cluster, reads no video that is in the cache.
    state = run(data, tmp_path / "out", tmp_path / "cache", ray=None)
    assert written(tmp_path / "out") == data.expected
    assert facts(state)["cached"] > 0


def test_the_head_is_lost_while_the_processes_start(data: Data, tmp_path: Path) -> None:
    with simulated(nodes=1) as cluster, tag_command(data, tmp_path, cluster.address) as process:
        wait_for(lambda: cluster.processes("ray::ModelActor"))
        cluster.kill_head()
        said, _ = process.communicate(timeout=90)
    assert process.returncode == 4, said
    assert "error: The head of the Ray cluster has not answered for 45 seconds" in said or (
        "Unfinished: The head of the Ray cluster has not answered for 45 seconds" in said
    )


def check(
    cluster: SimulatedCluster, data: Data, folder: Path, die: Callable[[SimulatedCluster], None]
) -> None:
    # Extraction is ahead of the packs, and may have ended when the third is there.
    after = 0 if die is extraction else CHANCE.randint(1, 3)

    def fault() -> None:
        wait_for(lambda: packs(folder / "cache") >= after)
        die(cluster)

    with meanwhile(fault):
        state = run(data, folder / "out", folder / "cache", cluster.address)
    assert written(folder / "out") == data.expected
    assert "GPU" in facts(state)["computed_on"]
    assert wait_for(lambda: not cluster.of_runs(), seconds=10)
