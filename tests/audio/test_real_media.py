"""Media that nobody here made, in the folder that $SHARED names."""

import os
from pathlib import Path

import numpy as np
import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tasks.storage import identify
from tests.audio.hearing import first_clip

FOLDER = Path(os.environ.get("SHARED", "nowhere")) / "media"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="$SHARED names no folder")

# The least seconds of sound, and the least level of its loudest sample.
SOUNDS = {
    "video2.mp4": (10.2, 0.1),
    "video4.mp4": (10.2, 0.1),
    "video3-no-audio.mp4": (0, 0),
    "nasa_13013.mp4": (10.2, 0.1),
    "big_buck_bunny_0_30.webm": (10.2, 0.1),
    "chaplin.mp4": (9, 0.1),
    "smpte-2997.mp4": (9, 0.1),
    "sine_mono_s16.wav": (3.9, 0.1),
    "no_duration.webm": (4, 0),
    "latin1_metadata.mp4": (2, 0.1),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_every_file_is_heard(pool: DecoderPool, window: Window, name: str) -> None:
    seconds, level = SOUNDS[name]
    url = str(FOLDER / name)

    extracted = pool.extract(url, window, identify(url))

    assert extracted.notes is None
    clip = first_clip(extracted)
    assert extracted.empty == clip.is_empty == (seconds == 0)
    assert clip.samples.size >= seconds * window.sampling_rate
    assert np.abs(clip.waveform).max(initial=0) >= level
