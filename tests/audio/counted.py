"""An S3 server over HTTP that counts what crosses the wire: for tests and benchmarks."""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from moto.server import (  # type: ignore[attr-defined]
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.serving import make_server

from tasks.storage import Identity

BUCKET = "videos"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class CountedS3:
    """A running server.

    Attributes:
        endpoint: its address.
        requests: the method of each request since the last :meth:`reset`.
        bytes_sent: in the bodies of the answers since then.
        failing: the status with which it answers every GET, when set.
    """

    endpoint: str
    requests: list[str] = field(default_factory=list)
    bytes_sent: int = 0
    failing: str | None = None

    @property
    def client(self) -> Any:
        return boto3.Session().client("s3", endpoint_url=self.endpoint)

    def put(self, path: Path, key: str | None = None) -> tuple[str, Identity]:
        """Store a file; its URL and identity."""
        key = key or path.name
        with path.open("rb") as file:
            etag = self.client.put_object(Bucket=BUCKET, Key=key, Body=file)["ETag"]
        self.reset()
        return f"s3://{BUCKET}/{key}", Identity(path.stat().st_size, etag.strip('"'))

    def reset(self) -> None:
        self.requests.clear()
        self.bytes_sent = 0


@contextmanager
def counted_s3() -> Iterator[CountedS3]:
    """Start a server; ``ENVIRONMENT`` and ``AWS_ENDPOINT_URL`` are for the caller to set."""
    moto = DomainDispatcherApplication(create_backend_app)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        s3.requests.append(method)
        if method == "GET" and s3.failing:
            start_response(s3.failing, [("Content-Length", "0")])
            return []
        body = list(moto(environ, start_response))
        s3.bytes_sent += sum(map(len, body)) if method == "GET" else 0
        return body

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line for each request
    server = make_server("127.0.0.1", 0, app, threaded=True)
    s3 = CountedS3(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    s3.client.create_bucket(Bucket=BUCKET)
    yield s3
    server.shutdown()
    thread.join()
    server.server_close()
