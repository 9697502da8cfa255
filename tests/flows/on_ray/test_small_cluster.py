"""A small cluster, for CI: a head, and a machine with two declared GPUs. Ray and the run live in
processes of their own, so that nothing of them is left for the tests that follow."""

import os
import signal
from pathlib import Path

import pytest

from tests.flows.on_ray.conftest import Data, packs, simulated, tag_command, wait_for, written

pytestmark = pytest.mark.long

LIMIT_SECONDS = 300


def test_a_process_that_dies_changes_nothing(data: Data, tmp_path: Path) -> None:
    with simulated(nodes=0) as cluster:
        cluster.add_node(gpus=2)
        with tag_command(data, tmp_path, cluster.address) as process:
            wait_for(lambda: packs(tmp_path / "cache") >= 1, LIMIT_SECONDS)
            os.kill(cluster.processes("ray::ModelActor")[0].pid, signal.SIGKILL)
            said, _ = process.communicate(timeout=LIMIT_SECONDS)
        assert process.returncode == 1, said  # gone.mp4
        assert "2 machines, 2 GPUs" in said
        assert written(tmp_path / "out") == data.expected
    assert wait_for(lambda: not cluster.processes(""), seconds=10)
