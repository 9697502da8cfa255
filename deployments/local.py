"""All that runs on one machine, by one command: server, work pool, deployments and worker.

    python deployments/local.py up      start what is not running, then deploy
    python deployments/local.py status  say what is running
    python deployments/local.py down    stop it; runs under way end as Crashed

Everything that it keeps lies in one folder, ``.state/``: the database (SQLite, or the one that
``PREFECT_SERVER_DATABASE_CONNECTION_URL`` names), the logs, and ``manifests/``, which the nightly
run looks into as long as the variable ``tag_videos_manifests`` says nothing else.

Why not ``prefect.serve()``? It spares the worker's pool, not the server, which is most of what is
done here; its deployments hold this machine's paths, and those of a second machine would be others.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

from service import Service

ROOT = Path(__file__).resolve().parent.parent
POOL = "tag-videos"

# Prefect's own settings, for those that are not in the environment.
_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # older than 90 days
    # One by one, the states of task runs cost the server three times as much.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "5",
    # By these the server knows of a run whose machine has gone: see alerts.py.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_START_SECONDS = 300  # the first start migrates the database, on a slow disk for minutes

_NEXT = """
The UI is at {url}. The deployment tag-videos/nightly runs at
02:00 UTC, tag-videos/on-demand when you say so. What to type next:

  . {bin}/activate
  export PREFECT_API_URL={url}/api
  prefect deployment run tag-videos/on-demand --watch -p 'manifests=["/path/to/manifest.jsonl"]'
  prefect variable set --overwrite tag_videos_manifests '["s3://bucket/manifests/*.jsonl"]'"""


class StartError(Exception):
    """What did not start, and where its log is."""


class Local:
    """The services of one state folder.

    Args:
        state: the folder.
        address: what the server listens on, as host and port; None for where it listens already.
    """

    def __init__(self, state: Path, address: tuple[str, int] | None) -> None:
        self.state = state.resolve()
        self._address_file = self.state / "address.json"
        if address is None and self._address_file.exists():
            address = json.loads(self._address_file.read_text())
        self.host, self.port = host, port = address or ("127.0.0.1", 4200)
        self.server = Service("server", self.state)
        self.worker = Service("worker", self.state)
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        self.environment = (
            _DEFAULTS
            | os.environ
            | {
                "PREFECT_HOME": str(self.state / "prefect"),
                "PREFECT_API_URL": f"{self.url}/api",
                # Relative: right from whichever machine the page is looked at.
                "PREFECT_UI_API_URL": "/api",
            }
        )

    def up(self) -> None:
        """Start what is not running, and deploy.

        Raises:
            StartError: something does not start.
        """
        (self.state / "manifests").mkdir(parents=True, exist_ok=True)
        self._address_file.write_text(json.dumps([self.host, self.port]))
        address = ("--host", self.host, "--port", str(self.port))
        self.server.start(_prefect("server", "start", *address), self.environment)
        self._wait_for_server()
        self._set_variables()
        self._deploy()
        worker = _prefect("worker", "start", "--pool", POOL, "--type", "process")
        self.worker.start(worker, self.environment)

    def down(self) -> None:
        """Stop the worker with its runs, then the server."""
        stopped = self.worker.stop()
        print(f"worker  {'stopped' if stopped else 'was not running'}")
        if _answers(f"{self.url}/api/health"):
            self._tell_crashed()
        print(f"server  {'stopped' if self.server.stop() else 'was not running'}")

    def status(self) -> bool:
        """Print what is running; whether all is."""
        pids = {service: service.pid() for service in (self.server, self.worker)}
        for service, pid in pids.items():
            print(f"{service.name:8}{f'process {pid}' if pid else 'not running':16}{service.log}")
        return all(pids.values())

    def _wait_for_server(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(f"{self.url}/api/health"):
            if self.server.pid() is None or time.monotonic() > deadline:
                raise StartError(f"The server does not start: see {self.server.log}")
            time.sleep(0.2)

    def _set_variables(self) -> None:
        """Set the variables that nobody has set: what the runs keep lies in the state folder."""
        os.environ.update(self.environment)
        from prefect.variables import Variable  # reads the environment once

        variables: dict[str, Any] = {
            "tag_videos_manifests": [str(self.state / "manifests")],
            "tag_videos_cache": str(self.state / "cache"),
        }
        for name, value in variables.items():
            if Variable.get(name) is None:
                Variable.set(name, value)

    def _tell_crashed(self) -> None:
        """Tell the server which runs ended with the worker: nobody else can."""
        os.environ.update(self.environment)
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
        from prefect.client.schemas.objects import State
        from prefect.states import Crashed

        under_way = {"any_": ["RUNNING", "PENDING", "CANCELLING"]}
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs(
                flow_run_filter=FlowRunFilter.model_validate({"state": {"type": under_way}}),
                work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [POOL]}}),
            ):
                state: State[Any] = Crashed(message="The worker was stopped.")
                client.set_flow_run_state(run.id, state, force=True)

    def _deploy(self) -> None:
        deploy = [sys.executable, str(ROOT / "deployments" / "deploy.py")]
        log = self.server.log.with_name("deploy.log")
        with log.open("wb") as output:
            done = subprocess.run(
                deploy, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )
        if done.returncode:
            raise StartError(f"The deployments are refused: see {log}")


def _prefect(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prefect", *arguments]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code == HTTPStatus.UNAUTHORIZED  # it runs, and wants its password
    except OSError:
        return False


def main() -> int:
    """Do what the command line says."""
    options = _parser().parse_args()
    address = (options.host, options.port) if options.action == "up" else None
    local = Local(options.state, address)
    if options.action == "status":
        return 0 if local.status() else 1
    if options.action == "down":
        local.down()
        return 0
    try:
        local.up()
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    if options.host not in _LOOPBACK and not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        print("Whoever reaches this port can run anything here: see deployments/README.md.")
    local.status()
    print(_NEXT.format(url=local.url, bin=Path(sys.executable).parent))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("action", choices=["up", "down", "status"])
    parser.add_argument("--state", type=Path, default=ROOT / ".state", help="default .state/")
    parser.add_argument("--host", default="127.0.0.1", help="to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=4200, help="default 4200")
    return parser


if __name__ == "__main__":
    sys.exit(main())
