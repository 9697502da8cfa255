"""The command line: what it prints where, and how it exits."""

import json
import os
import re
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from flows import cli
from flows.tag import tag_videos
from tests.audio.media import tone, write_media
from tests.flows.conftest import DEMO_MODEL, read_manifest, write_manifest

FLOW = Path(__file__).parents[2] / "flows" / "tag.py"
KEYS = [
    "manifests",
    "samples",
    "tagged",
    "skipped",
    "failed",
    "videos",
    "empty",
    "cached",
    "seconds",
    "bytes_read",
]


def command(
    *arguments: str | Path, cwd: Path, api: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it as a user would, against this Prefect server."""
    environment = {key: value for key, value in os.environ.items() if "PREFECT" not in key}
    environment |= {"PREFECT_API_URL": api} if api else {}
    environment |= {"XDG_CACHE_HOME": str(cwd / "cache"), "PREFECT_HOME": str(cwd / "prefect")}
    return subprocess.run(
        [sys.executable, FLOW, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def api(prefect_server: None) -> str:
    return str(PREFECT_API_URL.value())


def test_everything_tagged(tmp_path: Path, api: str) -> None:
    write_media(tmp_path / "a.mp4", tone(11, 44_100))
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["a.mp4"]}])
    done = command("m.jsonl", "--hf-ast", DEMO_MODEL, "--json", cwd=tmp_path, api=api)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert list(summary) == KEYS
    assert (summary["samples"], summary["tagged"], summary["videos"]) == (1, 1, 1)
    assert read_manifest(manifest)[0]["video_audio_tags"] == ["Sine wave"]


def test_some_samples_left_untagged(tmp_path: Path, api: str) -> None:
    write_manifest(tmp_path / "m.jsonl", [{"videos": ["gone.mp4"]}, {"videos": []}])
    done = command("*.jsonl", "--hf-ast", DEMO_MODEL, cwd=tmp_path, api=api)
    assert done.returncode == 1
    assert "1 sample tagged" in done.stdout
    assert "1 failed" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-such-folder"], "error: .*no-such-folder"),
        (["m.jsonl", "--hf-ast", "empty"], "error: The model in the folder empty"),
        (["m.jsonl", "--device", "toaster"], "error: .*device"),
    ],
)
def test_a_run_that_cannot_start(
    tmp_path: Path, api: str, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["a.mp4"]}])
    before = manifest.read_bytes()
    done = command(*arguments, cwd=tmp_path, api=api)
    assert done.returncode == 2
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(sentence, error)
    assert "Traceback" not in done.stderr
    assert manifest.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["m.jsonl", "--batch-size", "0"], "error: .*--batch-size.*at least 1"),
        (["m.jsonl", "--batch-size", "many"], "error: .*--batch-size"),
        (["m.jsonl", "--max-failure-rate", "7"], "error: .*--max-failure-rate.*between 0 and 1"),
        (["m.jsonl", "--channels", "all"], "error: .*--channels"),
        (["m.jsonl", "--no-such-option"], "error: .*--no-such-option"),
        ([], "error: .*MANIFEST"),
    ],
)
def test_wrong_options(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert re.search(sentence, capsys.readouterr().err)


def test_every_parameter_of_the_flow_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    for name in signature(tag_videos.fn).parameters:
        assert name == "manifests" or f"--{name.replace('_', '-')}" in said


@pytest.mark.slow
def test_without_a_server_a_temporary_one_is_announced(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [{"videos": []}])
    done = command("m.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Starting a temporary Prefect server" in done.stderr
