"""Fixtures of the audio tests."""

from collections.abc import Iterator

import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tests.audio.counted import ENVIRONMENT, CountedS3, counted_s3


@pytest.fixture
def window() -> Window:
    """What the reference model looks at: 10.255 s at 16 kHz."""
    return Window(sampling_rate=16_000, num_samples=164_080)


@pytest.fixture(scope="session")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def s3_server() -> Iterator[CountedS3]:
    """A counting S3 server, to which the environment points as long as the module runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        with counted_s3() as server:
            patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
            yield server
            patch.undo()
