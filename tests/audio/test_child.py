"""A decoder process: in which environment it works."""

from pathlib import Path

import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tests.audio.media import melody, write_media

pytestmark = pytest.mark.long


def test_processes_of_another_environment_are_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_media(tmp_path / "good.mp4", melody(1, 48_000), 48_000)
    window = Window(sampling_rate=16_000, num_samples=16_000)
    with DecoderPool(1) as pool:
        pool.extract(str(video), window)
        first = pool.pids
        pool.renew()
        assert pool.pids == first

        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
        pool.renew()
        pool.extract(str(video), window)

        assert len(pool.pids) == 1
        assert pool.pids != first
