"""One machine as ``make up`` brings it up, and runs on it."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import S3Server
from tests.flows.conftest import DEMO, write_manifest

LOCAL = Path(__file__).parents[2] / "deployments" / "local.py"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_PATIENCE_SECONDS = 240


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for(condition: Callable[[], Any]) -> Any:
    """What the condition gives as soon as it gives something."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)
    return found


@dataclass
class Machine:
    """A server with its deployments and a worker.

    Attributes:
        state: the folder that holds all of it.
        url: of the UI.
        elsewhere: a folder that is not the project's, to start commands in.
        settings: of Prefect, for all of its parts.
    """

    state: Path
    url: str
    elsewhere: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        outer = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
        home = {"PREFECT_HOME": str(self.state / "prefect"), "PREFECT_API_URL": f"{self.url}/api"}
        return outer | home | self.settings

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The prefect command, typed somewhere on this machine."""
        return subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=self.elsewhere,
            env=self.environment | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    def local(self, action: str, *options: str) -> subprocess.CompletedProcess[str]:
        """``python deployments/local.py``, the target of ``make up`` and ``make down``."""
        return subprocess.run(
            [sys.executable, LOCAL, action, "--state", self.state, *options],
            cwd=self.elsewhere,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def api(self, path: str, body: Any = None) -> Any:
        """Ask the server: GET, or POST when there is something to send."""
        call = httpx.get if body is None else httpx.post
        more: dict[str, Any] = {} if body is None else {"json": body}
        if password := self.settings.get("PREFECT_API_AUTH_STRING"):
            more["auth"] = tuple(password.split(":", 1))

        def ask() -> httpx.Response | None:
            answer = call(f"{self.url}/api{path}", timeout=60, **more)
            # A busy SQLite: Prefect's own clients try again, too.
            return None if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE else answer

        answer = wait_for(ask)
        answer.raise_for_status()
        return answer.json()

    def start(self, deployment: str, **parameters: Any) -> str:
        """Submit a run, as the UI's button does; its id."""
        id = self.api(f"/deployments/name/tag-videos/{deployment}")["id"]
        run = self.api(f"/deployments/{id}/create_flow_run", {"parameters": parameters})
        return str(run["id"])

    def cancel(self, run: str) -> None:
        """What the UI's button does."""
        self.api(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})

    def state_of(self, run: str) -> tuple[str, str]:
        state = self.api(f"/flow_runs/{run}")["state"]
        return state["type"], state["name"]

    def wait(self, run: str, types: set[str] = FINAL) -> tuple[str, str]:
        """The state of a run once its type is one of these."""
        wait_for(lambda: self.state_of(run)[0] in types)
        return self.state_of(run)

    def of_run(self, kind: str, run: str) -> list[dict[str, Any]]:
        """The task_runs or artifacts of a flow run."""
        found = self.api(f"/{kind}/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return list(found)


@contextmanager
def machine_in(folder: Path, **settings: str) -> Iterator[Machine]:
    """``make up``, with these settings of Prefect; then ``make down``."""
    port = free_port()
    machine = Machine(folder / "state", f"http://127.0.0.1:{port}", folder, settings)
    try:
        up = machine.local("up", "--port", str(port))
        assert up.returncode == 0, up.stdout + up.stderr
        yield machine
    finally:
        machine.local("down")


@pytest.fixture(scope="session")
def machine(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the S3 server in its environment."""
    with machine_in(tmp_path_factory.mktemp("machine")) as machine:
        yield machine


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A manifest with the demo's videos."""
    (tmp_path / "videos").symlink_to(DEMO / "videos")
    return Path(shutil.copy(DEMO / "manifest.jsonl", tmp_path))


@pytest.fixture
def gate() -> Iterator[tuple[str, threading.Event]]:
    """The address of a server that does not answer until the event is set, then 404."""
    opened = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            opened.wait(_PATIENCE_SECONDS)
            self.send_error(404)

        do_GET = do_HEAD  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", opened
    opened.set()
    server.shutdown()
    server.server_close()


@dataclass
class Endless:
    """Manifests that keep a run busy until ``opened`` is set.

    Attributes:
        folder: holds both.
        first: its videos are tagged at once.
        second: its video does not come.
        known: how many videos the first has.
    """

    folder: Path
    first: Path
    second: Path
    known: int
    opened: threading.Event


@pytest.fixture
def endless(tmp_path: Path, gate: tuple[str, threading.Event]) -> Endless:
    url, opened = gate
    folder = tmp_path / "manifests"
    names = [f"{number}.mp4" for number in range(40)]
    samples = [{"videos": [name]} for name in names]
    first = write_manifest(folder / "1.jsonl", samples)
    second = write_manifest(folder / "2.jsonl", [{"videos": [f"{url}/never.mp4"]}])
    for name in names:
        (folder / name).symlink_to(DEMO / "videos" / "beeps.mp4")
    return Endless(folder, first, second, len(names), opened)
