"""What a unit tells a person, and how many are under way."""

import gc
import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prefect import State, flow

from flows import pipeline
from flows.pipeline import UnitOutcome
from tasks.audio.clips import Clips
from tasks.identify import Video
from tasks.labels import TagOptions
from tasks.local import LocalExecutor
from tasks.model import CheckpointId
from tasks.storage import Identity
from tasks.tagger import Tagger, TaggerRequest
from tasks.units import ExtractedUnit, ExtractedVideo
from tasks.videos import Videos
from tests.flows.conftest import DEMO, DEMO_MODEL
from tests.web import serving


def test_videos_that_were_read_through_are_told_in_one_line() -> None:
    formats = {"a.flv": "flv", "b.flv": "flv", "c.mp3": "mp3", "d.mp4": None}
    extracted = [
        ExtractedVideo(Video(url, Identity(1, "1")), Clips(), read_through=name)
        for url, name in formats.items()
    ]
    assert list(UnitOutcome(extracted=extracted).notes()) == [
        "videos read to the end, because their format has no index: flv (2), mp3 (1)"
    ]


class OneByOne(LocalExecutor):
    """A video a unit; notes which are begun."""

    def __init__(self) -> None:
        super().__init__(cache=None)
        self.begun: list[str] = []

    def unit_size(self, tagger: Tagger, videos: int) -> int:
        return 1

    def extract(self, urls: Sequence[str], tagger: Tagger) -> ExtractedUnit:
        self.begun += urls
        return super().extract(urls, tagger)


@pytest.mark.long
def test_what_settles_behind_a_stuck_unit_is_bounded(
    monkeypatch: pytest.MonkeyPatch, prefect_server: None, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "MAX_BEHIND", 4)
    released, settled = threading.Event(), 0

    def stuck(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        released.wait(300)
        start_response("404 Not Found", [])
        return []

    with serving(stuck) as url, closing(Videos()) as videos:
        urls = [f"{url}/stuck.mp4", *(str(tmp_path / f"{number}.mp4") for number in range(12))]
        for name in urls[1:]:
            os.link(DEMO / "videos" / "beeps.mp4", name)
        videos.add(0, list(enumerate(urls)))
        executor = OneByOne()
        before: list[str] = []

        def release() -> None:
            before.extend(executor.begun)
            released.set()

        @flow
        def run() -> None:
            nonlocal settled
            tagger = executor.find(TaggerRequest(CheckpointId(DEMO_MODEL), device="cpu"))
            executor.start(tagger)
            for _ in pipeline.tag_units(videos, tagger, executor, TagOptions()):
                settled += 1
                if settled == pipeline.MAX_BEHIND:  # all that may be begun behind it has ended
                    threading.Timer(1.0, release).start()  # no more are, whatever the time

        run()
    assert sorted(before) == sorted(urls[: 1 + pipeline.MAX_BEHIND])
    assert settled == len(urls)


@pytest.mark.long
def test_nothing_is_kept_of_units_that_are_settled(prefect_server: None, tmp_path: Path) -> None:
    """Of videos that are not there, whose units end at once: Prefect's states and events."""
    kept: list[int] = []

    @flow
    def run() -> None:
        executor = OneByOne()
        with closing(Videos()) as videos:
            videos.add(0, [(number, str(tmp_path / f"{number}.mp4")) for number in range(80)])
            tagger = executor.find(TaggerRequest(CheckpointId(DEMO_MODEL), device="cpu"))
            executor.start(tagger)
            for number, _ in enumerate(pipeline.tag_units(videos, tagger, executor, TagOptions())):
                if number in (20, 75):
                    gc.collect()
                    held = (State, threading.Event)
                    kept.append(sum(issubclass(type(one), held) for one in gc.get_objects()))

    run()
    assert kept[1] < kept[0] + 55, kept  # without: two states and two events of each unit
