"""What failed is not decoded again until it changes, the decoder does, or the user asks."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import kept
from tasks.audio.pool import DecoderPool, Extracted
from tasks.audio.version import decoder_version
from tasks.cache import Cache
from tasks.errors import OF_CONTENT, Failure, FailureKind
from tasks.extract import extract_unit
from tasks.identify import Video
from tasks.kept import keep_failures, known_failures
from tasks.model import CheckpointId
from tasks.storage import Identity
from tasks.tagger import Tagger, TaggerRequest
from tests.audio.media import tone, write_media
from tests.conftest import S3Server
from tests.flows.conftest import DEMO_MODEL
from tests.storage.conftest import put

# S3 first: the decoder processes take over the environment that they are started in.
pytestmark = pytest.mark.usefixtures("s3")

Night = Callable[..., tuple[list[Failure], list[str]]]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


@pytest.fixture
def tagger() -> Tagger:
    return Tagger.find(TaggerRequest(CheckpointId(DEMO_MODEL), "mix", "cpu", "float32", 2))


@pytest.fixture
def night(tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    """Extracts a unit as another run would: its failures, and what was decoded."""
    Cache(str(tmp_path / "cache")).check()
    decoded: list[str] = []
    extract = DecoderPool.extract

    def spied(self: DecoderPool, url: str, *options: object) -> Extracted:
        decoded.append(Path(url).name)
        return extract(self, url, *options)  # type: ignore[arg-type]

    monkeypatch.setattr(DecoderPool, "extract", spied)

    def run(
        *urls: str, retry_failed: bool = False, no_cache: bool = False
    ) -> tuple[list[Failure], list[str]]:
        decoded.clear()
        cache = None if no_cache else Cache(str(tmp_path / "cache"))
        unit = extract_unit(urls, replace(tagger, retry_failed=retry_failed), cache)
        return unit.failed, sorted(decoded)

    return run


@pytest.mark.parametrize("store", ["local", "s3"])
def test_it_is_not_decoded_again_until_something_changes(
    store: str, night: Night, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"{tmp_path}" if store == "local" else s3.bucket()
    text, good = f"{base}/text.mp4", f"{base}/good.wav"
    write_media(tmp_path / "good.wav", tone(1, 16_000), 16_000, "pcm_s16le")
    put(s3, good, (tmp_path / "good.wav").read_bytes())
    put(s3, text, b"not a video")
    first, decoded = night(text, good)
    assert decoded == ["good.wav", "text.mp4"]
    [failure] = first
    assert (failure.url, failure.kind) == (text, FailureKind.NOT_MEDIA)
    assert failure.content is not None
    assert failure.content.startswith("11 bytes, ")
    assert night(text, good) == (first, []), "the same failure, and nothing is decoded"
    assert night(text, retry_failed=True) == (first, ["text.mp4"])
    assert night(text, no_cache=True) == (first, ["text.mp4"])
    assert night(text) == (first, [])
    monkeypatch.setattr(kept, "decoder_version", lambda: f"newer than {decoder_version()}")
    assert night(text) == (first, ["text.mp4"])
    assert night(text) == (first, [])
    put(s3, text, b"still no video")
    again, decoded = night(text)
    assert decoded == ["text.mp4"]
    assert again[0].content != failure.content
    put(s3, text, (tmp_path / "good.wav").read_bytes())
    assert night(text) == ([], ["text.mp4"])


def test_a_missing_video_is_asked_for_every_time(night: Night, tmp_path: Path) -> None:
    video = tmp_path / "late.wav"
    for _ in range(2):
        failed, decoded = night(str(video))
        assert ([failure.kind for failure in failed], decoded) == ([FailureKind.MISSING], [])
    write_media(video, tone(1, 16_000), 16_000, "pcm_s16le")
    assert night(str(video)) == ([], ["late.wav"])


@pytest.mark.parametrize("kind", FailureKind)
def test_only_what_the_same_bytes_are_again_is_kept(
    kind: FailureKind, tagger: Tagger, cache: Cache
) -> None:
    video = Video("s3://b/a.mp4", Identity(9, "etag"))
    failure = Failure(video.url, kind, "a reason", "9 bytes, etag")
    keep_failures({video: failure}, tagger, cache)
    assert known_failures([video], tagger, cache) == (
        {video.url: failure} if kind in OF_CONTENT else {}
    )
    passing = {"timeout", "crashed", "missing", "forbidden", "unreachable", "changed", "internal"}
    assert not (kind in OF_CONTENT and kind in passing)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{}", b"[]", b'["corrupt"]', b'["odd", ""]', b'["corrupt", 7]', b"[" * 100_000],
)
def test_an_entry_that_makes_no_sense_is_not_there(
    content: bytes, tagger: Tagger, cache: Cache
) -> None:
    video = Video("s3://b/a.mp4", Identity(9, "etag"))
    cache.put_packed({kept.failure_key(video, tagger): content})
    assert known_failures([video], tagger, cache) == {}


def test_a_reason_in_a_shared_cache_is_shown_without_what_acts_on_a_screen(
    tagger: Tagger, cache: Cache
) -> None:
    video = Video("s3://b/a.mp4", Identity(9, "etag"))
    reason = json.dumps(["corrupt", "\x1b[31m at https://h/a?SECRET"]).encode()
    cache.put_packed({kept.failure_key(video, tagger): reason})
    assert (
        known_failures([video], tagger, cache)[video.url].reason == "\\x1b[31m at https://h/a?..."
    )


def test_the_version_names_the_libraries_and_the_code() -> None:
    version = decoder_version()
    assert "PyAV " in version
    assert "libavcodec " in version
    assert "code " in version
