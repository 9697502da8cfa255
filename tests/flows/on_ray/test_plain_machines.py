"""The commands of deployments/ray.md, on this machine alone: the head and one more node by ``ray
start``, with a token, and a worker of Prefect whose runs join them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import ray

from tests.deployments.conftest import Machine, free_port, machine_in
from tests.deployments.test_pages import ROOT, blocks
from tests.flows.conftest import DEMO_MODEL
from tests.flows.on_ray.conftest import (
    MARK,
    OF_RUNS,
    Data,
    command,
    kill_marked,
    many,
    marked,
    wait_for,
    written,
)

pytestmark = pytest.mark.slow

LIMIT_SECONDS = 300


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """What must stand in the environment of whoever is on a machine of the cluster."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a short name: Ray has its sockets in there
    environment = {
        "HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        MARK: uuid4().hex,
    }
    try:
        start(environment)
        yield environment
    finally:
        kill_marked(environment[MARK])  # `ray stop` would end the clusters of others, too
        shutil.rmtree(folder, ignore_errors=True)


def start(environment: dict[str, str]) -> None:
    """Type what the page says."""
    page = ROOT / "deployments" / "ray.md"
    [block] = [one for one in blocks(page) if one.text.startswith("ray get-auth-token")]
    library: Any = ray.util  # it has no types
    host = str(library.get_node_ip_address())
    port = str(free_port())
    lines = [line.partition("#")[0].strip() for line in block.text.splitlines()]
    assert "export RAY_AUTH_MODE=token" in lines
    for line in lines:
        if not line.startswith(("ray get-auth-token", "ray start")):
            continue
        typed = line.replace("HEAD", host).replace("6379", port)
        if "start" in line:
            gpus = 0 if "--head" in line else 1
            typed += f" --num-cpus=2 --num-gpus={gpus} --object-store-memory={150 << 20}"
        done = subprocess.run(
            typed,
            shell=True,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == 0, f"{typed}: {done.stdout}"


@pytest.fixture(scope="module")
def machine(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A server and a worker on the cluster's machine."""
    with machine_in(tmp_path_factory.mktemp("machine"), **cluster) as machine:
        yield machine


def test_auto(
    cluster: dict[str, str], data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    options = ["--video-root", str(data.folder), "--output", "out", "--cache", "cache"]
    options += [str(data.manifests), "--max-failure-rate", "1"]
    with command(tmp_path, "auto", *options) as process:
        said, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1, said  # gone.mp4
    assert "2 machines, 1 GPU" in said
    assert written(tmp_path / "out") == data.expected


def test_another_token(cluster: dict[str, str]) -> None:
    program = "from tasks.on_ray.connecting import connect; connect('auto')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | cluster | {"RAY_AUTH_TOKEN": "0" * 64},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert "asks for a token that this machine does not have" in done.stderr


def test_a_run_of_a_deployment(machine: Machine, data: Data, tmp_path: Path) -> None:
    parameters = {
        "manifests": json.dumps([str(data.manifests)]),
        "ray": "auto",
        "cache": str(tmp_path / "cache"),
        "hf_ast": DEMO_MODEL,
        "video_root": str(data.folder),
        "output": str(tmp_path / "out"),
        "max_failure_rate": "1",
    }
    typed = [option for name, value in parameters.items() for option in ("-p", f"{name}={value}")]
    done = machine.prefect("deployment", "run", "tag-videos/on-demand", *typed)
    assert done.returncode == 0, done.stdout
    run = next(line.split()[-1] for line in done.stdout.splitlines() if "UUID" in line)
    assert machine.wait(run) == ("COMPLETED", "Partial")
    assert written(tmp_path / "out") == data.expected


def test_a_run_that_is_cancelled_in_the_ui_leaves_nothing_on_the_cluster(
    machine: Machine, cluster: dict[str, str], tmp_path: Path
) -> None:
    parameters = {"hf_ast": DEMO_MODEL, "no_cache": True, "ray": "auto"}
    run = machine.start("on-demand", manifests=[many(tmp_path)], **parameters)
    wait_for(lambda: marked(cluster[MARK], "ray::ModelActor.tag"), LIMIT_SECONDS)
    machine.cancel(run)
    wait_for(lambda: not marked(cluster[MARK], *OF_RUNS), seconds=60)
    assert machine.wait(run) == ("CANCELLED", "Cancelled")
