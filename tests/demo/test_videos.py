"""The demo videos: small, of every kind a user may bring, and all in the manifest."""

import json
from pathlib import Path
from typing import Any

import av
import pytest

from tests.demo.conftest import DEMO

pytestmark = pytest.mark.long

LARGEST_TOTAL = 1_000_000
VIDEOS = sorted(path for path in (DEMO / "videos").iterdir())


@pytest.fixture
def samples() -> list[dict[str, Any]]:
    lines = (DEMO / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_all_together_are_small() -> None:
    assert sum(path.stat().st_size for path in VIDEOS) <= LARGEST_TOTAL


def test_the_manifest_names_every_video_and_no_other(samples: list[dict[str, Any]]) -> None:
    named = {video for sample in samples for video in sample["videos"]}

    assert named == {f"videos/{path.name}" for path in VIDEOS}


def test_samples_have_unique_ids_and_a_text(samples: list[dict[str, Any]]) -> None:
    assert len({sample["id"] for sample in samples}) == len(samples)
    assert all(sample["text"] for sample in samples)


def test_the_manifest_has_the_special_cases(samples: list[dict[str, Any]]) -> None:
    assert any(len(sample["videos"]) > 1 for sample in samples)
    assert any(not sample["videos"] for sample in samples)
    assert any("video_audio_tags" in sample for sample in samples)


def test_they_come_in_several_containers() -> None:
    assert {path.suffix for path in VIDEOS} >= {".mp4", ".mkv", ".webm"}


@pytest.mark.parametrize("path", VIDEOS, ids=lambda path: path.name)
def test_each_has_a_picture_and_all_but_one_a_sound(path: Path) -> None:
    with av.open(str(path), "r") as container:
        audio_streams = len(container.streams.audio)
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")

    assert picture.shape == (360, 640, 3)
    assert audio_streams == (0 if path.stem == "no-audio" else 1)
