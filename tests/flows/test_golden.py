"""The same sound gets the same tag in every container and codec, and in whichever channel it is."""

from pathlib import Path

import librosa
import numpy as np
import pytest

from flows.tag import tag_videos
from tasks.audio.decode import decode
from tasks.audio.window import Window
from tests.audio.media import Planar, write_media
from tests.audio.test_formats import FORMATS
from tests.flows.conftest import DEMO, DEMO_MODEL, read_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("s3", "prefect_server")

SOURCES = {"Speech": "speech.mp4", "Music": "music.webm"}
RATES = [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 96_000, 192_000]


def source(label: str, rate: int) -> Planar:
    """The sound of a demo video; shape (1, n)."""
    with (DEMO / "videos" / SOURCES[label]).open("rb") as file:
        [(native, waveform)] = decode(
            file, Window(sampling_rate=16_000, num_samples=164_080)
        ).segments
    return librosa.resample(waveform, orig_sr=native, target_sr=rate)[None]


def tags(folder: Path, names: list[str]) -> dict[str, str]:
    """What a run of the whole flow says of these files."""
    manifest = write_manifest(folder / "m.jsonl", [{"videos": [name]} for name in names])
    tag_videos(
        manifests=[str(manifest)], hf_ast=DEMO_MODEL, cache=str(folder / "cache"), return_state=True
    )
    return {
        s["videos"][0]: s.get("video_audio_tags", ["untagged"])[0] for s in read_manifest(manifest)
    }


@pytest.mark.parametrize("label", SOURCES)
def test_every_container_and_codec(label: str, tmp_path: Path) -> None:
    sound = source(label, 48_000)
    for name, codec, options in FORMATS:
        write_media(tmp_path / name, np.repeat(sound, 2, axis=0), 48_000, codec, options=options)
    names = [name for name, *_ in FORMATS]
    assert tags(tmp_path, names) == dict.fromkeys(names, label)


@pytest.mark.parametrize("label", SOURCES)
def test_every_rate(label: str, tmp_path: Path) -> None:
    names = [f"{rate}.wav" for rate in RATES]
    for rate, name in zip(RATES, names, strict=True):
        write_media(tmp_path / name, source(label, rate), rate, "pcm_s16le")
    assert tags(tmp_path, names) == dict.fromkeys(names, label)


def test_speech_in_whichever_channel(tmp_path: Path) -> None:
    voice = source("Speech", 48_000)[0]
    silence = np.zeros_like(voice)
    channels = {
        "left.mp4": [voice, silence],
        "right.mp4": [silence, voice],
        "antiphase.mkv": [voice, -voice],
        "centre.mkv": [silence, silence, voice, silence, silence, silence],
        "side.mkv": [silence, silence, silence, silence, silence, voice],
    }
    for name, planes in channels.items():
        codec = "flac" if name == "antiphase.mkv" else "ac3" if len(planes) == 6 else "aac"
        write_media(tmp_path / name, np.stack(planes), 48_000, codec)
    assert tags(tmp_path, list(channels)) == dict.fromkeys(channels, "Speech")
