"""Paths and URLs as text."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks import storage
from tasks.errors import StorageError


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("/data", "a.mp4", "/data/a.mp4"),
        ("/data/manifests", "../videos/a.mp4", "/data/videos/a.mp4"),
        ("/data", "/other/a.mp4", "/other/a.mp4"),
        ("/data", "file:///other/a.mp4", "/other/a.mp4"),
        ("/data", "s3://b/a.mp4", "s3://b/a.mp4"),
        ("/data", "./a::b ~ [1].mp4", "/data/a::b ~ [1].mp4"),
        ("s3://b/data", "a.mp4", "s3://b/data/a.mp4"),
        ("s3://b/data/", "../a.mp4", "s3://b/a.mp4"),
        ("s3://b", "../../a.mp4", "s3://b/a.mp4"),
        ("s3://b//x", "./y//a.mp4", "s3://b//x/y//a.mp4"),
        ("s3://b/data", "/mnt/a.mp4", "/mnt/a.mp4"),
        ("s3://b/data", "https://h/a.mp4?x=1", "https://h/a.mp4?x=1"),
    ],
)
def test_join(base: str, path: str, expected: str) -> None:
    assert storage.join(base, path) == expected


def test_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("a/../b.jsonl") == str(tmp_path / "b.jsonl")
    assert storage.absolute("file:///x/y.jsonl") == "/x/y.jsonl"
    assert storage.absolute("s3://b/k.jsonl") == "s3://b/k.jsonl"


def test_parent_and_name() -> None:
    assert (storage.parent("s3://b/a/x.jsonl"), storage.name("s3://b/a/x.jsonl")) == (
        "s3://b/a", "x.jsonl")  # fmt: skip
    assert (storage.parent("/x.jsonl"), storage.name("/data/")) == ("/", "data")


def test_an_unknown_protocol_is_one_sentence() -> None:
    with pytest.raises(StorageError, match=r"^Protocol not known"):
        storage.resolve("nope://x")


def test_decoders_do_not_load_clients_they_do_not_need() -> None:
    code = "import sys, tasks.storage; print({'s3fs', 'botocore', 'pyarrow'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
