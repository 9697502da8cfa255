"""A server for more machines, as the page says: PostgreSQL, a password, old runs removed."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests import needs
from tests.deployments.conftest import Machine, free_port, machine_in, wait_for
from tests.flows.conftest import DEMO_MODEL, read_manifest

TAG = Path(__file__).parents[2] / "flows" / "tag.py"
PASSWORD = "prefect:s3cret-of-a-test"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    initdb, pg_ctl = needs.program("initdb"), needs.program("pg_ctl")
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="tag-videos-"))
    if user:
        shutil.chown(folder, "postgres")
    data, port = str(folder / "data"), free_port()

    def run(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, user=user)

    run(initdb, "-D", data, "-U", "prefect", "--auth", "trust")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    log = str(folder / "log")
    run(pg_ctl, "-D", data, "-l", log, "-o", options, "-w", "start")
    yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
    run(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shared(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """``make up`` with the settings of the page, looking for old runs every second."""
    settings = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_API_AUTH_STRING": PASSWORD,
        "PREFECT_API_AUTH_STRING": PASSWORD,
        "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "1",
    }
    with machine_in(tmp_path_factory.mktemp("shared"), **settings) as machine:
        yield machine


def test_on_postgresql(shared: Machine, demo: Path) -> None:
    assert not (shared.state / "prefect" / "prefect.db").exists()
    body = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    assert wait_for(lambda: shared.api("/flow_runs/filter", body))
    cache = str(demo.parent / "cache")
    run = shared.start("on-demand", manifests=[str(demo)], hf_ast=DEMO_MODEL, cache=cache)
    assert shared.wait(run) == ("COMPLETED", "Completed")
    assert all("video_audio_tags" in sample for sample in read_manifest(demo))


def test_without_the_password_nothing_is_done(shared: Machine, demo: Path) -> None:
    before = demo.read_bytes()
    answer = httpx.post(f"{shared.url}/api/flow_runs/filter", json={}, timeout=60)
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    typed = {k: v for k, v in shared.environment.items() if k != "PREFECT_API_AUTH_STRING"}
    done = subprocess.run(
        [sys.executable, TAG, demo, "--hf-ast", DEMO_MODEL],
        env=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "PREFECT_API_AUTH_STRING" in error
    assert demo.read_bytes() == before
    assert "s3cret" not in (shared.state / "logs" / "server.log").read_text()


def test_old_runs_are_removed_with_their_logs_and_artifacts(shared: Machine, database: str) -> None:
    """Those that ended within 90 days stay."""
    old, young = _ended(shared), _ended(shared)
    assert _held(shared, old) == _held(shared, young) == (1, 1, 1)
    asyncio.run(_let_days_pass(database, {young: 89, old: 91}))
    wait_for(lambda: _held(shared, old) == (0, 0, 0))
    assert _held(shared, young) == (1, 1, 1)


def _ended(machine: Machine) -> str:
    """A run that has ended, with a line of log and an artifact; its id."""
    flow = machine.api("/flows/", {"name": "old"})["id"]
    run = str(machine.api("/flow_runs/", {"flow_id": flow, "state": {"type": "COMPLETED"}})["id"])
    line = {"name": "old", "level": 20, "message": "done", "flow_run_id": run}
    machine.api("/logs/", [line | {"timestamp": datetime.now(UTC).isoformat()}])
    machine.api("/artifacts/", {"type": "markdown", "data": "# done", "flow_run_id": run})
    return run


async def _let_days_pass(database: str, runs: dict[str, int]) -> None:
    """Make the server believe that runs ended so many days ago: its API takes no times."""
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    for run, days in runs.items():
        ended = datetime.now(UTC) - timedelta(days=days)
        await connection.execute("UPDATE flow_run SET end_time = $1 WHERE id = $2", ended, run)
    await connection.close()


def _held(machine: Machine, run: str) -> tuple[int, int, int]:
    """How many runs, lines of log and artifacts the server has of it."""
    runs = machine.api("/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    logs = machine.api("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
    return len(runs), len(logs), len(machine.of_run("artifacts", run))
