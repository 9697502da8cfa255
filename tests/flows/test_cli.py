"""The command line: what it prints where, and how it exits."""

import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from prefect import State
from prefect.settings import PREFECT_API_URL
from prefect.states import Failed

from flows import cli
from flows.command import _show_result
from flows.outcome import Misconfigured, TooManyFailures
from flows.tag import tag_videos
from tests import needs
from tests.audio.media import tone, write_media
from tests.conftest import S3Server
from tests.deployments.hub import local_hub
from tests.flows.conftest import DEMO, DEMO_MODEL, read_manifest, write_manifest
from tests.flows.test_tag import EXPECTED

FLOW = Path(__file__).parents[2] / "flows" / "tag.py"
SCHEMA = json.loads((FLOW.parent / "summary.schema.json").read_text())


def told(stdout: str) -> dict[str, Any]:
    """The last line of stdout, which keeps to the schema of ``--json``."""
    summary: dict[str, Any] = json.loads(stdout.splitlines()[-1])
    Draft202012Validator(SCHEMA).validate(summary)
    return summary


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
    done = command("m.jsonl", "--hf-ast", DEMO_MODEL, "--json", "--report", "night.html",
                   cwd=tmp_path, api=api)  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = told(done.stdout)
    assert summary["state"] == "Completed"
    assert summary["tags"] == {"Sine wave": 1}
    assert Path(summary["report"]).read_text().startswith("<!DOCTYPE html>")
    assert (summary["samples"], summary["tagged"], summary["videos"]) == (1, 1, 1)
    assert read_manifest(manifest)[0]["video_audio_tags"] == ["Sine wave"]


def test_some_samples_left_untagged(tmp_path: Path, api: str) -> None:
    write_manifest(tmp_path / "m.jsonl", [{"videos": ["gone.mp4"]}, {"videos": []}])
    options = ("*.jsonl", "--hf-ast", DEMO_MODEL)
    done = command(*options, "--max-failure-rate", "0.5", cwd=tmp_path, api=api)
    assert done.returncode == 1
    assert "1 sample tagged" in done.stdout
    assert "1 failed" in done.stdout
    assert f"All failures: {tmp_path}/m.jsonl.failures\n" in done.stdout
    assert "Traceback" not in done.stderr
    # What is known counts no more; a new failure does, and --json says so in the same words.
    assert command(*options, cwd=tmp_path, api=api).returncode == 1
    write_manifest(tmp_path / "n.jsonl", [{"videos": ["gone.mp4"]}])
    done = command(*options, "--json", cwd=tmp_path, api=api)
    assert done.returncode == 3
    summary = told(done.stdout)
    assert summary["state"] == "TooManyFailures"
    assert summary["message"].startswith(
        "1 of 1 sample to tag failed (100%), not counting 1 known failure; 10% may fail."
    )
    assert summary["failures"] == {
        "missing": {"videos": 1, "examples": [f"{tmp_path}/gone.mp4: no such file"]}
    }
    assert summary["ledgers"] == {f"{tmp_path}/{name}.jsonl.failures": 1 for name in "mn"}
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-such-folder"], "error: .*no-such-folder"),
        (["m.jsonl", "--hf-ast", "empty"], "error: The model in the folder empty"),
        (["m.jsonl", "--hf-ast", DEMO_MODEL, "--device", "cuda:999"], "error: .*cuda:999"),
    ],
)
def test_a_run_that_cannot_start(
    tmp_path: Path, api: str, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["a.mp4"]}])
    before = manifest.read_bytes()
    done = command(*arguments, "--json", cwd=tmp_path, api=api)
    assert done.returncode == 2
    assert told(done.stdout)["state"] == "Misconfigured"
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(sentence, error)
    assert "Traceback" not in done.stderr
    assert manifest.read_bytes() == before


@pytest.mark.parametrize(
    ("compiler", "outcome"),
    [
        ("no-such-compiler", "the model cannot be compiled, so it runs as it is"),
        pytest.param("g++", "compiled the model in", marks=pytest.mark.slow),
    ],
)
def test_compiling_is_told_and_changes_no_tag(
    tmp_path: Path, api: str, compiler: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiler == "g++":
        needs.program(compiler)
    monkeypatch.setenv("CXX", compiler)
    shutil.copytree(DEMO / "videos", tmp_path / "videos")
    manifest = Path(shutil.copy(DEMO / "manifest.jsonl", tmp_path))
    options = ("--hf-ast", DEMO_MODEL, "--no-cache", "--compile-model")
    done = command("manifest.jsonl", *options, cwd=tmp_path, api=api)
    assert done.returncode == 0, done.stderr
    begun = done.stderr.index("compiling the model for batches of 8")
    assert begun < done.stderr.index(outcome)
    tags = {sample["id"]: sample["video_audio_tags"] for sample in read_manifest(manifest)}
    assert tags == EXPECTED


def dead_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.long
def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [{"videos": []}])
    url = f"http://127.0.0.1:{dead_port()}/api"
    done = command("m.jsonl", "--json", cwd=tmp_path, api=url)
    assert done.returncode == 2
    assert told(done.stdout)["message"] in done.stderr
    _, line = done.stderr.splitlines()
    assert line.startswith(f"error: No Prefect server answers at {url}")


def test_an_address_that_is_no_prefect_server_is_one_sentence(tmp_path: Path, s3: S3Server) -> None:
    write_manifest(tmp_path / "m.jsonl", [{"videos": []}])
    done = command("m.jsonl", cwd=tmp_path, api=f"{s3.endpoint}/api")
    assert done.returncode == 2
    _, line = done.stderr.splitlines()
    assert line.startswith("error: No Prefect server answers at")


def test_from_python_a_failed_run_raises_one_sentence(tmp_path: Path, api: str) -> None:
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["gone.mp4"]}])
    cache = str(tmp_path / "cache")
    with pytest.raises(TooManyFailures, match=r"^1 of 1 sample to tag failed \(100%\)") as failed:
        tag_videos(manifests=[str(manifest)], hf_ast=DEMO_MODEL, cache=cache)
    assert failed.value.facts["failed"] == 1
    assert failed.value.facts["failures"]["missing"]["videos"] == 1
    with pytest.raises(Misconfigured, match="no-such-folder"):
        tag_videos(manifests=[str(tmp_path / "no-such-folder")], cache=cache)
    again = pickle.loads(pickle.dumps(failed.value))  # noqa: S301 - as runners in processes do
    assert (str(again), again.facts) == (str(failed.value), failed.value.facts)


@pytest.mark.parametrize("option", ["--tag-field-name", "--cache", "--meta-field"])
def test_text_that_is_not_utf_8_is_one_sentence(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["m.jsonl", option, "caf\udce9"]) == 2
    name = option.removeprefix("--")
    assert capsys.readouterr().err == f"error: The text of {name} is not UTF-8: caf\\udce9\n"
    assert cli.main(["a.jsonl", "\udcff.jsonl"]) == 2
    assert capsys.readouterr().err == "error: The text of manifests is not UTF-8: \\udcff.jsonl\n"


def test_a_dry_run_of_which_a_manifest_is_refused_is_not_done(tmp_path: Path, api: str) -> None:
    write_manifest(tmp_path / "good.jsonl", [{"videos": []}])
    assert command("good.jsonl", "--dry-run", cwd=tmp_path, api=api).returncode == 0
    (tmp_path / "bad.jsonl").write_text("{oops\n")
    done = command("bad.jsonl", "--dry-run", cwd=tmp_path, api=api)
    assert done.returncode == 1
    assert done.stdout == "DryRun: would tag 0 of 0 samples, with 0 videos, and refuse 1 manifest\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["m.jsonl", "--batch-size", "0"], "error: .*--batch-size.*from 1 to 1024"),
        (["m.jsonl", "--top-k", "many"], "error: .*--top-k.*a whole number from 1"),
        (["m.jsonl", "--min-score", "x"], "error: .*--min-score.*a number between 0 and 1"),
        (["m.jsonl", "--windows", "0"], "error: .*--windows.*start, all, or a number"),
        (["m.jsonl", "--windows=-1"], "error: .*--windows.*start, all, or a number"),
        (["m.jsonl", "--batch-size", "many"], "error: .*--batch-size"),
        (["m.jsonl", "--max-failure-rate", "7"], "error: .*--max-failure-rate.*between 0 and 1"),
        (["m.jsonl", "--batch-size", "5000"], "error: .*--batch-size.*from 1 to 1024"),
        (["m.jsonl", "--cache-days", "9" * 18], "error: .*--cache-days.*from 1 to 999999"),
        (["m.jsonl", "--device", "toaster"], "error: .*--device.*auto, cpu, cuda or cuda:N"),
        (["m.jsonl", "--tag-field-name", ""], "error: .*--tag-field-name.*must not be empty"),
        (["m.jsonl", "--jso"], "error: .*--jso"),
        (["m.jsonl", "--channels", "all"], "error: .*--channels"),
        (["m.jsonl", "--no-such-option"], "error: .*--no-such-option"),
        ([], "error: .*MANIFEST"),
    ],
)
def test_wrong_options(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert re.search(sentence, capsys.readouterr().err)
    assert cli.main([*arguments, "--json"]) == 2
    said = capsys.readouterr()
    assert told(said.out)["state"] == "Misconfigured"
    assert told(said.out)["message"] in said.err


def test_a_run_that_breaks_is_told_as_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    state: State[Any] = Failed(message="the head of the cluster has gone", data=OSError("gone"))
    assert _show_result(state, as_json=True) == 1
    said = capsys.readouterr()
    assert told(said.out)["message"] == "the head of the cluster has gone"
    assert said.err == "error: the head of the cluster has gone\n"


def test_every_parameter_of_the_flow_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    for name in signature(tag_videos.fn).parameters:
        assert name == "manifests" or f"--{name.replace('_', '-')}" in said


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-such.jsonl"], "no-such.jsonl cannot be listed: there is no such file"),
        (["m.jsonl", "--hf-ast", "empty"], "The model in the folder empty"),
        (["m.jsonl", "--hf-ast", "./no/such/model"], "There is no model ./no/such/model"),
        (["m.jsonl", "--ray", "head"], "'head' is no address of a Ray cluster"),
        (["m.jsonl", "--ray", ""], "'' is no address of a Ray cluster"),
    ],
)
def test_what_is_misspelt_is_told_before_a_server_is_started(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_manifest(tmp_path / "m.jsonl", [{"videos": []}])
    done = command(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == 2
    first, error = done.stderr.splitlines()
    assert first == f"Tagging the videos of {arguments[0]} ..."
    assert error.startswith("error: ")
    assert sentence in error
    assert told(done.stdout)["state"] == "Misconfigured"


@pytest.mark.long
def test_a_model_that_the_hub_does_not_know(tmp_path: Path) -> None:
    program = """
import sys
from tasks.errors import ConfigurationError
from tasks.model import CheckpointId
from tasks.model.misspelt import require_checkpoint
for name in sys.argv[1:]:
    try: print(require_checkpoint(CheckpointId(name)))
    except ConfigurationError as error: print(error)
"""
    names = ("ours/model", "ours/modle")

    def ask(hub: str) -> list[str]:
        return subprocess.run(
            [sys.executable, "-c", program, *names],
            env=os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()

    with local_hub("ours/model") as hub:
        there, misspelt = ask(hub)
    assert there == "None"
    assert misspelt.startswith("There is no model ours/modle: neither a folder")
    assert ask(hub) == ["None", "None"]  # a hub that is gone proves nothing


@pytest.mark.long
def test_the_first_line_is_there_before_prefect_is_imported() -> None:
    program = """
import sys
from flows import cli
def say(line): print(line, "prefect" in sys.modules, "torch" in sys.modules); raise SystemExit
cli.say = say
cli.main(["m.jsonl"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "Tagging the videos of m.jsonl ... False False\n"


@pytest.mark.slow
def test_without_a_server_a_temporary_one_is_announced(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [{"videos": []}])
    done = command("m.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Starting a temporary Prefect server" in done.stderr
