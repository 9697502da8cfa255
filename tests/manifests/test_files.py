"""Opening a manifest: what storage raises about one names it."""

import pytest

from tasks import storage
from tasks.errors import ManifestError
from tasks.manifests import Fields
from tasks.manifests.files import open_manifest
from tests.conftest import S3Server


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


def test_identity_of_what_was_opened_is_that_of_identify(file: str) -> None:
    with open_manifest(file) as manifest:
        assert manifest.identity == storage.identify(file)


def test_an_error_in_a_manifest_names_it(file: str, s3: S3Server) -> None:
    put(s3, file, b"{}\n7\n")
    with pytest.raises(ManifestError) as refused, open_manifest(file) as manifest:
        list(manifest.format.read(manifest.stream, Fields()))
    assert (refused.value.url, refused.value.line) == (file, 2)
    with (
        pytest.raises(ManifestError, match="no such file"),
        open_manifest(file[:-6] + "x.jsonl"),
    ):
        pass
