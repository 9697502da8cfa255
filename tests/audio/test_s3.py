"""Videos on S3 are read in place: a few blocks, and only as long as they stay the same."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tasks.errors import TransientError, VideoError
from tasks.storage import Identity
from tests.audio.counted import BUCKET, CountedS3
from tests.audio.hearing import first_clip
from tests.audio.media import melody, write_long_media, write_media

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def far_pool(s3_server: CountedS3) -> Iterator[DecoderPool]:
    """A pool whose children have started with the server's address."""
    with DecoderPool(1) as pool:
        yield pool


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_media(tmp_path / "a.mp4", melody(1, 48_000), 48_000)


@pytest.mark.parametrize(
    ("name", "options", "megabytes", "requests"),
    [
        ("index-last.mp4", {}, 5.0, 5),
        ("index-first.mp4", {"movflags": "faststart"}, 4.5, 4),
        ("a.mkv", {}, 1.2, 2),
    ],
)
def test_the_start_of_a_long_video_costs_little(
    s3_server: CountedS3,
    far_pool: DecoderPool,
    window: Window,
    tmp_path: Path,
    name: str,
    options: dict[str, str],
    megabytes: float,
    requests: int,
) -> None:
    # 105 minutes in 214 MB, with an index of 3.4 MB.
    path = write_long_media(tmp_path / name, 6_300, 114 * MEGABYTE, options)
    assert path.stat().st_size == pytest.approx(214 * MEGABYTE, rel=0.03)
    url, identity = s3_server.put(path)

    extracted = far_pool.extract(url, window, identity)

    assert first_clip(extracted).samples.size == window.num_samples
    assert extracted.bytes_read == s3_server.bytes_sent <= megabytes * MEGABYTE
    assert set(s3_server.requests) == {"GET"}
    assert len(s3_server.requests) <= requests


@pytest.mark.parametrize(
    ("name", "options", "requests"),
    [
        ("index-last.mp4", {}, 5),
        ("index-first.mp4", {"movflags": "faststart"}, 4),
        ("a.mkv", {}, 4),
    ],
)
def test_each_window_more_costs_a_request_and_a_megabyte(
    s3_server: CountedS3,
    far_pool: DecoderPool,
    window: Window,
    tmp_path: Path,
    name: str,
    options: dict[str, str],
    requests: int,
) -> None:
    path = write_long_media(tmp_path / name, 6_300, 114 * MEGABYTE, options)
    url, identity = s3_server.put(path)

    with far_pool.extract(url, window, identity, 6).clips as clips:
        assert len(clips) == 6

    assert len(s3_server.requests) <= requests + 5 + 1  # where does the sound end
    assert s3_server.bytes_sent <= (requests + 5 + 1) * 2**20


def test_a_short_video_is_one_request(
    s3_server: CountedS3, far_pool: DecoderPool, window: Window, video: Path
) -> None:
    url, identity = s3_server.put(video)

    extracted = far_pool.extract(url, window, identity)

    assert extracted.bytes_read == video.stat().st_size == s3_server.bytes_sent
    assert s3_server.requests == ["GET"]


def test_without_an_identity_it_is_asked_for(
    s3_server: CountedS3, far_pool: DecoderPool, window: Window, video: Path
) -> None:
    url, _ = s3_server.put(video)

    assert not far_pool.extract(url, window).empty
    assert s3_server.requests == ["HEAD", "GET"]


def test_a_video_that_changed_since_it_was_looked_at(
    s3_server: CountedS3, far_pool: DecoderPool, window: Window, video: Path
) -> None:
    url, now = s3_server.put(video)

    with pytest.raises(VideoError) as caught:
        far_pool.extract(url, window, Identity(now.size, "0" * 32))

    assert caught.value.kind == "changed"
    assert s3_server.bytes_sent < 1_000  # the words of the refusal


def test_a_video_that_comes_short_is_tried_again_another_time(
    s3_server: CountedS3, far_pool: DecoderPool, window: Window, video: Path
) -> None:
    url, now = s3_server.put(video)

    with pytest.raises(TransientError):
        far_pool.extract(url, window, Identity(now.size + 1, now.token))


def test_a_missing_video_is_final_at_once(
    s3_server: CountedS3, far_pool: DecoderPool, window: Window
) -> None:
    s3_server.reset()

    with pytest.raises(VideoError) as caught:
        far_pool.extract(f"s3://{BUCKET}/none.mp4", window, Identity(1_000, "0" * 32))

    assert caught.value.kind == "missing"
    assert len(s3_server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [("403 Forbidden", "forbidden"), ("404 Not Found", "missing")]
)
def test_a_refusal_is_final_at_once(
    s3_server: CountedS3,
    far_pool: DecoderPool,
    window: Window,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    kind: str,
) -> None:
    url, identity = s3_server.put(video)
    monkeypatch.setattr(s3_server, "failing", status)

    with pytest.raises(VideoError) as caught:
        far_pool.extract(url, window, identity)

    assert caught.value.kind == kind
    assert len(s3_server.requests) == 1


def test_a_server_in_trouble_is_tried_again_another_time(
    s3_server: CountedS3,
    far_pool: DecoderPool,
    window: Window,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, identity = s3_server.put(video)
    monkeypatch.setattr(s3_server, "failing", "503 Slow Down")

    with pytest.raises(TransientError):
        far_pool.extract(url, window, identity)

    monkeypatch.undo()
    assert not far_pool.extract(url, window, identity).empty


@pytest.mark.slow  # s3fs itself tries for ten seconds
def test_a_server_that_is_not_there(
    s3_server: CountedS3, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with DecoderPool(1) as pool, pytest.raises(TransientError):
        pool.extract(f"s3://{BUCKET}/a.mp4", window, Identity(1_000, "0" * 32))


def test_an_empty_object(
    s3_server: CountedS3, far_pool: DecoderPool, window: Window, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    url, identity = s3_server.put(tmp_path / "a.mp4")

    with pytest.raises(VideoError) as caught:
        far_pool.extract(url, window, identity)

    assert caught.value.kind == "empty-file"


@pytest.mark.parametrize("key", ["a::b.mp4", "v/[x]::y z.mp4", "zip::a.mp4"])
def test_any_key_is_a_video(
    s3_server: CountedS3, far_pool: DecoderPool, window: Window, video: Path, key: str
) -> None:
    url, identity = s3_server.put(video, key)
    assert not far_pool.extract(url, window, identity).empty


def test_a_member_of_an_archive_is_a_video(
    s3_server: CountedS3, far_pool: DecoderPool, window: Window, video: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(video, "v/a.mp4")
    remote, _ = s3_server.put(tmp_path / "z.zip")
    for url in (f"zip://v/a.mp4::{remote}", f"zip://v/a.mp4::{tmp_path}/z.zip"):
        assert not far_pool.extract(url, window).empty
