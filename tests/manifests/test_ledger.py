"""The ledger is JSON lines beside the manifest, whole or not there."""

import json
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ConfigurationError, FailureKind, ManifestError
from tasks.manifests import ledger
from tasks.manifests.listing import list_manifests


def test_entries_say_what_failed_and_why(tmp_path: Path) -> None:
    target = str(tmp_path / "m.jsonl")
    with ledger.open_ledger("s3://b/m.jsonl", target) as failures:
        failures.add(3, "s3://b/é.mp4", "corrupt", "no audio frame", "9 bytes, abc")
        failures.add(4, "https://me:pass@host/a.mp4?X-Amz-Signature=abc", "forbidden", "403")
    text = Path(ledger.ledger_of(target)).read_text(encoding="utf-8")
    first, second = [json.loads(line) for line in text.splitlines()]
    assert list(first) == ["manifest", "line", "video", "error", "reason", "content", "time"]
    assert (first["manifest"], first["line"], first["video"], first["content"]) == (
        "s3://b/m.jsonl", 3, "s3://b/é.mp4", "9 bytes, abc")  # fmt: skip
    assert second["content"] is None
    assert second["video"] == "https://host/a.mp4?..."
    assert failures.entries == 2


A, B = "s3://b/a.mp4", "https://me:pass@host/b.mp4?X-Amz-Signature=abc"


def earlier(tmp_path: Path, *failures: tuple[Any, ...]) -> ledger.Earlier:
    """What is known after a merge with these failures."""
    target = str(tmp_path / "m.jsonl")
    with ledger.open_ledger(target, target) as written:
        for failure in failures:
            written.add(*failure)
    return ledger.earlier(target)


def test_what_it_tells_of_is_known(tmp_path: Path) -> None:
    known = earlier(
        tmp_path,
        (1, A, "corrupt", "no frame", "9 bytes, x"),
        (2, B, "missing", "404"),
        (7, None, "malformed", "its videos are a number"),
    )
    assert known.has(1, A, FailureKind.CORRUPT, "9 bytes, x")
    assert known.has(5, A, FailureKind.CORRUPT, "9 bytes, x"), "a line may move"
    assert not known.has(1, A, FailureKind.CORRUPT, "9 bytes, y"), "other content"
    assert not known.has(1, A, FailureKind.TIMEOUT, "9 bytes, x"), "it failed in another way"
    assert not known.has(1, B, FailureKind.CORRUPT, "9 bytes, x")
    assert known.has(2, B, FailureKind.MISSING)
    assert known.has(2, "https://host/b.mp4?X-Amz-Signature=other", FailureKind.MISSING)
    assert known.has(7, None, FailureKind.MALFORMED)
    assert not known.has(8, None, FailureKind.MALFORMED)


@pytest.mark.parametrize("kind", FailureKind)
def test_what_says_nothing_of_the_video_is_news_every_night(
    kind: FailureKind, tmp_path: Path
) -> None:
    """Else a store that nobody may read would be silent from the second night on."""
    news = {"forbidden", "changed", "unreadable", "unreachable", "manifest", "internal"}
    assert earlier(tmp_path, (1, A, kind, "why")).has(1, A, kind) is (kind not in news)


@pytest.mark.parametrize("content", [b"", b"[]\n{\n\xff\n7\n", b"{}\n", b"x" * 100, b"[" * 9_999])
def test_of_a_ledger_that_is_none_nothing_is_known(tmp_path: Path, content: bytes) -> None:
    Path(ledger.ledger_of(f"{tmp_path}/m.jsonl")).write_bytes(content)
    assert not ledger.earlier(f"{tmp_path}/m.jsonl").has(1, A, FailureKind.MISSING)
    assert not ledger.earlier(f"{tmp_path}/other.jsonl").has(1, A, FailureKind.MISSING)


def test_one_of_the_version_before_is_read(tmp_path: Path) -> None:
    entry = {"manifest": "m", "line": 1, "video": A, "error": "missing", "reason": "", "time": ""}
    Path(ledger.ledger_of(f"{tmp_path}/m.jsonl")).write_text(json.dumps(entry))
    assert ledger.earlier(f"{tmp_path}/m.jsonl").has(1, A, FailureKind.MISSING)


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
    assert [found.url for found in list_manifests(str(tmp_path))] == [str(tmp_path / "m.jsonl")]
    with pytest.raises(ConfigurationError, match="is a failure ledger, not a manifest"):
        list_manifests(str(tmp_path / "m.jsonl.failures"))


@pytest.mark.parametrize("name", ["漢" * 81 + ".jsonl", "a" * 249 + ".jsonl"])
def test_of_a_name_that_is_too_long_it_keeps_the_beginning(tmp_path: Path, name: str) -> None:
    manifest = str(tmp_path / name)
    url = ledger.ledger_of(manifest)
    assert len(Path(url).name.encode()) <= 255
    assert Path(url).name.startswith(name[:70])
    assert url.endswith(".failures")
    assert ledger.ledger_of(manifest.replace(".jsonl", ".ndjson")) != url
    ledger.refuse(ManifestError(manifest, "is odd"), manifest, manifest)
    assert [str(path) for path in tmp_path.iterdir()] == [url]


def test_it_is_as_private_as_the_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.touch(0o600)
    ledger.refuse(ManifestError("m", "is odd"), str(manifest), str(manifest))
    assert stat.S_IMODE(Path(ledger.ledger_of(str(manifest))).stat().st_mode) == 0o600


def test_it_holds_no_secret_and_no_control(tmp_path: Path) -> None:
    target = str(tmp_path / "m.jsonl")
    with ledger.open_ledger("https://h/m.jsonl?sig=SECRET", target) as failures:
        failures.add(1, "s3://KEY:SECRET@b/\x1b[31m.mp4", "missing", "at https://h/a?SECRET \u202e")
    text = Path(ledger.ledger_of(target)).read_text(encoding="utf-8")
    assert "SECRET" not in text
    assert json.loads(text)["video"] == "s3://b/\\x1b[31m.mp4"
    assert text.removesuffix("\n").isprintable()
