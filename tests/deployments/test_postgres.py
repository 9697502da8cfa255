"""The same on PostgreSQL, by one setting."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs
from tests.deployments.conftest import Machine, free_port, wait_for
from tests.flows.conftest import DEMO_MODEL, read_manifest


@pytest.fixture
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


def test_on_postgresql(database: str, demo: Path, tmp_path: Path) -> None:
    port = free_port()
    settings = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
    machine = Machine(tmp_path / "state", f"http://127.0.0.1:{port}", tmp_path, settings)
    try:
        up = machine.local("up", "--port", str(port))
        assert up.returncode == 0, up.stdout + up.stderr
        assert not (machine.state / "prefect" / "prefect.db").exists()
        body = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        assert wait_for(lambda: machine.api("/flow_runs/filter", body))
        cache = str(tmp_path / "cache")
        run = machine.start("on-demand", manifests=[str(demo)], hf_ast=DEMO_MODEL, cache=cache)
        assert machine.wait(run) == ("COMPLETED", "Completed")
        assert all("video_audio_tags" in sample for sample in read_manifest(demo))
    finally:
        machine.local("down")
