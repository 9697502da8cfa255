"""Names of videos and manifests as they leave the flow: without secrets, without controls."""

from collections.abc import Callable

import pytest

from flows.pipeline import UnitOutcome
from flows.summary import Summary
from tasks.audio.clips import Clips
from tasks.errors import Failure, FailureKind
from tasks.identify import Video
from tasks.storage import Identity
from tasks.units import ExtractedVideo

URL = "https://me:SECRET@h/\x1b[31ma.mp4?X-Amz-Signature=SECRET"
REASON = f"refused by {URL} \u202e"


def outcome() -> UnitOutcome:
    clip = ExtractedVideo(Video(URL, Identity(1, "a")), Clips(), note=REASON)
    failure = Failure(URL, FailureKind.CORRUPT, REASON)
    return UnitOutcome(extracted=[clip], failed=[failure])


def said_in_the_log() -> str:
    return " ".join(outcome().notes())


def said_in_the_summary() -> str:
    summary = Summary()
    summary.count_unit(outcome())
    return str(summary.as_dict())


@pytest.mark.parametrize("said", [said_in_the_log, said_in_the_summary])
def test_what_is_said_of_a_video(said: Callable[[], str]) -> None:
    text = said()
    assert "h/" in text
    assert "SECRET" not in text
    assert text.isprintable()
