"""Cut-off files: whatever is missing, a file that has sound when it is whole is never EMPTY."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tasks.errors import VideoError
from tests.audio.hearing import product_hears
from tests.audio.making import CONTAINERS, Container, container_named, make, sound_for
from tests.audio.media import write_long_media

pytestmark = pytest.mark.long

VIDEOS = [container for container in CONTAINERS if container.pictures]

# These say how long they are, so that one without sound can be told from one that was cut off;
# RIFF but roughly.
MEASURED = [
    "mp4",
    "index-first-mp4",
    "mov",
    "3gp",
    "3g2",
    "f4v",
    "avi",
    "mkv",
    "webm",
    "wmv",
    "ogv",
]
SLACK = 9
# These may end anywhere. Of any other nothing proves that it has no sound: a failure.
SILENT = [*MEASURED, "fragmented-mp4", "ismv", "live-mkv", "live-webm", "ts", "mpg", "flv"]

every_container = pytest.mark.parametrize("container", CONTAINERS, ids=lambda found: found.name)
every_video = pytest.mark.parametrize("container", VIDEOS, ids=lambda found: found.name)
cuts = pytest.mark.parametrize("count", [4, pytest.param(50, marks=pytest.mark.slow)])


@cuts
@every_container
def test_a_cut_off_sound_is_never_empty(
    tmp_path: Path, pool: DecoderPool, window: Window, container: Container, count: int
) -> None:
    path = make(tmp_path / "file", container, sound_for(container))

    assert not is_empty(pool, path, window)
    assert lengths_that_are_empty(pool, path, window, count) == []


@cuts
@every_video
def test_a_cut_off_video_whose_sound_begins_late_is_never_empty(
    tmp_path: Path, pool: DecoderPool, window: Window, container: Container, count: int
) -> None:
    path = make(tmp_path / "file", container, sound_for(container), sound_starts=3)

    assert not is_empty(pool, path, window)
    assert lengths_that_are_empty(pool, path, window, count) == []


@cuts
@pytest.mark.parametrize("name", ["ts", "flv"])
def test_sound_that_is_announced_late_is_never_taken_for_none(
    tmp_path: Path, pool: DecoderPool, window: Window, name: str, count: int
) -> None:
    path = tmp_path / "file"
    announced_at = announce_late(path, container_named(name))

    assert not is_empty(pool, path, window)
    empty = lengths_that_are_empty(pool, path, window, count)
    assert [length for length in empty if length > announced_at] == []


def announce_late(path: Path, container: Container) -> int:
    """Write a video whose header tells of pictures only; the offset behind the announcement."""
    if container.muxer == "flv":
        data = bytearray(make(path, container, sound_for(container), sound_starts=2).read_bytes())
        data[4] = 1  # the header's flags: only pictures; each piece of sound announces itself
        path.write_bytes(data)
        return len(data) // 2
    pictures = make(path, container, None, seconds=2).read_bytes()
    sound = make(path, container, sound_for(container)).read_bytes()
    path.write_bytes(pictures + sound)
    return len(pictures) + 4 * 188  # a transport stream: behind the new tables


@cuts
def test_a_long_mp4_cut_off_in_its_index_is_a_failure(
    tmp_path: Path, pool: DecoderPool, window: Window, count: int
) -> None:
    """The index lies at the end, that of the pictures before that of the sound."""
    path = write_long_media(tmp_path / "long.mp4", seconds=600, size=2_000_000)
    data = path.read_bytes()
    start = data.rindex(b"trak")

    for length in np.linspace(start, len(data) - 1, count):
        path.write_bytes(data[: int(length)])
        assert not is_empty(pool, path, window), f"EMPTY when cut off after {length:.0f} bytes"


@pytest.mark.parametrize("name", SILENT)
def test_a_video_without_sound_is_empty(
    tmp_path: Path, pool: DecoderPool, window: Window, name: str
) -> None:
    path = make(tmp_path / "file", container_named(name), None, seconds=1)

    assert is_empty(pool, path, window)


@cuts
@pytest.mark.parametrize("name", MEASURED)
def test_a_cut_off_video_without_sound_is_a_failure(
    tmp_path: Path, pool: DecoderPool, window: Window, name: str, count: int
) -> None:
    path = make(tmp_path / "file", container_named(name), None, seconds=1)
    size = path.stat().st_size

    empty = lengths_that_are_empty(pool, path, window, count)

    assert [length for length in empty if length < size - SLACK] == []


def is_empty(pool: DecoderPool, path: Path, window: Window) -> bool:
    """Whether a file is said to have no sound; a failure is another matter."""
    try:
        return not product_hears(pool, path, window).size
    except VideoError:
        return False


def lengths_that_are_empty(pool: DecoderPool, path: Path, window: Window, count: int) -> list[int]:
    """The lengths at which the file, cut off, is EMPTY, of so many that are tried."""
    data, found = path.read_bytes(), []
    for length in _lengths(len(data), count):
        path.write_bytes(data[:length])
        if is_empty(pool, path, window):
            found.append(length)
    return found


def _lengths(size: int, count: int) -> Iterator[int]:
    """Half of them anywhere, half of them ever closer to the end, where an index may lie."""
    anywhere = np.random.default_rng(0).integers(12, size, count - count // 2)
    near_the_end = size - np.geomspace(1, size / 2, count // 2)
    return (int(length) for length in chain(anywhere, near_the_end))
