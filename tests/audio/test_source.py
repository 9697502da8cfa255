"""The file that FFmpeg reads through behaves as FFmpeg expects, also beyond the end."""

import io
from collections.abc import Callable
from errno import EINVAL
from io import SEEK_CUR, SEEK_END
from pathlib import Path

import fsspec
import pytest

from tasks.audio.source import BLOCK_SIZE, Source

pytestmark = pytest.mark.long

CONTENT = bytes(range(256)) * 8 * 1024  # two blocks


def memory(tmp_path: Path) -> Source:
    return Source(io.BytesIO(CONTENT))


def local(tmp_path: Path) -> Source:
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    return Source(fsspec.open(str(path), "rb").open())


def in_blocks(tmp_path: Path) -> Source:
    class Far(fsspec.spec.AbstractBufferedFile):  # type: ignore[misc]
        def _fetch_range(self, start: int, end: int) -> bytes:
            return CONTENT[start:end]

    return Source(Far(fsspec.filesystem("memory"), "a", size=len(CONTENT)))


@pytest.mark.parametrize("opened", [memory, local, in_blocks])
def test_reading_ends_at_the_end_and_beyond(
    tmp_path: Path, opened: Callable[[Path], Source]
) -> None:
    source = opened(tmp_path)
    assert source.size == len(CONTENT)
    for offset in (len(CONTENT), len(CONTENT) + 1, 2**40, 2**62):
        assert source.seek(offset) == offset == source.tell()
        assert source.read(10) == b""
    assert source.seek(-3, SEEK_END) == len(CONTENT) - 3
    assert source.read(10) == CONTENT[-3:]
    assert source.seek(5) == 5
    assert source.seek(7, SEEK_CUR) == 12
    assert source.read(4) == CONTENT[12:16]
    assert source.tell() == 16


@pytest.mark.parametrize("opened", [memory, local, in_blocks])
def test_an_offset_before_the_start_is_refused_without_an_exception(
    tmp_path: Path, opened: Callable[[Path], Source]
) -> None:
    source = opened(tmp_path)
    source.seek(100)

    assert source.seek(-1) == -EINVAL
    assert source.seek(-len(CONTENT) - 1, SEEK_END) == -EINVAL
    assert source.read(1) == CONTENT[100:101]


def test_a_block_begins_where_it_is_read(tmp_path: Path) -> None:
    source = in_blocks(tmp_path)
    source.seek(1_000)

    assert source.read(10) == CONTENT[1_000:1_010]
    assert source.bytes_read == BLOCK_SIZE
    source.seek(0)
    assert source.read(2_000) == CONTENT[:2_000]
    assert source.bytes_read == BLOCK_SIZE + 1_000
