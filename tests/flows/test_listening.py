"""A run's page plays what the model heard, whether the scores were known before or not."""

import base64
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from prefect.settings import PREFECT_API_URL

from flows.tag import tag_videos
from tasks.audio.clip import make_clip
from tasks.audio.decode import decode
from tasks.audio.window import Window
from tests.audio.media import tone, write_media
from tests.flows.conftest import DEMO, DEMO_MODEL, write_manifest
from tests.flows.show.test_sound import decoded

# S3 first: the decoder processes take over the environment that they are started in.
pytestmark = pytest.mark.usefixtures("s3", "prefect_server")

WINDOW = Window(16_000, 164_080)


def run(folder: Path, **parameters: Any) -> str:
    """Tag the demo and return the page."""
    shutil.copytree(DEMO / "videos", folder / "videos", dirs_exist_ok=True)
    shutil.copy(DEMO / "manifest.jsonl", folder)
    report = folder / "report.html"
    state = tag_videos(
        [str(folder / "manifest.jsonl")],
        hf_ast=DEMO_MODEL,
        cache=str(folder / "cache"),
        report=str(report),
        return_state=True,
        **parameters,
    )
    assert state.name == "Completed"
    return report.read_text().replace("<wbr>", "")  # where a path may be parted


def test_the_page_plays_what_the_model_heard(tmp_path: Path) -> None:
    for _ in ("the scores are computed", "the scores are known"):
        text = run(tmp_path)
        found = re.findall(r"<p class=path>([^<]*)</p><img[^>]*><audio[^>]*base64,([^']*)'", text)
        assert len(found) == 7  # the eighth has no sound
        for path, sound in found:
            with Path(path).open("rb") as file:
                clip = make_clip(decode(file, WINDOW).segments, WINDOW)
            heard = decoded(base64.b64decode(sound))
            assert len(heard) / 48_000 == pytest.approx(len(clip.samples) / 16_000, abs=0.01)
            expected = soxr.resample(clip.waveform, 16_000, 48_000)
            shorter = min(len(heard), len(expected))
            quiet, like = np.abs(expected).max(), heard[:shorter] - expected[:shorter]
            assert quiet == 0 or "noise" in path or np.std(like) < 0.3 * np.std(expected)


def test_of_a_long_video_the_page_plays_the_window_that_speaks_for_the_tag(tmp_path: Path) -> None:
    """Two windows of silence, then a tone, then silence again."""
    silence = np.zeros((1, 20 * 16_000), np.float32)
    sound = np.concatenate([silence, tone(60, 16_000), silence], 1)
    write_media(tmp_path / "a.mkv", sound, 16_000, "pcm_s16le")
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["a.mkv"]}])
    report = tmp_path / "report.html"
    tag_videos(
        [str(manifest)],
        hf_ast=DEMO_MODEL,
        cache=str(tmp_path / "cache"),
        report=str(report),
        windows="all",
        return_state=True,
    )
    text = report.read_text()
    (start,) = re.findall("from 0:([0-9]{2}) on", text)
    assert 20 <= int(start) <= 70
    (content,) = re.findall("base64,([^']*)'></audio>", text)
    heard = decoded(base64.b64decode(content))
    assert len(heard) / 48_000 == pytest.approx(WINDOW.seconds, abs=0.03)
    middle = heard[len(heard) // 2 :][:48_000]
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(440, abs=1)


def test_the_page_says_what_it_was_made_with(tmp_path: Path) -> None:
    text = run(tmp_path, report_sound="off", channels="first")
    assert "<audio" not in text
    assert f"{tmp_path}/videos/speech.mp4" in text
    made_with = dict(re.findall("<dt>([^<]*)</dt><dd>([^<]*)</dd>", text))
    assert re.fullmatch("model@[0-9a-f]{12}", made_with["model"])
    assert made_with["channels"] == "first"
    assert made_with["manifests"] == str(tmp_path / "manifest.jsonl")
    assert f"href='{str(PREFECT_API_URL.value()).removesuffix('/api')}/runs/flow-run/" in text
