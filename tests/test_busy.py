"""Who waits for whom, and what the summary says of it."""

import re
import shutil
from pathlib import Path

from tasks.busy import Busy
from tasks.local import LocalExecutor
from tasks.model import CheckpointId
from tasks.scores import VideoScores
from tasks.tagger import TaggerRequest
from tasks.units import ExtractedUnit
from tests.audio.media import tone, write_media
from tests.flows.conftest import DEMO_MODEL


def test_two_at_a_time_count_once() -> None:
    now = 0.0
    busy = Busy(lambda: now)
    with busy.inside():
        now = 1.0
        with busy.inside():
            now = 3.0
        now = 4.0
    now = 10.0
    with busy.inside():
        now = 11.0
    assert (busy.seconds, busy.ended) == (5.0, 11.0)


def test_a_run_says_how_busy_the_model_was(tmp_path: Path) -> None:
    executor = LocalExecutor(None)
    tagger = executor.find(TaggerRequest(CheckpointId(DEMO_MODEL), device="cpu", dtype="float32"))
    executor.start(tagger)
    assert executor.describe() == "CPU, float32"
    video = str(write_media(tmp_path / "a.wav", tone(1, 16_000), 16_000, "pcm_s16le"))
    tagged = executor.tag(executor.extract([video], tagger), tagger)
    assert set(tagged.scores) == {video}
    waited = r"CPU, float32; busy \d+%(, waiting for (its weights|reading and decoding))?"
    assert re.fullmatch(waited, executor.describe())


def test_what_is_known_waits_for_no_model(tmp_path: Path) -> None:
    shutil.copytree(DEMO_MODEL, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    executor = LocalExecutor(None)
    tagger = executor.find(TaggerRequest(CheckpointId(str(tmp_path)), device="cpu"))
    known = {"a.mp4": VideoScores.empty()}
    assert executor.tag(ExtractedUnit(known), tagger).scores == known
