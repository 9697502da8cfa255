"""The clips of videos: as they were, wherever they lie, and few of them in memory."""

import gc
import pickle
import tempfile
from functools import partial
from weakref import WeakSet

import pytest

from tasks.audio import clips as module
from tasks.audio.clips import Clips
from tasks.errors import TransientError

KILOBYTE = 1_000
GIVEN = [(10.5 * number, bytes([number]) * (KILOBYTE - number)) for number in range(10)]


@pytest.fixture(autouse=True)
def room_for_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES", 5 * KILOBYTE)
    monkeypatch.setattr(module, "_all", WeakSet())  # without those of other tests


def in_memory(clips: Clips) -> int:
    return len(clips._clips)


def test_they_come_back_in_order_as_often_as_one_likes() -> None:
    with Clips(GIVEN) as clips:
        assert len(clips) == 10
        assert in_memory(clips) == 5
        assert list(clips) == list(clips) == GIVEN
        with pickle.loads(pickle.dumps(clips)) as copy:  # noqa: S301 - our own
            assert list(copy) == GIVEN


def test_the_bound_is_of_all_videos_together() -> None:
    with Clips(GIVEN[:3]) as first, Clips(GIVEN[:3]) as second, Clips(GIVEN[:2]) as third:
        assert [in_memory(clips) for clips in (first, second, third)] == [3, 2, 1]
        first.close()
        with Clips(GIVEN) as fourth:
            assert in_memory(fourth) == 2
            assert list(fourth) == GIVEN
        assert list(second) == GIVEN[:3]


def test_a_full_disk_may_have_room_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "r+b"))
    with Clips(GIVEN[:5]) as clips, pytest.raises(TransientError, match="temporary folder"):
        clips.add(*GIVEN[5])


def test_what_nobody_closes_gives_its_memory_back() -> None:
    Clips(GIVEN[:5])
    gc.collect()
    with Clips(GIVEN[5:]) as clips:
        assert in_memory(clips) == 5
