"""What runs take from the server's variables, and a server that has never seen ``make up``."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.deployments.conftest import LOCAL, Machine, free_port, wait_for
from tests.flows.conftest import DEMO_MODEL, read_manifest, write_manifest

pytestmark = pytest.mark.long

ROOT = LOCAL.parents[1]
DEPLOY = [sys.executable, str(ROOT / "deployments" / "deploy.py")]


@pytest.fixture(scope="module")
def virgin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A server with an empty database."""
    folder, port = tmp_path_factory.mktemp("virgin"), free_port()
    machine = Machine(folder / "state", f"http://127.0.0.1:{port}", folder)
    machine.state.mkdir()
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    environment = machine.environment | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(lambda: _answers(machine.url))
        yield machine
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/api/health").is_success
    return False


def _run_once(machine: Machine, deployment: str, **parameters: object) -> dict[str, str]:
    """Run a deployment here, as a worker's process does; the state that the run ends in."""
    run = machine.start(deployment, **parameters)
    environment = machine.environment | {"PREFECT__FLOW_RUN_ID": run}
    subprocess.run(
        [sys.executable, "-m", "prefect", "flow-run", "execute", run],
        cwd=machine.elsewhere,
        env=environment,
        capture_output=True,
        check=False,
    )
    state: dict[str, str] = machine.api(f"/flow_runs/{run}")["state"]
    return state


def _deploy(machine: Machine, command: list[str], folder: Path) -> None:
    """Deploy by a command, typed in a folder where the environment's programs are found."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = machine.environment | {"PATH": path}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documented_commands_deploy_to_a_virgin_server(virgin: Machine) -> None:
    page = (ROOT / "deployments" / "README.md").read_text()
    by_hand = page.split("Without make, in the repository's root:\n\n```sh elsewhere\n")[1].split(
        "```"
    )[0]
    _deploy(virgin, ["bash", "-ec", by_hand], ROOT)
    _deploy(virgin, DEPLOY, virgin.elsewhere)
    assert virgin.api("/work_pools/tag-videos")["type"] == "process"
    for name in ("nightly", "on-demand"):
        assert virgin.api(f"/deployments/name/tag-videos/{name}")["parameters"] == {}


def test_variables_are_read_when_a_run_starts(virgin: Machine, tmp_path: Path) -> None:
    _deploy(virgin, DEPLOY, virgin.elsewhere)
    ended = _run_once(virgin, "nightly")
    assert ended["name"] == "Misconfigured"
    assert "variable set --overwrite tag_videos_manifests" in ended["message"]

    write_manifest(tmp_path / "1.jsonl", [{"videos": []}])
    values = {"manifests": f'["{tmp_path}/1.jsonl"]', "cache": str(tmp_path / "cache")}
    for name, value in (values | {"hf_ast": DEMO_MODEL}).items():
        done = virgin.prefect("variable", "set", "--overwrite", f"tag_videos_{name}", value)
        assert done.returncode == 0, done.stdout
    assert _run_once(virgin, "on-demand")["name"] == "Completed"
    assert read_manifest(tmp_path / "1.jsonl") == [{"videos": [], "video_audio_tags": []}]

    # The next night follows a change; what a parameter says beats what the variable says.
    virgin.prefect("variable", "set", "--overwrite", "tag_videos_manifests", f"{tmp_path}/2.jsonl")
    for number, named in (("2", {}), ("3", {"manifests": [f"{tmp_path}/3.jsonl"]})):
        manifest = write_manifest(tmp_path / f"{number}.jsonl", [{"videos": []}])
        assert _run_once(virgin, "nightly", **named)["name"] == "Completed"
        assert read_manifest(manifest) == [{"videos": [], "video_audio_tags": []}]


def test_the_temporary_server_may_take_minutes_to_start(tmp_path: Path) -> None:
    program = """
import prefect
from flows.tag import tag_videos
print(prefect.settings.get_current_settings().server.ephemeral.startup_timeout_seconds)
"""
    environment = {name: value for name, value in os.environ.items() if "PREFECT" not in name}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment | {"PREFECT_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert int(done.stdout) >= 300
