"""The cache forgets what nobody uses, and nothing else."""

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from flows import cache as command
from tasks.cache import Cache, entry_key
from tasks.pruning import Pruned, entries, prune, prune_if_due
from tests.conftest import S3Server

DAY = 86_400


def aged(cache: Cache, days: float, *parts: object) -> str:
    """A local entry that was last used so long ago."""
    key = entry_key("clips-2", *parts)
    cache.put(key, b"sound")
    moment = time.time() - days * DAY
    os.utime(f"{cache.url}/{key}", (moment, moment))
    return key


def test_only_what_is_old_goes(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    old, young = aged(cache, 31, "old"), aged(cache, 29, "young")
    half_written = tmp_path / f"{old}.{uuid4().hex}"
    half_written.write_bytes(b"killed")
    os.utime(half_written, (0, 0))
    pruned = prune(cache, days=30)
    assert pruned.entries == 2
    assert cache.get(old) is None
    assert cache.get(young) == b"sound"
    assert not half_written.exists()


def test_a_command_line_asks_for_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aged(Cache(str(tmp_path)), 90, "old")
    for days in ("abc", "-1", "nan"):
        with pytest.raises(SystemExit):
            command.main(["prune", "--cache", str(tmp_path), "--days", days])
        assert "must be a number of days, 0 or more" in capsys.readouterr().err
    assert command.main(["prune", "--cache", str(tmp_path), "--days", "1e400"]) == 0
    assert "removed 0" in capsys.readouterr().out


def test_what_is_not_its_own_stays(tmp_path: Path) -> None:
    """Somebody may name a folder as the cache that holds their videos."""
    cache = Cache(str(tmp_path))
    keys = [entry_key("clips-2", "a"), entry_key("tags-2", "a")]
    for key in keys:
        cache.put(key, b"sound")
    foreign = ["mine.mp4", "videos/ab/mine.mp4", "clips-2/ab/mine.mp4", f"{keys[0]}.mp4"]
    for name in foreign:
        cache.fs.makedirs(f"{cache.root}/{name}".rpartition("/")[0], exist_ok=True)
        cache.fs.pipe_file(f"{cache.root}/{name}", b"mine")
    assert prune(cache, days=1).entries == 0
    assert prune(cache, days=0).entries == 2
    assert [cache.get(key) for key in keys] == [None, None]
    assert all(cache.fs.cat_file(f"{cache.root}/{name}") == b"mine" for name in foreign)


def test_reading_is_using(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    key = aged(cache, 40)
    assert cache.get(key) == b"sound"
    assert prune(cache, days=30) == Pruned()


def test_runs_prune_once_a_day(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "new"))
    assert prune_if_due(cache, 30) == Pruned()
    aged(cache, 31, 1)
    assert prune_if_due(cache, 30) == Pruned()
    yesterday = time.time() - 1.1 * DAY
    os.utime(tmp_path / "new" / "pruned", (yesterday, yesterday))
    assert prune_if_due(cache, 30).entries == 1


def test_on_s3_a_lifecycle_rule_removes_what_is_old(
    s3: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = Cache(f"{s3.bucket()}/cache")
    for number in range(20):
        cache.put(entry_key("tags-2", number), b"Music")
    assert prune_if_due(cache, 0) == Pruned()
    assert command.main(["prune", "--cache", cache.url, "--days", "0.001"]) == 1
    assert "a lifecycle rule" in " ".join(capsys.readouterr().err.split())
    assert len(list(entries(cache))) == 20


def test_command_shows_then_prunes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = Cache(str(tmp_path))
    aged(cache, 90, "old")
    aged(cache, 3, "young")
    assert command.main(["show", "--cache", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "longer ago" in shown
    assert "this week" in shown
    assert command.main(["prune", "--cache", str(tmp_path), "--days", "30"]) == 0
    with pytest.raises(SystemExit):
        command.main(["prune", "--cache", str(tmp_path), "--days=-1"])
    pruned = capsys.readouterr().out
    assert "removed 1 entry" in pruned
    assert "longer ago" not in pruned


def test_command_on_an_empty_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["show", "--cache", str(tmp_path / "none")]) == 0
    assert "the cache is empty" in capsys.readouterr().out


def test_command_refuses_what_no_store_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["show", "--cache", "nonsense://bucket"]) == 1
    assert "nonsense" in capsys.readouterr().err
