"""Every command of the README and its pages is run, as it stands, by somebody with videos on S3.

Blocks marked ``sh``, ``console``, ``python``, ``sql`` and ``cron`` run in the order of the page, in
one folder with the demo's manifest, with a bucket on an S3 server, a hub for the model, and a
Prefect server with a worker, all on this machine. A block marked ``elsewhere`` needs another
machine, or minutes; the test that runs its commands is named in ``ELSEWHERE``.
"""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from tasks.model import DEFAULT_CHECKPOINT
from tests.conftest import REGION, S3Server
from tests.deployments.conftest import Machine
from tests.deployments.hub import local_hub
from tests.flows.conftest import DEMO, DEMO_MODEL

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "deployments").glob("*.md"))]
INSTALLED = "/opt/video-audio-tags"

# The first line of a block that is not run here, and the test that runs its commands.
ELSEWHERE = {
    "make demo": "demo/test_videos.py",
    "make up": "deployments/conftest.py",
    "make down": "deployments/conftest.py",
    "git pull": "deployments/conftest.py",
    "docker build": "deployments/test_containers.py",
    "export POSTGRES_PASSWORD": "deployments/test_containers.py",
    "prefect work-pool create tag-videos --type kubernetes": "deployments/test_containers.py",
    "prefect work-pool create tag-videos --type process": "deployments/test_variables.py",
    "export PREFECT_SERVER_DATABASE": "deployments/test_postgres.py",
    "TAG_VIDEOS_ALERT_URL": "deployments/test_alerts.py",
    "make PYTHON=": "model/test_device.py",
    "pip install '.[ray]'": "flows/on_ray/test_cluster.py",
    "pip wheel": "deployments/test_wheel.py",
    "ray get-auth-token": "flows/on_ray/test_plain_machines.py",
}
SHOWN = {"text", "json", "diff", "yaml", "ini"}  # nothing to run


@dataclass(frozen=True)
class Block:
    """A fenced block: its words behind the fence, and its text."""

    words: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        return self.words[0] if self.words else ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, those in lists without their indentation."""
    fence = re.compile(r"^( *)```(.*?)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
    return [
        Block(tuple(words.split()), re.sub(f"^{indent}", "", text, flags=re.MULTILINE))
        for indent, words, text in fence.findall(page.read_text())
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_block_is_run_or_says_where(page: Path) -> None:
    for block in blocks(page):
        assert block.language, f"a block without a language: {block.text[:60]}"
        if "elsewhere" in block.words:
            [test] = [to for first, to in ELSEWHERE.items() if block.text.startswith(first)]
            assert (ROOT / "tests" / test).exists()
        else:
            assert block.language in SHOWN | {"sh", "console", "python", "sql", "cron"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader: a manifest with its videos, and this project beside them."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("flows", "tasks", "demo", "deployments"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    (folder / "videos").symlink_to(DEMO / "videos")
    return folder


@pytest.fixture
def environment(machine: Machine, home: Path, s3: S3Server) -> Iterator[dict[str, str]]:
    """What a reader has set, with everything untagged again."""
    shutil.copy(DEMO / "manifest.jsonl", home / "manifest.jsonl")
    bucket = boto3.Session().resource("s3").Bucket("bucket")
    if not bucket.creation_date:
        bucket.create()
    for key in ("manifests/1.jsonl", "manifests/new.jsonl"):
        bucket.upload_file(str(DEMO / "manifest.jsonl"), key)
    for video in (DEMO / "videos").iterdir():
        for folder in ("manifests/videos", "videos"):
            bucket.upload_file(str(video), f"{folder}/{video.name}")
    with local_hub(DEFAULT_CHECKPOINT) as hub, _variables(machine):
        yield machine.environment | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "HF_HOME": str(home / "hub"),
            "HF_ENDPOINT": hub,
            "AWS_ENDPOINT_URL": s3.endpoint,
            "AWS_DEFAULT_REGION": REGION,
        }


@contextmanager
def _variables(machine: Machine) -> Iterator[None]:
    """The worker cannot ask the hub of a test; and what a page sets is set back."""
    before = {
        "tag_videos_manifests": json.dumps([str(machine.state / "manifests")]),
        "tag_videos_cache": str(machine.state / "cache"),
    }
    machine.prefect("variable", "set", "--overwrite", "tag_videos_hf_ast", DEMO_MODEL)
    yield
    machine.prefect("variable", "unset", "tag_videos_hf_ast")
    for name, value in before.items():
        machine.prefect("variable", "set", "--overwrite", name, value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_page_work(
    machine: Machine, page: Path, home: Path, environment: dict[str, str]
) -> None:
    script = ["set -eu -o pipefail"]
    for number, block in enumerate(blocks(page)):
        if block.language in SHOWN or "elsewhere" in block.words:
            continue
        script.append(f"echo '-- {page.name}, block {number}' >&2")
        file = home / f"{page.stem}-{number}"
        script.append(_command(block, file))
    if len(script) == 1:
        return  # a page of words
    done = subprocess.run(
        ["bash", "-c", "\n".join(script).replace("http://127.0.0.1:4200", machine.url)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def _command(block: Block, file: Path) -> str:
    """What runs a block; ``file`` is free for its text."""
    match block.words:
        case ("sh",):
            return block.text
        case ("console",):
            return "\n".join(line[2:] for line in block.text.splitlines() if line[:2] == "$ ")
        case ("cron",):
            return f"sh -c {shlex.quote(_here(block.text.split(maxsplit=5)[5].strip()))}"
        case ("python",):
            file.write_text(block.text)
            return f"python {file}"
        case ("sql",):
            file.write_text(f"import duckdb\nprint(duckdb.sql({block.text!r}).fetchall())\n")
            return f"python {file}"
        case ("python", "airflow"):
            calls = [
                node for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.keyword)
            ]
            [command] = [
                ast.literal_eval(call.value) for call in calls if call.arg == "bash_command"
            ]
            return f"bash -c {shlex.quote(_here(command))}"
    raise AssertionError(f"nobody runs {block.words}")


def _here(command: str) -> str:
    return command.replace(f"{INSTALLED}/.venv/bin/", f"{Path(sys.executable).parent}/")
