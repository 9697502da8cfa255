"""Videos whose parts differ: speech, music, silence, a tone. In every container the tag is that of
what was heard, and the timeline says when."""

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest

from flows.tag import tag_videos
from tasks.audio.decode import decode
from tasks.audio.window import Window
from tests.audio.making import CHANNELS, CONTAINERS, make
from tests.audio.media import Planar
from tests.flows.conftest import DEMO, DEMO_MODEL, read_manifest, write_manifest

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("s3", "prefect_server")]

WINDOW = Window(16_000, 164_080)
PARTS = ("speech.mp4", "music.webm", "music.webm", "silence.mp4", "tone.mkv")
SPANS = [("Speech", 0, 1), ("Music", 1, 3), ("Silence", 3, 4), ("Sine wave", 4, 5)]
FIELDS = {"scores_field": "scores", "timeline_field": "times"}
MAX_SECONDS_APART = 0.3
USUAL = {"mp4", "fragmented-mp4", "mkv", "webm", "avi", "ts", "mpg", "flv", "ogv", "mp3", "wav"}


def parts(rate: int) -> Planar:
    """Each part is a window long; shape (1, n)."""

    def part(name: str) -> Planar:
        with (DEMO / "videos" / name).open("rb") as file:
            [(native, waveform)] = decode(file, WINDOW).segments
        sound = librosa.resample(waveform, orig_sr=native, target_sr=rate)
        return np.resize(sound, round(WINDOW.seconds * rate))

    return np.concatenate([part(name) for name in PARTS])[None]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(USUAL, id="usual"),
        pytest.param({one.name for one in CONTAINERS}, id="every", marks=pytest.mark.slow),
    ],
)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video in each of some containers."""
    folder, sounds = tmp_path_factory.mktemp("parts"), dict[int, Planar]()
    for container in CONTAINERS:
        if container.name not in request.param:
            continue
        codec = container.codecs[0]
        rate = container.rate_of(codec)
        if rate not in sounds:
            sounds[rate] = parts(rate)
        sound = np.repeat(sounds[rate], max(CHANNELS.get(codec, (2,))), axis=0)
        make(folder / container.name, container, sound)
    names = sorted(path.name for path in folder.iterdir())
    write_manifest(folder / "m.jsonl", [{"videos": [name]} for name in names])
    return folder


def run(folder: Path, **parameters: Any) -> dict[str, dict[str, Any]]:
    """What a run says of the video in each container."""
    settings = {"hf_ast": DEMO_MODEL, "cache": str(folder / "cache"), "output": str(folder / "out")}
    state = tag_videos(
        [str(folder / "m.jsonl")], **settings, **FIELDS, **parameters, return_state=True
    )
    assert state.name == "Completed", state.message
    return {
        sample["videos"][0]: {"tag": sample["video_audio_tags"][0]}
        | {key: sample[key][0] for key in ("scores", "times")}
        for sample in read_manifest(folder / "out" / "m.jsonl")
    }


def spans(found: dict[str, Any]) -> list[tuple[str, float, float]]:
    return [(span["label"], span["start"], span["end"]) for span in found["times"]]


def expected(*windows: tuple[str, float, float]) -> list[tuple[str, Any, Any]]:
    def at(window: float) -> Any:
        return pytest.approx(window * WINDOW.seconds, abs=MAX_SECONDS_APART)

    return [(label, at(start), at(end)) for label, start, end in windows]


def test_the_start_is_speech(folder: Path) -> None:
    for name, found in run(folder).items():
        assert (name, found["tag"]) == (name, "Speech")
        assert spans(found) == expected(SPANS[0]), name


@pytest.mark.parametrize("windows", ["5", "all"])
def test_all_of_it_is_music_for_the_most_part(folder: Path, windows: str) -> None:
    for name, found in run(folder, windows=windows).items():
        assert (name, found["tag"]) == (name, "Music")
        assert spans(found) == expected(*SPANS), name
        scores = {score["label"]: score for score in found["scores"]}
        assert scores.keys() == {"Music", "Speech", "Silence", "Sine wave"}, name
        for label, start, end in SPANS:
            assert scores[label]["peak"] > 0.7, name
            assert scores[label]["score"] == pytest.approx((end - start) / 5, abs=0.1), name


def test_two_windows_are_both_ends(folder: Path) -> None:
    for name, found in run(folder, windows="2").items():
        assert spans(found) == expected(SPANS[0], SPANS[-1]), name
        assert found["tag"] == found["scores"][0]["label"]
        assert {score["label"] for score in found["scores"]} == {"Speech", "Sine wave"}, name


def test_the_highest_of_a_window_counts_when_asked(folder: Path) -> None:
    mean, highest = (run(folder, windows="all", aggregate=one) for one in ("mean", "max"))
    for name, found in highest.items():
        assert all(score["score"] == score["peak"] for score in found["scores"])
        assert found["tag"] == found["scores"][0]["label"]
        assert found["times"] == mean[name]["times"]
