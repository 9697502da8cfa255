"""Real media and the reference operator's answers, in the folder that $SHARED names."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from flows.tag import tag_videos
from tasks.audio.clip import make_clip
from tasks.audio.decode import decode
from tasks.audio.window import Channels, Window
from tasks.model import CheckpointId
from tasks.model.checkpoint import find_checkpoint
from tasks.model.classifier import Classifier
from tasks.model.loading import load_classifier
from tests.flows.conftest import DEMO_MODEL, read_manifest, write_manifest

SHARED = Path(os.environ.get("SHARED", ""))
pytestmark = pytest.mark.skipif("SHARED" not in os.environ, reason="$SHARED names no folder")

MEDIA = {
    "video2.mp4": "Music",
    "video4.mp4": "Speech",
    "video3-no-audio.mp4": "EMPTY",
    "nasa_13013.mp4": "Speech",
    "big_buck_bunny_0_30.webm": "Music",
    "chaplin.mp4": "Music",
    "smpte-2997.mp4": "Beep, bleep",
    "sine_mono_s16.wav": "Sine wave",
    "no_duration.webm": "Silence",
}


@pytest.fixture(scope="module")
def reference() -> Classifier:
    folder = str(SHARED / "reference" / "ast-tiny-random")
    return load_classifier(find_checkpoint(CheckpointId(folder)), "cpu", "float32")


@pytest.mark.parametrize("name", ["video2.mp4", "video4.mp4"])
def test_the_reference_operators_answers(name: str, reference: Classifier) -> None:
    expected = json.loads((SHARED / "reference" / "expected.json").read_text())[name]
    checkpoint = reference.checkpoint
    channels: Channels = "first"
    window = Window(checkpoint.sampling_rate, checkpoint.num_samples, channels)
    with (SHARED / "media" / name).open("rb") as file:
        clip = make_clip(decode(file, window).segments, window)
    logits = reference.logits([clip])[0]
    assert checkpoint.labels[int(logits.argmax())] == expected["label"]
    np.testing.assert_allclose(logits, expected["logits"], atol=0.2, rtol=0)


@pytest.mark.usefixtures("s3", "prefect_server")
def test_real_media_with_the_demo_model(tmp_path: Path) -> None:
    names = [*MEDIA, "latin1_metadata.mp4"]
    samples = [{"videos": [str(SHARED / "media" / name)]} for name in names]
    manifest = write_manifest(tmp_path / "m.jsonl", samples)
    state = tag_videos(
        manifests=[str(manifest)], hf_ast=DEMO_MODEL, cache=str(tmp_path), return_state=True
    )
    assert state.name == "Completed"
    tags = {
        name: sample["video_audio_tags"][0]
        for name, sample in zip(names, read_manifest(manifest), strict=True)
    }
    assert tags.pop("latin1_metadata.mp4") != "EMPTY"
    assert tags == MEDIA
