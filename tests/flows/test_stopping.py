"""A run that is told to stop ends within seconds, the server knows, and nothing stays behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.settings import PREFECT_API_URL

from tests.flows.conftest import DEMO, DEMO_MODEL, write_manifest

FLOW = Path(__file__).parents[2] / "flows" / "tag.py"
PATIENCE_SECONDS = 60


def wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


@dataclass
class Run:
    """A run of the command line, with folders of its own for what it keeps.

    Attributes:
        process: the run.
        folder: holds the manifest, and ``tmp``, its folder for temporary files.
        moments: what can be seen of it from outside, in the order in which it happens.
    """

    process: subprocess.Popen[bytes]
    folder: Path

    def children(self) -> Iterator[str]:
        """The processes that it has started."""
        for listed in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            yield from listed.read_text().split()

    def state(self) -> tuple[str, int]:
        """Its state on the server, and how many runs there are of that name."""
        named = FlowRunFilter(name=FlowRunFilterName(any_=[str(self.folder / "m.jsonl")]))
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(flow_run_filter=named)
        [state] = [run.state for run in runs] or [None]
        return ("none" if state is None else state.name or "", len(runs))


@pytest.fixture
def start(prefect_server: None, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts runs that take long, each in a folder of its own."""
    runs: list[Run] = []

    def run(*options: str, temporary_server: bool = False) -> Run:
        folder = tmp_path / str(len(runs))
        (folder / "tmp").mkdir(parents=True)
        names = [f"{number}.mp4" for number in range(300)]
        for name in names:  # each another file, for the cache
            (folder / name).write_bytes((DEMO / "videos" / "beeps.mp4").read_bytes())
        write_manifest(folder / "m.jsonl", [{"videos": [name]} for name in names])
        environment = {key: value for key, value in os.environ.items() if "PREFECT" not in key}
        if not temporary_server:
            environment["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        environment |= {
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "TMPDIR": str(folder / "tmp"),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        with (folder / "stderr").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, FLOW, str(folder / "m.jsonl"), "--hf-ast", DEMO_MODEL, *options],
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        runs.append(Run(process, folder))
        return runs[-1]

    yield run
    for one in runs:
        one.process.kill()
        one.process.wait()


def stop_once_it_works(run: Run, sign: signal.Signals, seconds: float) -> None:
    """Send a signal so many seconds after the first decoder process has started; it must end, and
    the server know it."""
    wait_for(lambda: any(run.children()))
    time.sleep(seconds)
    run.process.send_signal(sign)
    status = run.process.wait(timeout=20)
    assert status in (128 + sign, -sign)
    assert run.state() == ("Crashed", 1)
    said = (run.folder / "stderr").read_text()
    assert said.count(f"Stopped by {sign.name}: the next run goes on from here.\n") == 1
    assert "Traceback" not in said
    assert "Task run" not in said


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_the_server_knows_that_a_run_was_stopped(
    start: Callable[..., Run], sign: signal.Signals
) -> None:
    stop_once_it_works(start(), sign, 0.3)


def test_without_a_cache_nothing_stays_behind(start: Callable[..., Run]) -> None:
    run = start("--no-cache")
    stop_once_it_works(run, signal.SIGTERM, 0.1)
    assert not (run.folder / "cache").exists()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_no_temporary_server_goes_on(start: Callable[..., Run], sign: signal.Signals) -> None:
    run = start("--no-cache", temporary_server=True)
    wait_for(lambda: any("tasks.audio.worker" in command for command in _commands(run.folder)))
    run.process.send_signal(sign)
    assert run.process.wait(timeout=30) in (128 + sign, -sign)
    wait_for(lambda: not list(_commands(run.folder)))


def _commands(folder: Path) -> Iterator[str]:
    """The commands of the processes whose environment names this folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended, or another user's
            if os.fsencode(folder) in (process / "environ").read_bytes():
                yield (process / "cmdline").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(10))
def test_every_time(start: Callable[..., Run], number: int) -> None:
    run = start("--no-cache")
    stop_once_it_works(run, signal.SIGTERM, 0.2 * number)
    assert not (run.folder / "cache").exists()
