"""Alerts arrive where they were asked for, and the server keeps the address to itself."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.deployments.conftest import Machine

ALERTS = Path(__file__).parents[2] / "deployments" / "alerts.py"
PATIENCE_SECONDS = 120


@pytest.fixture
def inbox() -> Iterator[tuple[str, "queue.Queue[str]"]]:
    """An address that takes POSTs, and the texts that were sent there."""
    texts: queue.Queue[str] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            texts.put(json.loads(body)["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/token-1234", texts
    server.shutdown()
    server.server_close()


def test_failed_night_is_told(machine: Machine, inbox: tuple[str, "queue.Queue[str]"]) -> None:
    address, texts = inbox
    for _ in range(2):  # the second time replaces what the first made
        subprocess.run(
            [sys.executable, ALERTS],
            env=machine.environment | {"TAG_VIDEOS_ALERT_URL": address},
            check=True,
        )
    assert len(machine.api("/automations/filter", {})) == 3
    assert "token-1234" not in json.dumps(machine.api("/block_documents/filter", {}))

    run = machine.start("nightly", manifests=["/no/such/manifest.jsonl"])
    assert machine.wait(run) == ("FAILED", "Misconfigured")
    while "Late" in (text := texts.get(timeout=PATIENCE_SECONDS)):
        pass  # where the worker is slow, that is told first
    assert text.startswith("tag-videos: the nightly run failed")
    assert "Misconfigured. There is no manifest at" in text or "no such file" in text
