"""Runs as people start them: typed, scheduled, two at once; cancelled, crashed, restarted."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from tests.conftest import S3Server
from tests.deployments.conftest import LOCAL, Endless, Machine, wait_for
from tests.flows.conftest import DEMO, DEMO_MODEL, read_manifest, write_manifest


def test_nightly_runs_are_scheduled(machine: Machine) -> None:
    body = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    runs = wait_for(lambda: machine.api("/flow_runs/filter", body))
    assert len(runs) >= 3
    times = [datetime.fromisoformat(run["expected_start_time"]) for run in runs]
    assert {(time.hour, time.minute) for time in times} == {(2, 0)}
    assert not any(run["parameters"] for run in runs)


def test_no_path_of_this_machine_is_deployed(machine: Machine) -> None:
    for name in ("nightly", "on-demand"):
        deployment = machine.api(f"/deployments/name/tag-videos/{name}")
        assert deployment["entrypoint"] == "flows/tag.py:tag_videos"
        told = (deployment["path"], deployment["pull_steps"], deployment["job_variables"])
        assert str(Path.cwd()) not in json.dumps(told)


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [("batch_size=0", "less than the minimum"), ('manifests="x"', "not of type 'array'")],
)
def test_wrong_parameters_are_refused(machine: Machine, parameter: str, reason: str) -> None:
    arguments = ("-p", 'manifests=["m.jsonl"]', "-p", parameter)
    done = machine.prefect("deployment", "run", "tag-videos/nightly", *arguments)
    assert done.returncode != 0
    assert reason in " ".join((done.stdout + done.stderr).split())


def test_typed_then_again_from_the_cache(machine: Machine, s3: S3Server) -> None:
    bucket = s3.bucket()
    url = f"{bucket}/manifest.jsonl"
    s3.put(url, (DEMO / "manifest.jsonl").read_bytes())
    for video in (DEMO / "videos").iterdir():
        s3.put(f"{bucket}/videos/{video.name}", video.read_bytes())
    typed = ["-p", f'manifests=["{url}"]', "-p", f"hf_ast={DEMO_MODEL}", "-p", f"cache={bucket}/c"]
    done = machine.prefect("deployment", "run", "tag-videos/nightly", *typed)
    assert done.returncode == 0, done.stdout
    run = next(line.split()[-1] for line in done.stdout.splitlines() if "UUID" in line)
    assert machine.wait(run) == ("COMPLETED", "Completed")
    tagged = s3.get(url)
    assert all("video_audio_tags" in json.loads(line) for line in tagged.splitlines())

    again = machine.start(
        "on-demand", manifests=[url], hf_ast=DEMO_MODEL, cache=f"{bucket}/c", retag=True
    )
    assert machine.wait(again) == ("COMPLETED", "Completed")
    expected = {("extract", "Cached"): 1, ("tag", "Cached"): 1, ("merge", "Completed"): 1}
    wait_for(lambda: _ended_tasks(machine, again) == expected)  # the server writes them in batches
    assert s3.get(url) == tagged


def test_the_example_of_the_readme_runs_a_deployment(machine: Machine, demo: Path) -> None:
    page = (LOCAL.parent / "README.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
    example = example.replace("s3://bucket/manifests/new.jsonl", str(demo))
    example = example.replace('"max_failure_rate"', f'"hf_ast": {DEMO_MODEL!r}, "max_failure_rate"')
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=machine.elsewhere,
        env=machine.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("Completed")
    assert all("video_audio_tags" in sample for sample in read_manifest(demo))


def test_second_night_is_cancelled_and_a_cancelled_one_goes_on(
    machine: Machine, endless: Endless
) -> None:
    parameters = {"manifests": [str(endless.folder)], "hf_ast": DEMO_MODEL}
    parameters["cache"] = str(endless.folder / "cache")
    before = endless.first.read_bytes()
    run = machine.start("nightly", **parameters)
    # Some videos are tagged, and the run waits for one that does not come.
    wait_for(lambda: list((endless.folder / "cache" / "scores-1").glob("*.pack")))
    second = machine.start("nightly", **parameters)
    assert machine.wait(second) == ("CANCELLED", "Cancelled")
    assert machine.state_of(run) == ("RUNNING", "Running")

    machine.cancel(run)
    assert machine.wait(run) == ("CANCELLED", "Cancelled")
    assert endless.first.read_bytes() == before
    known = len(list((endless.folder / "cache" / "clips-3").glob("*/*")))
    assert known > 0

    endless.opened.set()
    third = machine.start("nightly", **parameters)
    assert machine.wait(third) == ("COMPLETED", "Partial")
    assert {tuple(s["video_audio_tags"]) for s in read_manifest(endless.first)} == {
        ("Beep, bleep",)
    }
    summary = machine.api(f"/flow_runs/{third}")["state"]["message"]
    assert f"{known} cached" in summary


def test_a_failed_run_says_one_sentence_and_keeps_the_name_that_was_typed(
    machine: Machine, tmp_path: Path
) -> None:
    """Nothing of Prefect's own, and no traceback, in what a worker writes of it."""
    log = machine.state / "logs" / "worker.log"
    before = log.stat().st_size
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["gone.mp4"]}])
    parameters = ("-p", f'manifests=["{manifest}"]', "-p", f"hf_ast={DEMO_MODEL}")
    for typed, more, expected, sentence in [
        ("sunday-again", (), "TooManyFailures", "1 of 1 sample to tag failed (100%)"),
        ("no-device", ("-p", "device=cuda:7"), "Misconfigured", "cuda:7"),
    ]:
        names = ("--flow-run-name", typed)
        done = machine.prefect(
            "deployment", "run", "tag-videos/on-demand", *names, *parameters, *more
        )
        assert done.returncode == 0, done.stdout
        run = next(line.split()[-1] for line in done.stdout.splitlines() if "UUID" in line)
        assert machine.wait(run) == ("FAILED", expected)
        told = machine.api(f"/flow_runs/{run}")
        assert told["name"] == typed
        assert sentence in told["state"]["message"]
    wait_for(lambda: not _processes_of_runs(machine))
    written = log.read_bytes()[before:].decode()
    for expected in ("TooManyFailures('1 of 1 sample to tag failed", "Misconfigured('"):
        assert f"Finished in state {expected}" in written
    for unwanted in ("Traceback", "TypeError", "unexpected exception"):
        assert unwanted not in written


def test_a_run_that_dies_is_crashed(machine: Machine, endless: Endless) -> None:
    run = machine.start("on-demand", manifests=[str(endless.folder)], hf_ast=DEMO_MODEL)
    machine.wait(run, {"RUNNING"})
    [process] = _processes_of_runs(machine)
    os.kill(process, signal.SIGKILL)
    assert machine.wait(run) == ("CRASHED", "Crashed")


@pytest.mark.slow
def test_down_leaves_no_run_running(machine: Machine, endless: Endless) -> None:
    run = machine.start("on-demand", manifests=[str(endless.folder)], hf_ast=DEMO_MODEL)
    machine.wait(run, {"RUNNING"})
    assert machine.local("down").returncode == 0
    assert machine.local("status").returncode == 1
    port = machine.url.rpartition(":")[2]
    assert machine.local("up", "--port", port).returncode == 0
    assert machine.state_of(run) == ("CRASHED", "Crashed")
    assert machine.local("status").returncode == 0


def _ended_tasks(machine: Machine, run: str) -> Counter[tuple[str, str]]:
    tasks = machine.of_run("task_runs", run)
    return Counter((task["name"].split()[0], task["state_name"]) for task in tasks)


def _processes_of_runs(machine: Machine) -> list[int]:
    worker = (machine.state / "worker.pid").read_text()
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", worker], capture_output=True, text=True, check=False
    )
    lines = listed.stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "prefect.engine" in line]
