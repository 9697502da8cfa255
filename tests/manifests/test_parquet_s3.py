"""A Parquet manifest on S3: only its videos, its tags and its footer travel."""

import io
import os
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.manifests import Fields
from tasks.manifests.files import open_manifest
from tasks.merge import merge
from tasks.storage import s3 as s3_store
from tasks.tags import VideoTags
from tests.conftest import S3Server

ROWS = 6000


class Labels:
    """Outcomes: each video has a label; after ``calls`` of them, once, someone else comes."""

    def __init__(self, label: str, meddle: Callable[[], object] | None = None) -> None:
        self.label, self.meddle = label, meddle

    def get(self, url: str, /) -> VideoTags:
        meddle, self.meddle = self.meddle, None
        if meddle:
            meddle()
        return VideoTags(self.label)


def large(text: str = "x") -> bytes:
    """6 MB, nearly all of it text."""
    rows = pa.table(
        {"videos": [[f"{n}.mp4"] for n in range(ROWS)],
         "text": [text + os.urandom(500).hex() for _ in range(ROWS)]}
    )  # fmt: skip
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="none", use_dictionary=False, row_group_size=2000)
    return sink.getvalue()


def read(content: bytes) -> Any:
    return pq.read_table(io.BytesIO(content))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 << 20)


@pytest.mark.usefixtures("small_parts")
def test_the_other_columns_do_not_travel(s3: S3Server) -> None:
    url, content = f"{s3.bucket()}/m.parquet", large()
    s3.put(url, content, ContentType="application/x-parquet")
    sent, received = s3.sent, s3.received
    with open_manifest(url) as manifest:
        assert sum(1 for _ in manifest.format.read(manifest.stream, Fields())) == ROWS
    assert s3.sent - sent < len(content) / 10
    sent = s3.sent
    assert merge(url, url, Fields(), Labels("Music")).tagged == ROWS
    assert s3.sent - sent < len(content) / 5  # read, and read once more to be compared
    assert s3.received - received < 20_000
    after = s3.get(url)
    assert read(after).select(["videos", "text"]).equals(read(content))
    assert read(after)["video_audio_tags"].to_pylist() == [["Music"]] * ROWS
    assert merge(url, url, Fields(), Labels("Speech"), retag=True).tagged == ROWS
    assert len(s3.get(url)) < len(after) + 100
    assert read(s3.get(url))["video_audio_tags"].to_pylist() == [["Speech"]] * ROWS
    bucket, _, key = url.removeprefix("s3://").partition("/")
    assert s3.client.head_object(Bucket=bucket, Key=key)["ContentType"] == "application/x-parquet"


@pytest.mark.usefixtures("small_parts")
def test_what_another_writes_in_between_is_read_and_tagged(s3: S3Server) -> None:
    url, others = f"{s3.bucket()}/m.parquet", large("y")
    s3.put(url, large())
    assert merge(url, url, Fields(), Labels("Music", lambda: s3.put(url, others))).tagged == ROWS
    found = read(s3.get(url))
    assert found.select(["videos", "text"]).equals(read(others))
    assert found["video_audio_tags"].to_pylist() == [["Music"]] * ROWS


def test_an_output_is_a_whole_copy(s3: S3Server) -> None:
    bucket = s3.bucket()
    url, target = f"{bucket}/m.parquet", f"{bucket}/out/m.parquet"
    content = large()
    s3.put(url, content)
    assert merge(url, target, Fields(), Labels("Music")).tagged == ROWS
    assert s3.get(url) == content
    assert read(s3.get(target))["video_audio_tags"].to_pylist() == [["Music"]] * ROWS
