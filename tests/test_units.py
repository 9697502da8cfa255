"""Units: whatever one video does costs that video, in the extraction and in the tagging."""

import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks import identify as identification
from tasks.audio.clip import Clip
from tasks.audio.window import Windows
from tasks.cache import Cache
from tasks.errors import ConfigurationError, FailureKind
from tasks.extract import extract_unit
from tasks.identify import Video
from tasks.kept import clip_key, known_clips
from tasks.model import CheckpointId
from tasks.pruning import entries, prune
from tasks.scores import VideoScores
from tasks.storage import identify
from tasks.tag import Logits, tag_unit
from tasks.tagger import Tagger, TaggerRequest
from tasks.units import TaggedUnit
from tests.audio.media import melody, tone, write_media
from tests.flows.conftest import DEMO_MODEL
from tests.web import serving

# S3 first: the decoder processes take over the environment that they are started in.
pytestmark = pytest.mark.usefixtures("s3")


@pytest.fixture
def good(tmp_path: Path) -> str:
    return str(write_media(tmp_path / "good.wav", tone(1, 16_000), 16_000, "pcm_s16le"))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    (tmp_path / "cache").mkdir()
    return Cache(str(tmp_path / "cache"))


@pytest.fixture
def tagger() -> Tagger:
    return Tagger.find(TaggerRequest(CheckpointId(DEMO_MODEL), "mix", "cpu", "float32", 2))


def label(tagged: TaggedUnit, url: str, tagger: Tagger) -> str:
    return tagger.labels[int(tagged.scores[url].top[0])]


@pytest.mark.parametrize(
    "url",
    [
        "zip://a.mp4::{folder}/not.zip",
        "tar://a.mp4::{folder}/not.tar",
        "s3://bucket/a::b.mp4",
        "data:,nothing",
        "data://broken",
        "generic://x/y.mp4",
        "reference://a.mp4",
        "hf://datasets/",
        "nonsense://a/b.mp4",
        "s3://",
        "{folder}/nul\0byte.mp4",
        "{folder}/" + "long" * 100 + ".mp4",
    ],
)
def test_a_url_that_no_library_takes_costs_itself(
    url: str, good: str, tagger: Tagger, cache: Cache, tmp_path: Path
) -> None:
    (tmp_path / "not.zip").write_bytes(b"PK\3\4 and no more")
    (tmp_path / "not.tar").write_bytes(bytes(700))
    odd = url.format(folder=tmp_path)
    unit = extract_unit([odd, good], tagger, cache)
    assert [clip.video.url for clip in unit.extracted] == [good]
    [failure] = unit.failed
    assert (failure.url, bool(failure.reason)) == (odd, True)


def test_a_store_that_hangs_costs_its_own_videos(
    good: str, tagger: Tagger, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(environ: object, start_response: object) -> list[bytes]:
        time.sleep(5)
        return []

    monkeypatch.setattr(identification, "IDENTIFY_SECONDS", 1.0)
    with serving(hang) as web:
        started = time.monotonic()
        unit = extract_unit([f"{web}/{number}.mp4" for number in range(40)] + [good], tagger, cache)
        assert time.monotonic() - started < 5
    assert [clip.video.url for clip in unit.extracted] == [good]
    assert {failure.kind for failure in unit.failed} == {FailureKind.UNREACHABLE}
    assert len(unit.failed) == 40


def test_requests_that_never_end_are_bounded(good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identification, "IDENTIFY_SECONDS", 0.2)
    monkeypatch.setattr(identification._requests, "acquire", lambda timeout: False)
    [failure] = identification.identify_videos([good])
    assert not isinstance(failure, Video)
    assert failure.is_transient


def test_an_entry_that_is_no_clip_is_extracted_again(
    good: str, tagger: Tagger, cache: Cache
) -> None:
    """With the right checksum, as only another writer of a shared cache can make it."""
    key, start = clip_key(Video(good, identify(good)), tagger), bytes(8) + b"\1"
    nan = Clip(np.ones(16_000, np.int16), float("nan"), 16_000).to_bytes()
    no_rate = Clip(np.ones(16_000, np.int16), 1.0, 0).to_bytes()
    right = Clip(np.ones(16_000, np.int16), 1.0, 16_000).to_bytes()
    entries = [start + clip for clip in (b"short", nan, nan[:-1], b"CLP1" + nan[4:], no_rate)]
    odd_start = struct.pack("<d?", float("nan"), True) + right
    more_to_come = struct.pack("<d?", 0.0, False) + right
    for content in (b"", b"short", right, odd_start, more_to_come, *entries):
        cache.put(key, content)
        unit = extract_unit([good], tagger, cache)
        assert [clip.cached for clip in unit.extracted] == [False]
    assert [clip.cached for clip in extract_unit([good], tagger, cache).extracted] == [True]


class Odd:
    """A model that fails on one clip, by its length, as a library may; the others it labels."""

    def __init__(self, tagger: Tagger, odd: int, answer: BaseException | None) -> None:
        self.tagger, self.odd, self.answer = tagger, odd, answer
        self.score_key = tagger.score_key

    def predict(self, clips: Iterable[Clip]) -> Iterator[Logits | None]:
        for clip in clips:
            if len(clip.samples) == self.odd and self.answer is not None:
                raise self.answer
            [logits] = self.tagger.predict([clip])
            yield None if len(clip.samples) == self.odd else logits


@pytest.mark.parametrize("answer", [None, RuntimeError("a kernel failed")])
def test_a_clip_on_which_the_model_fails_costs_that_video(
    answer: BaseException | None, tagger: Tagger, cache: Cache, tmp_path: Path
) -> None:
    urls = [
        str(write_media(tmp_path / f"{n}.wav", tone(1 + n / 10, 16_000), 16_000, "pcm_s16le"))
        for n in range(5)
    ]
    unit = extract_unit(urls, tagger, cache)
    odd = Odd(tagger, 19_200, answer)
    tagged = tag_unit(unit, odd, cache)  # type: ignore[arg-type]
    assert set(tagged.scores) == set(urls) - {urls[2]}
    [failure] = tagged.failed
    assert (failure.url, failure.kind) == (urls[2], FailureKind.INTERNAL)
    assert "a kernel failed" in failure.reason or "NaN" in failure.reason


def test_a_model_that_cannot_tag_ends_the_run(tagger: Tagger, cache: Cache, good: str) -> None:
    unit = extract_unit([good], tagger, cache)
    odd = Odd(tagger, 16_000, ConfigurationError("One clip does not fit in memory."))
    with pytest.raises(ConfigurationError):
        tag_unit(unit, odd, cache)  # type: ignore[arg-type]


def test_scores_that_are_damaged_are_computed_again(
    tagger: Tagger, cache: Cache, good: str
) -> None:
    unit = extract_unit([good], tagger, cache)
    first = tag_unit(unit, tagger, cache).scores[good]
    other = VideoScores.of([0.0], np.zeros((1, len(tagger.labels) + 1), np.float32)).to_bytes()
    for content in (b"not scores", first.to_bytes()[:-1], b"", b"SCR1" + b"\xff" * 100, other):
        cache.put_packed({tagger.score_key(unit.extracted[0].video): content})
        again = extract_unit([good], tagger, cache)
        assert (len(again.cached_scores), len(again.extracted)) == (0, 1)
        assert tag_unit(again, tagger, cache).scores[good].to_bytes() == first.to_bytes()
    assert set(extract_unit([good], tagger, cache).cached_scores) == {good}


def test_a_video_without_sound_is_known_too(tagger: Tagger, cache: Cache, tmp_path: Path) -> None:
    silent = str(write_media(tmp_path / "none.wav", tone(0.001, 16_000), 16_000, "pcm_s16le"))
    for expected_known in (0, 1):
        unit = extract_unit([silent], tagger, cache)
        assert len(unit.cached_scores) == expected_known
        assert len(tag_unit(unit, tagger, cache).scores[silent]) == 0


def test_without_a_cache_nothing_is_written(tagger: Tagger, good: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    unit = extract_unit([good], tagger, None)
    assert label(tag_unit(unit, tagger, None), good, tagger) == "Sine wave"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_unit_keeps_one_object_and_clips_where_that_is_asked_for(
    tagger: Tagger, good: str, tmp_path: Path
) -> None:
    for keep, kinds in (("tags", {"scores-1"}), ("clips", {"scores-1", "clips-3"})):
        folder = tmp_path / keep
        folder.mkdir()
        cache = Cache(str(folder), keep)  # type: ignore[arg-type]
        tag_unit(extract_unit([good], tagger, cache), tagger, cache)
        assert {entry.kind for entry in entries(cache)} == kinds
        assert len(list(entries(cache))) == len(kinds)


WINDOWS: list[Windows] = ["start", 3, "all"]


@pytest.fixture
def long(tmp_path: Path) -> str:
    return str(write_media(tmp_path / "long.wav", melody(35, 16_000), 16_000, "pcm_s16le"))


@pytest.mark.parametrize("windows", WINDOWS)
def test_the_sound_of_all_windows_is_kept_where_that_is_asked_for(
    windows: Windows, tagger: Tagger, long: str, good: str, tmp_path: Path
) -> None:
    tagger = replace(tagger, windows=windows)
    for keep in ("auto", "clips"):
        (tmp_path / keep).mkdir()
        first, second = (Cache(str(tmp_path / keep), keep) for _ in range(2))
        new = extract_unit([long, good], tagger, first)
        again = extract_unit([long, good], tagger, second)
        kept = keep == "clips" or windows == "start"
        assert {(one.cached, one.bytes_read > 0) for one in again.extracted} == {(kept, not kept)}
        assert [[*one.clips] for one in again.extracted] == [[*one.clips] for one in new.extracted]
        # Never those of another number of windows.
        for other in WINDOWS:
            if other != windows:
                unit = extract_unit([long], replace(tagger, windows=other), second)
                assert [one.cached for one in unit.extracted] == [False]


def test_of_many_clips_each_must_be_right(
    tagger: Tagger, long: str, good: str, tmp_path: Path
) -> None:
    tagger, cache = replace(tagger, windows=3), Cache(str(tmp_path / "cache"), "clips")
    cache.check()
    extract_unit([long, good], tagger, cache)
    video = Video(long, identify(long))
    for number in range(3):
        entry = tmp_path / "cache" / clip_key(video, tagger, number)
        content = bytearray(entry.read_bytes())
        content[len(content) // 2] ^= 1
        for damaged in (content, content[:-1], b"", None):
            entry.unlink() if damaged is None else entry.write_bytes(damaged)
            unit = extract_unit([long, good], tagger, cache)
            assert [one.cached for one in unit.extracted] == [False, True]
            assert known_clips(video, tagger, cache) is not None


def test_pruning_finds_the_clips_of_all_windows(tagger: Tagger, long: str, tmp_path: Path) -> None:
    tagger, cache = replace(tagger, windows="all"), Cache(str(tmp_path / "cache"), "clips")
    cache.check()
    [extracted] = extract_unit([long], tagger, cache).extracted
    assert [entry.kind for entry in entries(cache)] == ["clips-3"] * len(extracted.clips)
    assert prune(cache, days=0).entries == len(extracted.clips) == 4
    assert known_clips(extracted.video, tagger, cache) is None


def test_a_clip_from_the_cache_begins_when_its_sound_does(
    tagger: Tagger, cache: Cache, tmp_path: Path
) -> None:
    """Where sound starts later than the pictures."""
    late = str(write_media(tmp_path / "late.mkv", tone(2, 44_100), still=True, sound_starts=3))
    starts = []
    for cached in (False, True):
        [one] = extract_unit([late], tagger, cache).extracted
        assert one.cached is cached
        starts.append([start for start, _ in one.clips])
    assert starts[0] == starts[1] == [pytest.approx(3, abs=0.1)]


def test_a_cache_that_takes_nothing_more_costs_only_time(
    tagger: Tagger, cache: Cache, good: str, tmp_path: Path
) -> None:
    (tmp_path / "cache" / "clips-3").write_text("in the way")
    (tmp_path / "cache" / "scores-1").write_text("in the way")
    unit = extract_unit([good], tagger, cache)
    tagged = tag_unit(unit, tagger, cache)
    assert label(tagged, good, tagger) == "Sine wave"
    assert unit.unkept is not None
    assert tagged.unkept is not None
    (tmp_path / "cache" / "clips-3").unlink()
    (tmp_path / "cache" / "scores-1").unlink()
    unit = extract_unit([good], tagger, cache)
    assert (unit.unkept, tag_unit(unit, tagger, cache).unkept) == (None, None)
