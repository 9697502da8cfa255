"""Packs: what was put is there, by few requests; what is damaged is not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import StorageError
from tasks.packs import Packs
from tests.conftest import S3Server

CONTENTS = {f"video-{number}": f"label {number}".encode() * number for number in range(100)}


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "cache" / "tags-2")
    server: S3Server = request.getfixturevalue("s3")
    return f"{server.bucket()}/cache/tags-2"


def test_what_was_put_is_there_for_this_run_and_the_next(folder: str) -> None:
    packs = Packs(folder)
    assert packs.get(list(CONTENTS)) == {}
    packs.put(CONTENTS)
    assert packs.get(["video-3", "video-1000", "video-0"]) == {
        "video-3": CONTENTS["video-3"],
        "video-0": b"",
    }
    assert Packs(folder).get(list(CONTENTS)) == CONTENTS


def test_many_packs_are_one_table(folder: str) -> None:
    for key, content in list(CONTENTS.items())[:10]:
        Packs(folder).put({key: content})
    found = Packs(folder).get(list(CONTENTS))
    assert found == dict(list(CONTENTS.items())[:10])


def test_the_last_one_put_is_taken_within_a_run(folder: str) -> None:
    packs = Packs(folder)
    packs.put({"a": b"old"})
    assert packs.get(["a"]) == {"a": b"old"}
    packs.put({"a": b"new"})
    assert packs.get(["a"]) == {"a": b"new"}


def test_a_run_on_s3_asks_once_for_each_pack(s3: S3Server) -> None:
    folder = f"{s3.bucket()}/tags-2"
    for start in range(0, 100, 50):
        Packs(folder).put(dict(list(CONTENTS.items())[start : start + 50]))
    packs = Packs(folder)
    s3.requests.clear()
    packs.get(["of no video"])
    assert [request.split(" ")[0] for request in s3.requests] == ["GET"] * 3  # a listing, two heads
    s3.requests.clear()
    packs.get(["of no video"])
    assert s3.requests == []
    packs.get(list(CONTENTS))
    assert len(s3.requests) == 2


def _spoil(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


@pytest.mark.parametrize("offset", [0, 4, 8, 20, 60])
def test_a_pack_with_a_damaged_index_is_not_there(tmp_path: Path, offset: int) -> None:
    Packs(str(tmp_path)).put(CONTENTS)
    Packs(str(tmp_path)).put({"b": b"whole"})
    damaged = max(tmp_path.glob("*.pack"), key=lambda path: path.stat().st_size)
    _spoil(damaged, lambda content: content.__setitem__(offset, content[offset] ^ 0x40))
    assert Packs(str(tmp_path)).get([*CONTENTS, "b"]) == {"b": b"whole"}


def test_a_damaged_content_costs_its_own_entry(tmp_path: Path) -> None:
    Packs(str(tmp_path)).put(CONTENTS)
    [pack] = tmp_path.glob("*.pack")
    _spoil(pack, lambda content: content.__setitem__(-1, content[-1] ^ 0x40))
    found = Packs(str(tmp_path)).get(list(CONTENTS))
    assert CONTENTS.keys() - found.keys() == {"video-99"}


def test_a_pack_that_was_cut_off_gives_what_is_left(tmp_path: Path) -> None:
    Packs(str(tmp_path)).put(CONTENTS)
    [pack] = tmp_path.glob("*.pack")
    pack.write_bytes(pack.read_bytes()[:-100])
    found = Packs(str(tmp_path)).get(list(CONTENTS))
    assert 90 < len(found) < 100
    assert all(found[key] == CONTENTS[key] for key in found)
    pack.write_bytes(pack.read_bytes()[:30])
    assert Packs(str(tmp_path)).get(list(CONTENTS)) == {}


def test_a_pack_that_another_run_removed_is_not_there(tmp_path: Path) -> None:
    packs = Packs(str(tmp_path))
    packs.put(CONTENTS)
    for pack in tmp_path.glob("*.pack"):
        pack.unlink()
    assert packs.get(list(CONTENTS)) == {}


def test_a_folder_that_takes_no_files_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Packs(str(tmp_path / "file" / "tags-2")).put(CONTENTS)
