"""The default run gives the answers of the version before windows, to the byte.

``as_before.json`` holds what commit 926afc7 said of these very files: the tag, then the logits.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.tag import tag_videos
from tasks.audio.clip import make_clip
from tasks.audio.decode import decode
from tasks.audio.extraction import extract_clips
from tasks.audio.window import Window, Windows
from tasks.model import CheckpointId
from tasks.model.checkpoint import find_checkpoint
from tasks.model.loading import load_classifier
from tests.audio.making import CHANNELS, CONTAINERS, make
from tests.audio.media import Planar
from tests.flows.conftest import DEMO, DEMO_MODEL, write_manifest

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("s3", "prefect_server")]

BEFORE = json.loads((Path(__file__).parent / "as_before.json").read_text())
SOUNDS = ("speech.mp4", "music.webm", "tone.mkv", "beeps.mp4", "noise.webm", "silence.mp4")
SECONDS = (4.0, 10.5, 12.0, 1.0)
WINDOW = Window(16_000, 164_080)


def sound(number: int, rate: int) -> Planar:
    """One of the demo's sounds, over and over; shape (1, n)."""
    with (DEMO / "videos" / SOUNDS[number % len(SOUNDS)]).open("rb") as file:
        clip = make_clip(decode(file, WINDOW).segments, WINDOW)
    size = round(SECONDS[number % len(SECONDS)] * rate)
    times = np.arange(size) * (16_000 / rate) % clip.samples.size
    mono = np.interp(times, np.arange(clip.samples.size), clip.waveform)
    return np.asarray(mono, np.float32)[None]


def write_inputs(folder: Path) -> list[str]:
    """A video in each container, with another sound and of another length each; their names."""
    for number, container in enumerate(CONTAINERS):
        codec = container.codecs[0]
        mono = sound(number, container.rate_of(codec))
        channels = np.repeat(mono, max(CHANNELS.get(codec, (2,))), axis=0)
        make(folder / container.name, container, channels)
    return [container.name for container in CONTAINERS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_manifest(folder / "m.jsonl", [{"videos": [name]} for name in write_inputs(folder)])
    return folder


def test_a_manifest_comes_out_as_before(folder: Path) -> None:
    names = [container.name for container in CONTAINERS]
    tagged = [{"videos": [name], "video_audio_tags": [BEFORE[name][0]]} for name in names]
    expected = write_manifest(folder / "expected", tagged).read_bytes()
    for number, parameters in enumerate(({}, {"windows": "1", "aggregate": "max"})):
        output = folder / f"out-{number}"
        state = tag_videos(
            [str(folder / "m.jsonl")],
            hf_ast=DEMO_MODEL,
            dtype="float32",
            cache=str(folder / f"cache-{number}"),
            output=str(output),
            return_state=True,
            **parameters,
        )
        assert state.name == "Completed"
        assert (output / "m.jsonl").read_bytes() == expected


@pytest.mark.parametrize("windows", ["start", 1])
def test_the_model_says_what_it_said_before(folder: Path, windows: Windows) -> None:
    classifier = load_classifier(find_checkpoint(CheckpointId(DEMO_MODEL)), "cpu", "float32")
    for container in CONTAINERS:
        label, *logits = BEFORE[container.name]
        with (folder / container.name).open("rb") as file:
            [(start, clip)] = extract_clips(file, WINDOW, windows)
        found = classifier.logits([clip])[0]
        assert (container.name, start < 0.5) == (container.name, True)
        assert classifier.checkpoint.labels[int(found.argmax())] == label
        assert found.tolist() == pytest.approx(logits, abs=0.05), container.name
