"""The cache: by content, whole or not at all, local and on S3."""

import pickle
import resource
from pathlib import Path

import pytest

from tasks.cache import Cache, default_cache, entry_key
from tasks.errors import ConfigurationError
from tasks.pruning import entries
from tests.conftest import S3Server


@pytest.fixture(params=["local", "s3"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Cache:
    if request.param == "local":
        (tmp_path / "cache").mkdir()
        return Cache(str(tmp_path / "cache"))
    server: S3Server = request.getfixturevalue("s3")
    return Cache(f"{server.bucket()}/cache")


def test_what_was_put_is_got(cache: Cache) -> None:
    key = entry_key("clips-1", "video", 1)
    assert cache.get(key) is None
    cache.put(key, b"sound")
    assert cache.get(key) == b"sound"
    cache.put(key, b"")
    assert cache.get(key) == b""


def test_everything_that_decides_the_content_is_in_the_key() -> None:
    keys = {
        entry_key("clips-1", "video", 1),
        entry_key("clips-1", "video", 2),
        entry_key("clips-1", "other", 1),
        entry_key("clips-2", "video", 1),
        entry_key("clips-1", ["video", 1]),
    }
    assert len(keys) == 5
    assert entry_key("clips-1", {"a": 1, "b": 2}) == entry_key("clips-1", {"b": 2, "a": 1})


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "pickle"])
def test_a_damaged_entry_is_a_miss(damage: str, tmp_path: Path) -> None:
    cache, key = Cache(str(tmp_path)), entry_key("tags-1", "video")
    cache.put(key, b'"Speech"')
    entry = tmp_path / key
    content = bytearray(entry.read_bytes())
    if damage == "flip":
        content[-3] ^= 1
    elif damage == "cut":
        del content[-3:]
    elif damage == "empty":
        content.clear()
    else:
        content = bytearray(pickle.dumps("Speech"))
    entry.write_bytes(content)
    assert cache.get(key) is None


def test_a_write_leaves_nothing_but_the_entry(tmp_path: Path) -> None:
    cache, key = Cache(str(tmp_path)), entry_key("clips-1", "video")
    cache.put(key, b"sound")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / key]


def test_a_cache_that_works_passes_its_check(cache: Cache) -> None:
    cache.check()
    assert list(entries(cache)) == []
    assert cache.trouble is None


def test_a_cache_that_cannot_be_used_is_found_at_the_start(tmp_path: Path, s3: S3Server) -> None:
    (tmp_path / "file").write_text("in the way")
    bucket = s3.bucket()
    s3.sealed.add(bucket.removeprefix("s3://"))
    try:
        for url in (str(tmp_path / "file"), f"{bucket}/cache", "s3://no-such-bucket/cache"):
            with pytest.raises(ConfigurationError, match=f"The cache {url} cannot be used"):
                Cache(url).check()
    finally:
        s3.sealed.clear()


def test_an_entry_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    cache, key = Cache(str(tmp_path)), entry_key("clips-1", "video")
    (tmp_path / "clips-1").write_text("in the way")
    cache.put(key, b"sound")
    assert cache.get(key) is None
    assert cache.trouble is not None


def test_an_entry_that_cannot_be_read_is_a_miss(tmp_path: Path) -> None:
    cache, key = Cache(str(tmp_path)), entry_key("clips-1", "video")
    (tmp_path / key).mkdir(parents=True)
    assert cache.get(key) is None


def test_a_full_disk_leaves_no_half_entry(tmp_path: Path) -> None:
    """By a limit on the size of files, which stops a write half way as a full disk does."""
    cache, small, large = Cache(str(tmp_path)), entry_key("tags-1", 1), entry_key("clips-1", 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        cache.put(small, b"Music")
        cache.put(large, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert cache.trouble == "File too large"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / small]


def test_a_folder_that_was_removed_comes_back(tmp_path: Path) -> None:
    """Somebody makes room while a run goes on."""
    cache, key = Cache(str(tmp_path / "gone")), entry_key("clips-1", "video")
    cache.put(key, b"sound")
    assert (cache.get(key), cache.trouble) == (b"sound", None)


def test_the_default_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == "/somewhere/video-audio-tags"
