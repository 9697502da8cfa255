"""Files in a folder or a bucket."""

from pathlib import Path

import pytest

from tasks import storage
from tasks.errors import StorageError
from tests.conftest import S3Server


@pytest.fixture(params=["local", "s3"])
def file(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> str:
    url = f"{tmp_path}/m.jsonl" if request.param == "local" else f"{s3.bucket()}/m.jsonl"
    put(s3, url, b'{"n": 1}\n')
    return url


def put(s3: S3Server, url: str, content: bytes) -> None:
    if url.startswith("s3://"):
        s3.put(url, content)
    else:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        Path(url).write_bytes(content)


def refusal(url: str) -> StorageError:
    """Why this cannot be identified."""
    try:
        storage.identify(url)
    except StorageError as error:
        return error
    raise AssertionError(f"{url} was accepted")
