"""Fixtures for all tests. S3 is a moto server over HTTP, so that the real clients run."""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import fsspec
import pytest
from hypothesis import HealthCheck, settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tasks.videos import Videos

REGION = "us-east-1"
SLOW_SECONDS = 2.0

# A shared machine is now and then slow: that is no failure.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("shared"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "shared"))

# Fixtures that start a server: `make check` leaves out the tests that use them.
_SERVERS = {"s3", "s3_server", "prefect_server", "machine", "database", "page"}


# A file's own marker: all of its tests have it.
_MARKED = re.compile(r"^pytestmark = .*mark\.(?:long|slow|server)\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files of which `make check` runs no test: collecting them takes seconds."""
    if collection_path.suffix != ".py" or "not long" not in config.option.markexpr:
        return None
    return bool(_MARKED.search(collection_path.read_text())) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server, and keep in one process what shares its fixtures."""
    for item in items:
        file = item.nodeid.partition("::")[0]
        # Two clusters at a time would find each other.
        item.add_marker(pytest.mark.xdist_group("ray" if "/on_ray/" in file else file))
        asked_later = "[s3" in item.name  # a parameter that becomes a fixture
        if asked_later or _SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


@dataclass
class S3Server:
    """A running server.

    Attributes:
        endpoint: its address.
        requests: method and path with query of every request so far.
        sealed: names of buckets in which everything is refused (moto has no bucket policies).
        faults: what goes wrong with each request to come: "500", "503", "cut" (the answer breaks
            off half way), "slow", or "" for nothing; None while all is well.
        copies: whether it copies parts by itself (UploadPartCopy).
        received, sent: bytes of the bodies of requests and answers so far.
        client: a boto3 client for it.
    """

    endpoint: str
    client: Any = None
    requests: list[str] = field(default_factory=list)
    sealed: set[str] = field(default_factory=set)
    faults: Iterator[str] | None = None
    copies: bool = True
    received: int = 0
    sent: int = 0

    def bucket(self) -> str:
        """A new empty bucket; ``s3://`` and its name."""
        name = f"bucket-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def put(self, url: str, content: bytes, **kwargs: Any) -> str:
        """Store an object; its entity tag."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        response = self.client.put_object(Bucket=bucket, Key=key, Body=content, **kwargs)
        return str(response["ETag"]).strip('"')

    def get(self, url: str) -> bytes:
        """The content of an object."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        content: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def keys(self, bucket_url: str) -> list[str]:
        """The keys in a bucket (the first thousand)."""
        listed = self.client.list_objects_v2(Bucket=bucket_url.removeprefix("s3://"))
        return [entry["Key"] for entry in listed.get("Contents", [])]


class _Door:
    """In front of moto: counts, refuses, and lets in one at a time (moto compares If-Match and
    stores in two steps; S3 does it in one)."""

    def __init__(self, server: S3Server) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._server = server

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        self._server.requests.append(f"{environ['REQUEST_METHOD']} {path}{query and f'?{query}'}")
        if path.split("/")[1] in self._server.sealed:
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            said = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [said]
        with self._lock:
            fault = next(self._server.faults) if self._server.faults else ""
        if fault in ("500", "503"):
            start_response(f"{fault} Trouble", [("Content-Type", "application/xml")])
            code = {"500": "InternalError", "503": "SlowDown"}[fault]
            return [f"<Error><Code>{code}</Code><Message>Try again</Message></Error>".encode()]
        if "HTTP_X_AMZ_COPY_SOURCE_RANGE" in environ and not self._server.copies:
            start_response("501 Not Implemented", [("Content-Type", "application/xml")])
            return [b"<Error><Code>NotImplemented</Code><Message>No</Message></Error>"]
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        with self._lock:
            body = b"".join(self._app(environ, start_response))
            self._server.received += int(environ.get("CONTENT_LENGTH") or 0)
            self._server.sent += len(body)
        return [body[: len(body) // 2] if fault == "cut" else body]


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server, and the environment of this process (and of its children) pointing to it."""
    found = S3Server("")
    server = make_server("127.0.0.1", 0, _Door(found), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.endpoint = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE"):
            patch.delenv(variable, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", found.endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        _forget_file_systems()
        # Not boto3.client(): that keeps the credentials of the first test that called it.
        found.client = boto3.Session().client("s3")
        yield found
        _forget_file_systems()
    server.shutdown()
    thread.join()
    server.server_close()


def _forget_file_systems() -> None:
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def videos() -> Iterator[Videos]:
    with closing(Videos()) as videos:
        yield videos
