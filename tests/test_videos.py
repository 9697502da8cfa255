"""The table of videos: each one once, in the order of the manifests, with what came of it."""

from tasks.errors import Failure, FailureKind
from tasks.tags import VideoTags
from tasks.videos import Videos


def test_the_order_is_that_of_the_manifests(videos: Videos) -> None:
    """Manifests are read at the same time: a later one may be in the table first."""
    videos.add(1, [(0, "shared"), (1, "late")])
    videos.add(0, [(0, "early"), (1, "shared")])
    assert [unit.urls for unit in videos.units(9)] == [["early", "shared", "late"]]


def test_a_unit_spans_all_manifests_that_may_name_a_video_of_it(videos: Videos) -> None:
    videos.add(2, [(0, "shared"), (1, "late")])
    videos.add(0, [(0, "early"), (1, "shared")])
    videos.add(1, [(0, "shared")])
    spans = [(unit.urls, tuple(unit.span)) for unit in videos.units(1)]
    assert spans == [(["early"], (0, 0)), (["shared"], (0, 2)), (["late"], (2, 2))]


def test_outcomes(videos: Videos) -> None:
    videos.add(0, [(0, "good"), (1, "bad"), (2, "open"), (3, "scored"), (4, "empty")])
    failure = Failure("bad", FailureKind.MISSING, "no such file")
    scored = VideoTags(
        "Geräusch",
        [{"label": "Geräusch", "score": 0.125, "peak": 0.9}],
        [{"start": 0.0, "end": 10.24, "label": "Geräusch", "score": 0.125}],
    )
    empty = VideoTags("EMPTY", None, [])
    videos.settle(
        [("good", VideoTags("Speech")), ("bad", failure), ("scored", scored), ("empty", empty)]
    )
    assert videos.get("good") == VideoTags("Speech")
    assert videos.get("bad") == failure
    assert (videos.get("scored"), videos.get("empty")) == (scored, empty)
    assert videos.get("open") is None
    assert videos.get("of another run") is None
