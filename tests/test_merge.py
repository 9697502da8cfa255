"""Merging: complete samples gain tags, the others their reason; no one's work gets lost."""

import gzip
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import storage
from tasks.errors import Failure, FailureKind, ManifestError
from tasks.filling import MergeResult
from tasks.manifests import Fields
from tasks.manifests.files import open_manifest
from tasks.manifests.ledger import ledger_of
from tasks.manifests.listing import list_manifests
from tasks.merge import merge, merge_manifest
from tasks.plan import ManifestPlan, find_manifests
from tasks.tags import VideoTags
from tests import needs
from tests.conftest import S3Server
from tests.merging import MUSIC, SPEECH, Meddling, ledger, lines, plan_of, tags


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Samples of every kind: to tag, of two videos, without videos, failed, unknown, tagged."""
    path = tmp_path / "m.jsonl"
    path.write_bytes(
        lines(
            {"videos": ["a.mp4"], "n": 1},
            {"videos": ["a.mp4", "b.mp4"]},
            {"videos": []},
            {"videos": ["a.mp4", "gone.mp4"]},
            {"videos": ["new.mp4"]},
            {"videos": ["a.mp4"], "video_audio_tags": ["Old"]},
            {"videos": 7},
        )
    )
    return path


@pytest.fixture
def outcomes(tmp_path: Path) -> dict[str, Any]:
    return {
        f"{tmp_path}/a.mp4": MUSIC,
        f"{tmp_path}/b.mp4": SPEECH,
        f"{tmp_path}/gone.mp4": Failure("v", FailureKind.MISSING, "no such file"),
    }


def test_each_sample_gets_what_its_videos_allow(manifest: Path, outcomes: dict[str, Any]) -> None:
    result = merge(str(manifest), str(manifest), Fields(), outcomes)
    assert len(result.faults) == 1
    assert result == MergeResult(
        samples=7,
        tagged=3,
        skipped=1,
        failed=2,
        pending=1,
        malformed=1,
        faults=result.faults,
        failures=2,
        written=True,
    )
    assert tags(manifest) == [["Music"], ["Music", "Speech"], [], "none", "none", ["Old"], "none"]


def test_failures_are_written_beside_it(manifest: Path, outcomes: dict[str, Any]) -> None:
    merge(str(manifest), str(manifest), Fields(), outcomes)
    first, second = ledger(manifest)
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "manifest": str(manifest),
        "line": 4,
        "video": str(manifest.parent / "gone.mp4"),
        "error": "missing",
        "reason": "no such file",
        "content": None,
    }
    assert (second["line"], second["video"], second["error"]) == (7, None, "malformed")


def test_the_ledger_goes_with_the_last_failure(manifest: Path, outcomes: dict[str, Any]) -> None:
    manifest.write_bytes(lines({"videos": ["a.mp4", "gone.mp4"]}))
    merge(str(manifest), str(manifest), Fields(), outcomes)
    assert len(ledger(manifest)) == 1
    outcomes[str(manifest.parent / "gone.mp4")] = VideoTags("Silence")
    merge(str(manifest), str(manifest), Fields(), outcomes)
    assert tags(manifest) == [["Music", "Silence"]]
    assert [entry.name for entry in manifest.parent.iterdir()] == ["m.jsonl"]


def test_nothing_to_add_writes_nothing(manifest: Path, outcomes: dict[str, Any]) -> None:
    merge(str(manifest), str(manifest), Fields(), outcomes)
    before = manifest.stat()
    result = merge(str(manifest), str(manifest), Fields(), outcomes)
    after = manifest.stat()
    assert not result.written
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_retag_replaces_tags(manifest: Path, outcomes: dict[str, Any]) -> None:
    result = merge(str(manifest), str(manifest), Fields(), outcomes, retag=True)
    assert (result.tagged, result.skipped) == (4, 0)
    assert tags(manifest)[5] == ["Music"]


def test_an_output_is_a_full_copy_written_once(
    manifest: Path, outcomes: dict[str, Any], tmp_path: Path
) -> None:
    before, target = manifest.read_bytes(), tmp_path / "out" / "m.jsonl"
    assert merge(str(manifest), str(target), Fields(), outcomes).written
    assert manifest.read_bytes() == before
    assert tags(target)[:3] == [["Music"], ["Music", "Speech"], []]
    assert len(ledger(target)) == 2
    inode = target.stat().st_ino
    assert not merge(str(manifest), str(target), Fields(), outcomes).written
    assert target.stat().st_ino == inode


def test_an_output_is_written_for_a_fully_tagged_manifest(tmp_path: Path) -> None:
    source, target = tmp_path / "m.jsonl", tmp_path / "out" / "m.jsonl"
    source.write_bytes(lines({"videos": ["a.mp4"], "video_audio_tags": ["Music"]}))
    assert merge(str(source), str(target), Fields(), {}).written
    assert target.read_bytes() == source.read_bytes()


def test_a_video_root_is_the_base_of_relative_paths(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(lines({"videos": ["a.mp4", "/x/b.mp4"]}))
    known = {"s3://b/v/a.mp4": MUSIC, "/x/b.mp4": SPEECH}
    assert merge(str(path), str(path), Fields(), known, video_root="s3://b/v").tagged == 1


def test_a_refused_manifest_is_left_and_recorded(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    content = lines({"videos": ["a.mp4"]}) + b"{broken\n"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as refused:
        merge(str(path), str(path), Fields(), {f"{tmp_path}/a.mp4": MUSIC})
    assert (refused.value.url, refused.value.line) == (str(path), 2)
    merged = merge_manifest(plan_of(path), Fields(), {f"{tmp_path}/a.mp4": MUSIC}, retag=False)
    assert (merged.result, merged.problem) == (None, str(refused.value))
    assert path.read_bytes() == content
    (entry,) = ledger(path)
    assert (entry["line"], entry["video"], entry["error"]) == (2, None, "manifest")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.jsonl", "m.jsonl.failures"]


def test_whatever_is_raised_is_that_manifests_trouble(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    content = lines({"videos": ["a.mp4"]})
    path.write_bytes(content)

    def fail() -> None:
        raise KeyError("a fault of ours")

    merged = merge_manifest(plan_of(path), Fields(), Meddling({}, fail, 1), retag=False)
    assert (merged.result, merged.problem) == (None, f"{path}: KeyError: 'a fault of ours'")
    assert path.read_bytes() == content
    (entry,) = ledger(path)
    assert (entry["error"], entry["reason"]) == ("internal", "KeyError: 'a fault of ours'")


def test_a_failure_counts_once(manifest: Path, outcomes: dict[str, Any], tmp_path: Path) -> None:
    gone = f"{tmp_path}/gone.mp4"

    def night(failure: Failure | None = None) -> tuple[int, int]:
        outcomes[gone] = failure or Failure(gone, FailureKind.CORRUPT, "no frame", "9 bytes, x")
        result = merge(str(manifest), str(manifest), Fields(), outcomes)
        assert len(ledger(manifest)) == result.failures
        return result.failed, result.known

    assert night() == (2, 0)
    assert night() == (2, 2)
    assert night(Failure(gone, FailureKind.CORRUPT, "in other words", "9 bytes, x")) == (2, 2)
    assert night(Failure(gone, FailureKind.CORRUPT, "no frame", "9 bytes, y")) == (2, 1)
    assert night(Failure(gone, FailureKind.MISSING, "no such file")) == (2, 1)
    assert night(Failure(gone, FailureKind.MISSING, "no such file")) == (2, 2)
    outcomes[f"{tmp_path}/new.mp4"] = Failure("v", FailureKind.MISSING, "no such file")
    assert night(outcomes[gone]) == (3, 2)
    write = manifest.read_bytes().replace(b'"gone.mp4"', b'"gone.mp4", "new.mp4"')
    manifest.write_bytes(write)
    assert night(outcomes[gone]) == (3, 3), "each of its videos is known"
    outcomes[f"{tmp_path}/new.mp4"] = Failure("v", FailureKind.CORRUPT, "no frame")
    assert night(outcomes[gone]) == (3, 1)


def test_what_an_earlier_attempt_has_recorded_is_not_known(
    manifest: Path, outcomes: dict[str, Any]
) -> None:
    def change() -> None:
        manifest.write_bytes(manifest.read_bytes() + b"{}\n")

    meddling = Meddling(outcomes, change, 2)
    result = merge(str(manifest), str(manifest), Fields(), meddling)
    assert (result.samples, result.failed, result.known) == (9, 2, 0)
    assert merge(str(manifest), str(manifest), Fields(), outcomes).known == 2


def test_a_ledger_that_cannot_be_written_costs_no_tags(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    (tmp_path / "m.jsonl.failures" / "in the way").mkdir(parents=True)
    path.write_bytes(lines({"videos": ["a.mp4"]}, {"videos": ["gone.mp4"]}))
    outcomes: dict[str, Any] = {f"{tmp_path}/a.mp4": MUSIC}
    gone = f"{tmp_path}/gone.mp4"
    outcomes[gone] = Failure(gone, FailureKind.MISSING, "no such file")
    merged = merge_manifest(plan_of(path), Fields(), outcomes, retag=False)
    assert tags(path) == [["Music"], "none"]
    assert merged.result is not None
    assert merged.result.tagged == 1
    assert merged.problem is not None
    assert "m.jsonl.failures: cannot be written" in merged.problem


PARQUET_ROWS = [{"videos": ["a.mp4"], "n": 1}, {"videos": ["b.mp4"], "n": 2}]


def packed(name: str) -> bytes:
    """Two samples in this format, the videos of which are a.mp4 and b.mp4."""
    if name.endswith(".parquet"):
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(PARQUET_ROWS), buffer)
        return buffer.getvalue()
    text = {
        "m.json": b'[{"videos": ["a.mp4"]}, {"videos": ["b.mp4"]}]',
        "m.csv": b"videos,n\na.mp4,1\nb.mp4,2\n",
        "m.jsonl.gz": gzip.compress(lines({"videos": ["a.mp4"]}, {"videos": "b.mp4"})),
    }
    return text[name]


@pytest.mark.parametrize("place", ["local", "s3"])
@pytest.mark.parametrize("name", ["m.json", "m.csv", "m.jsonl.gz", "m.parquet"])
def test_every_format_is_merged_alike(name: str, place: str, tmp_path: Path, s3: S3Server) -> None:
    base = str(tmp_path) if place == "local" else s3.bucket()
    url = f"{base}/{name}"
    s3.put(url, packed(name)) if place == "s3" else Path(url).write_bytes(packed(name))
    assert merge(url, url, Fields(), {f"{base}/a.mp4": MUSIC}).tagged == 1
    result = merge(url, url, Fields(), {f"{base}/b.mp4": SPEECH})
    assert (result.tagged, result.skipped, result.written) == (1, 1, True)
    with open_manifest(url) as manifest:
        found = manifest.format.read(manifest.stream, Fields())
        assert [sample.missing for sample in found] == [(), ()]


def test_the_owner_stays(tmp_path: Path) -> None:
    needs.root()
    path = tmp_path / "m.jsonl"
    path.write_bytes(lines({"videos": ["a.mp4"]}))
    os.chown(path, 12345, 23456)
    merge(str(path), str(path), Fields(), {f"{tmp_path}/a.mp4": MUSIC})
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_mode_and_link_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "m.jsonl", tmp_path / "m.jsonl"
    real.parent.mkdir()
    real.write_bytes(lines({"videos": ["a.mp4"]}))
    real.chmod(0o640)
    link.symlink_to(real)
    merge(str(link), str(link), Fields(), {f"{tmp_path}/a.mp4": MUSIC})
    assert link.is_symlink()
    assert tags(real) == [["Music"]]
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert [entry.name for entry in real.parent.iterdir()] == ["m.jsonl"]


def test_on_s3_the_object_keeps_its_metadata(s3: S3Server) -> None:
    url = f"{s3.bucket()}/a/m.jsonl"
    s3.put(url, lines({"videos": ["v.mp4"]}), ContentType="application/x-ndjson",
           Metadata={"owner": "me"})  # fmt: skip
    known = {url.replace("m.jsonl", "v.mp4"): MUSIC}
    assert merge(url, url, Fields(), known).written
    bucket, _, key = url.removeprefix("s3://").partition("/")
    head = s3.client.head_object(Bucket=bucket, Key=key)
    assert json.loads(s3.get(url))["video_audio_tags"] == ["Music"]
    assert (head["ContentType"], head["Metadata"]) == ("application/x-ndjson", {"owner": "me"})


def test_on_s3_failures_are_an_object_beside_it(s3: S3Server) -> None:
    bucket = s3.bucket()
    url = f"{bucket}/m.jsonl"
    s3.put(url, lines({"videos": ["v.mp4"]}))
    known: dict[str, Any] = {f"{bucket}/v.mp4": Failure("v", FailureKind.MISSING, "no such file")}
    merge(url, url, Fields(), known)
    assert json.loads(s3.get(ledger_of(url)))["video"] == f"{bucket}/v.mp4"
    assert [found.url for found in list_manifests(bucket)] == [url]
    merge(url, url, Fields(), {f"{bucket}/v.mp4": MUSIC})
    assert s3.keys(bucket) == ["m.jsonl"]


@pytest.mark.parametrize("name", ["a::b.jsonl", "[x] #1?.jsonl", "zip::m.jsonl"])
def test_any_key_is_a_manifest(s3: S3Server, name: str) -> None:
    url = f"{s3.bucket()}/data/{name}"
    s3.put(url, b'{"videos": ["v.mp4"]}\n')
    assert [found.url for found in list_manifests(url)] == [url]
    result = merge(url, url, Fields(), {storage.join(storage.parent(url), "v.mp4"): MUSIC})
    assert (result.tagged, result.written) == (1, True)
    assert json.loads(s3.get(url))["video_audio_tags"] == ["Music"]


def test_copies_of_a_partitioned_table_keep_the_columns_in_their_path(tmp_path: Path) -> None:
    for day in (1, 2):
        part = tmp_path / "table" / f"day={day}" / "part.parquet"
        part.parent.mkdir(parents=True)
        pq.write_table(pa.table({"videos": [["/a.mp4"]]}), part)
    for manifest in find_manifests([f"{tmp_path}/table"], f"{tmp_path}/out", None):
        merge_manifest(ManifestPlan(manifest), Fields(), {"/a.mp4": MUSIC}, retag=False)
    query = f"SELECT day, video_audio_tags FROM '{tmp_path}/out/*/*.parquet' ORDER BY day"
    with duckdb.connect() as connection:
        assert connection.execute(query).fetchall() == [(1, ["Music"]), (2, ["Music"])]
    assert pd.read_parquet(tmp_path / "out")["day"].astype(int).to_list() == [1, 2]
    assert pl.read_parquet(f"{tmp_path}/out/")["day"].to_list() == [1, 2]
