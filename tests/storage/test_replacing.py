"""A file is replaced in one step, and never another than was expected."""

import os
from pathlib import Path

import pytest

from tasks import storage
from tasks.errors import StorageError
from tasks.storage import s3 as s3_store
from tests.conftest import S3Server
from tests.storage.conftest import put


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "scratch"
    path.write_bytes(b"new content\n")
    return path


def content_of(url: str) -> bytes:
    with storage.open_for_reading(url, seekable=False).stream as stream:
        return stream.read()


def test_replace_what_was_expected(file: str, new: Path) -> None:
    storage.replace(file, new, storage.identify(file))
    assert content_of(file) == b"new content\n"


def test_never_replace_something_else(file: str, new: Path, s3: S3Server) -> None:
    expected = storage.identify(file)
    put(s3, file, b"someone else's\n")
    for wrong in (expected, None):
        with pytest.raises(StorageError, match=r"changed|written"):
            storage.replace(file, new, wrong)
    with pytest.raises(StorageError, match=r"changed|written"):
        storage.replace(file + ".gone.jsonl", new, expected)
    assert content_of(file) == b"someone else's\n"


def test_create_what_was_not_there(file: str, new: Path) -> None:
    url = storage.join(storage.parent(file), "out/n.jsonl")
    if not file.startswith("s3://"):
        Path(url).parent.mkdir()
    storage.replace(url, new, None)
    assert content_of(url) == b"new content\n"


def test_overwrite_and_remove(file: str, new: Path) -> None:
    storage.overwrite(file, new)
    assert content_of(file) == b"new content\n"
    storage.remove(file)
    storage.remove(file)
    with pytest.raises(StorageError):
        storage.identify(file)


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
    assert storage.list_files(bucket) == [f"{bucket}/m.jsonl"]


def test_a_local_file_that_may_not_be_written_is_refused(tmp_path: Path, new: Path) -> None:
    with pytest.raises(StorageError):
        storage.replace("/proc/nope/m.jsonl", new, None)


def test_any_other_store_is_replaced_too(new: Path) -> None:
    url = "memory://replace/m.jsonl"
    storage.replace(url, new, None)
    assert content_of(url) == b"new content\n"
    with pytest.raises(StorageError, match=r"changed|written"):
        storage.replace(url, new, storage.Identity(1, "other"))
    storage.replace(url, new, storage.identify(url))
    assert storage.list_files("memory://replace") == [url]
