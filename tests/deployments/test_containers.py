"""The image, the compose file and the Kubernetes template, judged by what others read them with."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from check_jsonschema.cli.main_command import main as check_jsonschema
from click.testing import CliRunner
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from ruamel.yaml import YAML

from tests import needs
from tests.deployments.conftest import Machine

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
ROOT = DEPLOYMENTS.parent
TEMPLATE = DEPLOYMENTS / "kubernetes.json"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    services: dict[str, Any] = YAML(typ="safe").load(DEPLOYMENTS / "compose.yaml")
    return services


def test_compose_file_is_valid() -> None:
    file = str(DEPLOYMENTS / "compose.yaml")
    options = ["--builtin-schema", "vendor.compose-spec", file]
    done = CliRunner().invoke(check_jsonschema, options)
    assert done.exit_code == 0, done.output


def test_compose_listens_on_this_machine_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:4200:4200"]


def test_compose_holds_no_password(compose: dict[str, Any]) -> None:
    """Each is a variable that must be set, with no default."""
    settings = [one.get("environment", {}) for one in compose["services"].values()]
    secret = {
        name: str(value)
        for environment in settings
        for name, value in environment.items()
        if re.search("PASSWORD|AUTH|SECRET|TOKEN", name) and value is not None
    }
    assert len(secret) == 4
    for value in secret.values():
        assert re.fullmatch(r"(prefect:)?\$\{[A-Z_]+:\?[^}]+\}", value)


def test_image_and_compose_name_what_is_there(compose: dict[str, Any]) -> None:
    """Of what the image copies and its commands start, nothing is left out by .dockerignore."""
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert [name for name in kept if not (ROOT / name).exists()] == []
    copied = re.findall(r"^COPY ((?!--)(?!\. ).+) \./$", _dockerfile(), re.MULTILINE)
    assert {name for line in copied for name in line.split()} <= kept
    for service in compose["services"].values():
        program, script, *_ = shlex.split(service.get("command", "python deployments/deploy.py"))
        assert program in ("prefect", "python")
        assert program == "prefect" or (ROOT / script).exists()


def test_image_runs_as_a_user_that_is_not_root() -> None:
    """By a number, which Kubernetes' runAsNonRoot can check, and it is the template's."""
    [user] = re.findall(r"^USER (.+)$", _dockerfile(), re.MULTILINE)
    template = json.loads(TEMPLATE.read_text())
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == int(user) > 0


def _dockerfile() -> str:
    return (DEPLOYMENTS / "Dockerfile").read_text().replace("\\\n", "")


@pytest.mark.parametrize(
    "values",
    [{}, {"gpus": "1", "service_account_name": "tagger", "node_selector": {"gpu": "h100"}}],
)
def test_kubernetes_template_gives_a_job(machine: Machine, values: dict[str, Any]) -> None:
    """prefect-kubernetes fills it in; the Kubernetes client knows every field of what comes out."""
    with temporary_settings({PREFECT_API_URL: f"{machine.url}/api"}):
        sent, understood = asyncio.run(_job(values))
    # prefect-kubernetes insists on these two, where no Kubernetes object has them.
    for misplaced in ("completions", "parallelism"):
        assert sent["spec"]["template"]["spec"].pop(misplaced) == 1
    assert sent == understood
    [container] = sent["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["prefect", "flow-run", "execute"]
    assert container["resources"]["limits"].get("nvidia.com/gpu") == values.get("gpus")
    assert "{{" not in json.dumps(sent)


async def _job(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    from kubernetes_asyncio.client import ApiClient, V1Job
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    template = json.loads(TEMPLATE.read_text())
    job = await KubernetesWorkerJobConfiguration.from_template_and_values(template, values)
    job.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="a night"))
    async with ApiClient() as client:
        read = client._ApiClient__deserialize(job.job_manifest, V1Job)
        understood: dict[str, Any] = client.sanitize_for_serialization(read)
    return job.job_manifest, understood


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, on a Debian base that is made here: no registry is asked.

    ``IMAGE_OPTIONS`` holds more options for ``buildah build``, such as the volumes that a local
    package index needs.
    """
    needs.root()
    buildah, debootstrap = needs.program("buildah"), needs.program("debootstrap")
    base, tag = "localhost/tag-videos-base", "localhost/tag-videos-test"
    root = tmp_path_factory.mktemp("base") / "root"

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout.strip()

    packages = "--include=python3-venv,ca-certificates"
    run(debootstrap, "--variant=minbase", packages, "bookworm", root)
    container = run(buildah, "from", "scratch")
    run(buildah, "add", "--quiet", container, str(root), "/")
    run(buildah, "commit", "--quiet", "--rm", container, base)
    shutil.rmtree(root)
    build = [buildah, "build", "--isolation=chroot", "--tag", tag, "--file=deployments/Dockerfile"]
    arguments = ["--build-arg=BASE=" + base, *shlex.split(os.environ.get("IMAGE_OPTIONS", ""))]
    run(*build, *arguments, ".")
    container = run(buildah, "from", "--name", f"tag-videos-{uuid4().hex[:8]}", tag)
    yield container
    run(buildah, "rm", container)
    run(buildah, "rmi", tag, base)


@pytest.mark.slow
def test_the_demo_runs_in_the_image(image: str) -> None:
    """As its user, who is not root and may write nothing of the project."""
    run = ["buildah", "run", "--isolation=chroot", image, "--"]
    who = subprocess.run([*run, "id", "-u"], capture_output=True, text=True, check=True)
    assert who.stdout.strip() == "10001"
    done = subprocess.run([*run, "python", "demo/run.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("Samples tagged: 10;", "Samples tagged: 0;", "Speech"):
        assert said in done.stdout
    written = subprocess.run([*run, "touch", "flows/x"], capture_output=True)
    assert written.returncode != 0


def test_kubernetes_pool_is_made_from_the_template(machine: Machine) -> None:
    """By the command of the page; the deployments go to a pool of that type as they are."""
    command = re.search(
        r"prefect work-pool create \S+ --type kubernetes[\s\\]*--base-job-template \S+",
        (DEPLOYMENTS / "README.md").read_text(),
    )
    assert command is not None
    arguments = shlex.split(command[0].replace("\\\n", ""))
    name = f"kubernetes-{uuid4().hex[:8]}"
    arguments[3] = name
    arguments[-1] = str(ROOT / arguments[-1])
    done = machine.prefect(*arguments[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    pool = machine.api(f"/work_pools/{name}")
    assert pool["type"] == "kubernetes"
    assert pool["base_job_template"] == json.loads(TEMPLATE.read_text())
