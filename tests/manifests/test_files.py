"""Opening a manifest: what storage raises about one names it."""

from pathlib import Path

import pytest

from tasks import storage
from tasks.errors import ConfigurationError, ManifestError
from tasks.manifests import Fields
from tasks.manifests.files import open_manifest
from tests.conftest import S3Server
from tests.storage.conftest import put


def test_a_manifest_is_read_by_one_request(s3: S3Server) -> None:
    url, content = f"{s3.bucket()}/m.jsonl", b'{"videos": ["a"]}\n' * 5
    tag = s3.put(url, content)
    storage.identify(url)
    before = len(s3.requests)
    with open_manifest(url) as manifest:
        assert len(list(manifest.format.read(manifest.stream, Fields()))) == 5
        assert manifest.identity == storage.Identity(len(content), tag)
    assert [request.split()[0] for request in s3.requests[before:]] == ["GET"]


def test_an_empty_manifest_is_read_and_has_no_samples(s3: S3Server) -> None:
    url = f"{s3.bucket()}/m.jsonl"
    s3.put(url, b"")
    with open_manifest(url) as manifest:
        assert list(manifest.format.read(manifest.stream, Fields())) == []
        assert manifest.identity == storage.identify(url)


@pytest.fixture(params=["local", "s3"])
def file(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> str:
    """A manifest of which the second line is no sample."""
    url = f"{tmp_path}/m.jsonl" if request.param == "local" else f"{s3.bucket()}/m.jsonl"
    put(s3, url, b"{}\n7\n")
    return url


def test_identity_of_what_was_opened_is_that_of_identify(file: str) -> None:
    with open_manifest(file) as manifest:
        assert manifest.identity == storage.identify(file)


def test_an_error_in_a_manifest_names_it(file: str) -> None:
    with pytest.raises(ManifestError) as refused, open_manifest(file) as manifest:
        list(manifest.format.read(manifest.stream, Fields()))
    assert (refused.value.url, refused.value.line) == (file, 2)
    with (
        pytest.raises(ManifestError, match="no such file"),
        open_manifest(file[:-6] + "x.jsonl"),
    ):
        pass


def test_a_disk_that_is_full_is_the_manifests_own_trouble(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b"{}\n")
    with (
        pytest.raises(ManifestError, match="No space left on device"),
        open_manifest(f"{tmp_path}/m.jsonl"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")


def test_a_presigned_url_is_named_without_its_signature() -> None:
    with (
        pytest.raises(ConfigurationError, match="its name must end in") as refused,
        open_manifest("https://h/m.jsonl?X-Amz-Signature=abc"),
    ):
        pass
    assert "abc" not in str(refused.value)
