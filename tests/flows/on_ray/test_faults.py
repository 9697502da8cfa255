"""Whatever dies, the manifests are those of a run without Ray, byte for byte."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

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
