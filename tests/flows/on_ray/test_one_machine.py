"""``--ray local``: the GPUs of one machine, here two declared ones. Ray lives in other processes
than the tests: it ends its own when something is wrong with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tasks.on_ray.executor import busy
from tests.flows.conftest import DEMO, DEMO_MODEL
from tests.flows.on_ray.conftest import MARK, Data, command, marked, run, wait_for, written

LIMIT_SECONDS = 300


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """Of all processes of the test's cluster."""
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 4, "GPU": 2}')
    monkeypatch.setenv(MARK, mark := uuid4().hex)
    return mark


@contextmanager
def on_ray(data: Data, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    where = ["--video-root", str(data.folder), "--output", "out", "--max-failure-rate", "1"]
    with command(folder, "local", str(data.manifests), *where, *options) as process:
        yield process


@pytest.mark.slow
@pytest.mark.parametrize("windows", ["3", "all"])
def test_windows_scores_and_timelines_are_those_of_a_run_without_ray(
    data: Data, mark: str, tmp_path: Path, windows: str
) -> None:
    fields = {"scores_field": "scores", "timeline_field": "when", "provenance_field": "how"}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in fields.items()]
    with on_ray(data, tmp_path / "ray", "--no-cache", "--windows", windows, *options) as process:
        said, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1, said  # gone.mp4
    assert "1 machine, 2 GPUs: CPU" in said
    assert "waited for" in said
    run(data, tmp_path / "out", cache=None, ray=None, windows=windows, **fields)
    assert written(tmp_path / "ray" / "out") == written(tmp_path / "out") != data.expected


@pytest.mark.slow
def test_a_process_with_the_model_dies(data: Data, mark: str, tmp_path: Path) -> None:
    with on_ray(data, tmp_path, "--cache", "cache") as process:
        at_work = wait_for(lambda: marked(mark, "ray::ModelActor"), LIMIT_SECONDS)
        os.kill(at_work[0].pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1, said
    assert written(tmp_path / "out") == data.expected
    assert wait_for(lambda: not marked(mark, "ray::"))


def test_it_says_what_was_waited_for() -> None:
    assert busy(0.9, 0.2) == "tagging 90% busy, extraction 20%, waited for tagging"
    assert busy(0.3, 1.0) == "tagging 30% busy, extraction 100%, waited for extraction"
    assert "waited for the run's own process" in busy(0.3, 0.2)


@pytest.mark.slow
def test_nothing_reaches_ray_after_the_run_has_left_it(mark: str, tmp_path: Path) -> None:
    """It would start another cluster, and abort over what it is handed of the first."""
    program = f"""
from tasks.cache import Cache
from tasks.errors import ClusterLost
from tasks.model import CheckpointId
from tasks.on_ray import RayExecutor
from tasks.tagger import TaggerRequest

executor = RayExecutor("local", Cache({str(tmp_path)!r}, "tags"), print)
tagger = executor.find(TaggerRequest(CheckpointId({DEMO_MODEL!r})))
executor.start(tagger)
unit = executor.extract([{str(DEMO / "videos" / "beeps.mp4")!r}], tagger)
executor.close()
for call in (lambda: executor.extract(["a"], tagger), lambda: executor.tag(unit, tagger)):
    try:
        call()
    except ClusterLost as error:
        print(error)
"""
    said = subprocess.run(
        [sys.executable, "-c", program],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT_SECONDS,
    )
    assert said.returncode == 0, said.stdout
    assert said.stdout.count("the run has left the cluster") == 2
