"""The ledger is JSON lines beside the manifest, whole or not there."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from tasks.errors import ConfigurationError, ManifestError
from tasks.manifests import ledger
from tasks.manifests.listing import list_manifests


def test_entries_say_what_failed_and_why(tmp_path: Path) -> None:
    target = str(tmp_path / "m.jsonl")
    with ledger.open_ledger("s3://b/m.jsonl", target) as failures:
        failures.add(3, "s3://b/é.mp4", "corrupt", "no audio frame")
        failures.add(4, "https://me:pass@host/a.mp4?X-Amz-Signature=abc", "forbidden", "403")
    text = Path(ledger.ledger_of(target)).read_text(encoding="utf-8")
    first, second = [json.loads(line) for line in text.splitlines()]
    assert list(first) == ["manifest", "line", "video", "error", "reason", "time"]
    assert (first["manifest"], first["line"], first["video"]) == (
        "s3://b/m.jsonl", 3, "s3://b/é.mp4")  # fmt: skip
    assert second["video"] == "https://host/a.mp4?..."
    assert failures.entries == 2


def test_it_is_replaced_whole_and_removed_when_nothing_fails(tmp_path: Path) -> None:
    target = str(tmp_path / "m.jsonl")
    for lines in ([1, 2], [7], []):
        with ledger.open_ledger(target, target) as failures:
            for line in lines:
                failures.add(line, "a.mp4", "missing", "no such file")
        path = Path(ledger.ledger_of(target))
        found = path.read_text().splitlines() if path.exists() else []
        assert [json.loads(entry)["line"] for entry in found] == lines
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_the_old_one(tmp_path: Path) -> None:
    target = str(tmp_path / "m.jsonl")
    ledger.refuse(ManifestError(target, "is not JSON", 9), target, target)
    with suppress(KeyError), ledger.open_ledger(target, target) as failures:
        failures.add(1, "a.mp4", "missing", "no such file")
        raise KeyError
    (entry,) = Path(ledger.ledger_of(target)).read_text().splitlines()
    assert json.loads(entry)["reason"] == "is not JSON"


def test_it_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b"")
    ledger.refuse(ManifestError("m", "is odd"), "m", str(tmp_path / "m.jsonl"))
    assert list_manifests(str(tmp_path)) == [str(tmp_path / "m.jsonl")]
    with pytest.raises(ConfigurationError, match="is a failure ledger, not a manifest"):
        list_manifests(str(tmp_path / "m.jsonl.failures"))
