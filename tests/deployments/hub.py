"""A Hugging Face hub on this machine, with the demo's model under the name of the default one.

The real client downloads from it: what a person types for the hub is typed here.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.flows.conftest import DEMO_MODEL

COMMIT = "0" * 40


@contextmanager
def local_hub(model: str) -> Iterator[str]:
    """The address of a hub that has one model, at one commit."""
    folder = Path(DEMO_MODEL)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0].removeprefix("/api/models").strip("/")
            content = files.get(path.rpartition("/")[2])
            self._missing = "EntryNotFound" if path.startswith(model) else "RepoNotFound"
            if not path.startswith(model):
                content = None
            elif "/resolve/" not in path:
                names = [{"rfilename": name} for name in files]
                known = {"_id": COMMIT[:24], "id": model, "sha": COMMIT, "siblings": names}
                tree = [
                    {"type": "file", "path": name, "oid": COMMIT, "size": len(content)}
                    for name, content in files.items()
                ]
                content = json.dumps(tree if "/tree/" in path else known).encode()
            self._send(content, with_body)

        def _send(self, content: bytes | None, with_body: bool) -> None:
            self.send_response(200 if content is not None else 404)
            self.send_header("X-Repo-Commit", COMMIT)
            if content is None:
                self.send_header("X-Error-Code", self._missing)
            self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if with_body:
                self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
