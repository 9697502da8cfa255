"""The start of an object on S3 stays without travelling, on condition that it is still the same."""

import os
from pathlib import Path

import pytest

from tasks import storage
from tasks.errors import FailureKind, StorageError
from tasks.storage import s3 as s3_store
from tasks.storage import s3_copy
from tests.conftest import S3Server

PART = s3_copy.MIN_PART_BYTES
SIZES = [0, 1, PART - 1, PART, PART + 1, 2 * PART + 1]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts nearly as small as S3 takes them: halves of these are what it takes."""
    monkeypatch.setattr(s3_store, "PART_BYTES", PART)
    monkeypatch.setattr(s3_copy, "COPY_BYTES", 2 * PART)
    monkeypatch.setattr(s3_copy, "CARRY_BYTES", 2 * PART)


@pytest.fixture
def end(tmp_path: Path) -> Path:
    path = tmp_path / "end"
    path.write_bytes(b"the new end")
    return path


@pytest.fixture(params=["copies", "cannot copy"])
def copying(
    request: pytest.FixtureRequest, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> S3Server:
    monkeypatch.setattr(s3, "copies", request.param == "copies")
    return s3


@pytest.mark.parametrize("keep", SIZES)
@pytest.mark.parametrize("new_bytes", [11, PART + 3])
def test_the_end_of_an_object_is_replaced(
    keep: int, new_bytes: int, copying: S3Server, end: Path
) -> None:
    url, old = f"{copying.bucket()}/m #1?.parquet", os.urandom(keep + 100)
    copying.put(url, old, ContentType="application/x-parquet", Metadata={"owner": "me"})
    end.write_bytes(b"e" * new_bytes)
    storage.replace(url, end, storage.identify(url), keep)
    assert copying.get(url) == old[:keep] + end.read_bytes()
    bucket, _, key = url.removeprefix("s3://").partition("/")
    head = copying.client.head_object(Bucket=bucket, Key=key)
    assert (head["ContentType"], head["Metadata"]) == ("application/x-parquet", {"owner": "me"})


def test_what_stays_does_not_travel(s3: S3Server, end: Path) -> None:
    url, old = f"{s3.bucket()}/m.parquet", os.urandom(4 * PART)
    s3.put(url, old)
    expected = storage.identify(url)
    received, sent = s3.received, s3.sent
    storage.replace(url, end, expected, 4 * PART - 9)
    assert s3.received - received < 10_000
    assert s3.sent - sent < 10_000
    assert s3.get(url) == old[:-9] + end.read_bytes()


@pytest.mark.parametrize("keep", [3, 3 * PART])
def test_another_object_is_left_alone(keep: int, s3: S3Server, end: Path) -> None:
    bucket = s3.bucket()
    url = f"{bucket}/m.parquet"
    s3.put(url, os.urandom(4 * PART))
    expected = storage.identify(url)
    others = os.urandom(4 * PART)
    s3.put(url, others)
    with pytest.raises(StorageError) as refused:
        storage.replace(url, end, expected, keep)
    assert refused.value.kind is FailureKind.CHANGED
    assert s3.get(url) == others
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=bucket.removeprefix("s3://"))


def test_a_refused_copy_leaves_the_object_and_no_upload(s3: S3Server, end: Path) -> None:
    bucket = s3.bucket()
    url, old = f"{bucket}/m.parquet", os.urandom(3 * PART)
    s3.put(url, old)
    with pytest.raises(StorageError):
        storage.replace(url, end, storage.identify(url), 9 * PART)  # more than there is
    assert s3.get(url) == old
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=bucket.removeprefix("s3://"))
