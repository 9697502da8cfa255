"""Requests and time that listing and planning many small manifests on S3 (moto) take.

python benchmarks/listing.py [--manifests 1000]
"""

import argparse
import json
import logging
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tasks.manifests import Fields
from tasks.manifests.files import open_manifest
from tasks.manifests.listing import list_manifests

SAMPLES = 10
READERS = 8


class Counted:
    """moto, with a count of its requests by kind, and of the bytes of their bodies."""

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.reset()

    def reset(self) -> None:
        self.requests: Counter[str] = Counter()
        self.received = self.sent = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        is_listing = "list-type" in environ["QUERY_STRING"]
        self.requests["LIST" if is_listing else environ["REQUEST_METHOD"]] += 1
        self.received += int(environ.get("CONTENT_LENGTH") or 0)
        for part in self.app(environ, start_response):
            self.sent += len(part)
            yield part


def start_server() -> Counted:
    """Run a server, and point this process and its children at it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Counted()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return app


def plan(url: str) -> int:
    with open_manifest(url) as manifest:
        return sum(1 for _ in manifest.format.read(manifest.stream, Fields()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifests", type=int, default=1000)
    manifests = parser.parse_args().manifests
    app = start_server()
    client = boto3.client("s3")
    client.create_bucket(Bucket="bench")
    line = json.dumps({"videos": ["a.mp4"], "text": "some words"}) + "\n"
    for number in range(manifests):
        key = f"manifests/{number % 10}/{number:06}.jsonl"
        client.put_object(Bucket="bench", Key=key, Body=line.encode() * SAMPLES)
    print(f"{'':26} {'manifests':>9} {'samples':>8} {'seconds':>8} {'requests':>9}  by kind")
    for title, pattern in (("folder", "manifests"), ("glob", "manifests/**/*.jsonl")):
        app.reset()
        started = time.perf_counter()
        urls = [found.url for found in list_manifests(f"s3://bench/{pattern}")]
        with ThreadPoolExecutor(READERS) as readers:
            samples = sum(readers.map(plan, urls))
        seconds, total = time.perf_counter() - started, app.requests.total()
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(app.requests.items()))
        print(f"{title:26} {len(urls):9,} {samples:8,} {seconds:8.1f} {total:9,}  {kinds}")


if __name__ == "__main__":
    main()
