"""What a unit tells a person."""

from flows.pipeline import UnitOutcome
from tasks.audio.clips import Clips
from tasks.identify import Video
from tasks.storage import Identity
from tasks.units import ExtractedVideo


def test_videos_that_were_read_through_are_told_in_one_line() -> None:
    formats = {"a.flv": "flv", "b.flv": "flv", "c.mp3": "mp3", "d.mp4": None}
    extracted = [
        ExtractedVideo(Video(url, Identity(1, "1")), Clips(), read_through=name)
        for url, name in formats.items()
    ]
    assert list(UnitOutcome(extracted=extracted).notes()) == [
        "read to the end, since the format has nothing to seek by: flv (2), mp3 (1)"
    ]
