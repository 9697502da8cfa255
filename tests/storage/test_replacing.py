"""A file is replaced in one step, and never another than was expected."""

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from tasks import storage
from tasks.errors import StorageError
from tasks.storage import s3 as s3_store
from tests.conftest import S3Server


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "scratch"
    path.write_bytes(b"new content\n")
    return path


def test_versions_of_ours_never_share_an_identity(tmp_path: Path) -> None:
    url, seen = f"{tmp_path}/m.jsonl", set()
    expected = None
    for number in range(50):
        with storage.scratch(url) as path:
            path.write_bytes(b"%02d\n" % number)
            storage.replace(url, path, expected)
        expected = storage.identify(url)
        seen.add(expected)
    assert len(seen) == 50


def test_large_objects_go_up_in_parts_on_the_same_condition(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 << 20)
    url, path = f"{s3.bucket()}/m.jsonl", tmp_path / "big"
    s3.put(url, b"{}\n", ContentType="application/x-ndjson")
    content = os.urandom(12 << 20)
    path.write_bytes(content)
    before, old = len(s3.requests), storage.identify(url)
    storage.replace(url, path, old)
    assert s3.get(url) == content
    assert sum("partNumber=" in request for request in s3.requests[before:]) == 3
    for wrong in (old, None):
        with pytest.raises(StorageError, match=r"changed|written"):
            storage.replace(url, path, wrong)
    bucket, _, key = url.removeprefix("s3://").partition("/")
    assert s3.client.head_object(Bucket=bucket, Key=key)["ContentType"] == "application/x-ndjson"
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=bucket)


def test_a_killed_upload_leaves_nothing_that_is_listed(s3: S3Server) -> None:
    bucket = s3.bucket()
    s3.put(f"{bucket}/m.jsonl", b"{}\n")
    name = bucket.removeprefix("s3://")
    upload = s3.client.create_multipart_upload(Bucket=name, Key="half.jsonl")
    s3.client.upload_part(Bucket=name, Key="half.jsonl", PartNumber=1, Body=b"x",
                          UploadId=upload["UploadId"])  # fmt: skip
    assert storage.list_files(bucket).files == [f"{bucket}/m.jsonl"]


def test_a_local_file_that_may_not_be_written_is_refused(tmp_path: Path, new: Path) -> None:
    with pytest.raises(StorageError):
        storage.replace("/proc/nope/m.jsonl", new, None)


@pytest.mark.parametrize("hidden", [".m.jsonl.lock", ".m.jsonl.tmp"])
def test_nothing_is_written_through_a_planted_link(tmp_path: Path, new: Path, hidden: str) -> None:
    url, victim = tmp_path / "m.jsonl", tmp_path / "victim"
    url.write_bytes(b"old\n")
    (tmp_path / hidden).symlink_to(victim)
    with suppress(StorageError):
        storage.replace(str(url), new, storage.identify(str(url)))
    assert not victim.exists()


def test_a_private_file_has_private_drafts(tmp_path: Path) -> None:
    old, copy = tmp_path / "m.jsonl", tmp_path / "out" / "m.jsonl"
    old.write_bytes(b"old\n")
    for mode, public in ((0o600, 0o600), (0o640, 0o640), (0o444, 0o644)):
        old.chmod(mode)
        with storage.scratch(str(old)) as scratch:
            assert stat.S_IMODE(scratch.stat().st_mode) == 0o600
            storage.replace(str(old), scratch, storage.identify(str(old)))
        assert stat.S_IMODE(old.stat().st_mode) == mode
        with storage.scratch(str(copy), like=str(old)) as scratch:
            assert stat.S_IMODE(scratch.stat().st_mode) == public


@pytest.mark.parametrize(
    "name", ["a" * 249 + ".jsonl", "漢" * 83 + ".jsonl", "é" * 124 + "a.jsonl"]
)
def test_a_name_as_long_as_a_name_may_be(tmp_path: Path, new: Path, name: str) -> None:
    url = f"{tmp_path}/{name}"
    assert len(name.encode()) == 255
    storage.replace(url, new, None)
    with storage.scratch(url) as scratch:
        scratch.write_bytes(b"newer\n")
        storage.replace(url, scratch, storage.identify(url))
    assert Path(url).read_bytes() == b"newer\n"
    assert {path.name for path in tmp_path.iterdir()} == {name, "scratch"}


def test_a_folder_is_writable_if_a_file_can_be_made_there(tmp_path: Path) -> None:
    storage.require_writable(f"{tmp_path}/not/yet")
    (tmp_path / "file").touch()
    for folder, reason in (
        (f"{tmp_path}/file/sub", "Not a directory"),
        ("/proc/nope", "no file can be made there"),
    ):
        with pytest.raises(StorageError, match=f"cannot be written: .*{reason}"):
            storage.require_writable(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "url", ["https://h/m.jsonl", "zip://m.jsonl::s3://b/x.zip", "simplecache::https://h/m.jsonl"]
)
def test_a_store_that_is_only_read_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="is only read"):
        storage.require_writable(storage.parent(url))


@pytest.mark.parametrize(("content", "stays"), [(b"crc\0\0\0\2\0abcd", False), (b"mine", True)])
def test_the_checksum_of_hadoop_goes(
    tmp_path: Path, new: Path, content: bytes, stays: bool
) -> None:
    """Spark writes it beside a local file, and refuses to read another file by this name."""
    old, checksum = tmp_path / "part-0.json", tmp_path / ".part-0.json.crc"
    old.write_bytes(b"old\n")
    checksum.write_bytes(content)
    storage.replace(str(old), new, storage.identify(str(old)))
    assert checksum.exists() == stays
