"""Which content stands where, and reading it."""

import os
import socket
import threading

import pytest

from tasks import storage
from tasks.errors import ManifestError, StorageError
from tasks.manifests import Fields
from tasks.manifests.files import open_manifest
from tasks.storage import s3 as s3_store
from tests.conftest import S3Server
from tests.storage.conftest import put, refusal


def test_identity_is_one_request(s3: S3Server) -> None:
    url = f"{s3.bucket()}/v.mp4"
    s3.put(url, b"video")
    storage.identify(url)
    before = len(s3.requests)
    storage.identify(url)
    assert [request.split()[0] for request in s3.requests[before:]] == ["HEAD"]


def test_what_cannot_be_identified(file: str) -> None:
    for url in (file + ".gone", storage.parent(file)):
        with pytest.raises(StorageError) as missing:
            storage.identify(url)
        assert missing.value.kind == "missing"
    with pytest.raises(StorageError, match="Protocol not known") as unknown:
        storage.identify("nope://v.mp4")
    assert unknown.value.kind == "unreadable"


@pytest.mark.parametrize(
    "url", ["s3://b d!/v.mp4", "s3://", "s3://only-a-bucket", "http://[half/v.mp4", "/a\0b.mp4",
            "http://127.0.0.1:1/v.mp4", "/dev/null"]
)  # fmt: skip
def test_any_text_is_a_video_or_a_reason(s3: S3Server, url: str) -> None:
    assert refusal(url).reason


class Proxy:
    """Passes bytes on to the server, and drops the connection once after ``allowed`` bytes of
    an answer: what a network does to a long download."""

    def __init__(self, endpoint: str, allowed: int) -> None:
        self.target = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        self.allowed, self.drops = allowed, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            threading.Thread(target=self.upward, args=(client, server), daemon=True).start()
            threading.Thread(target=self.downward, args=(server, client), daemon=True).start()

    def upward(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while data := client.recv(65536):
                server.sendall(data)
        except OSError:
            return

    def downward(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        try:
            while data := server.recv(65536):
                client.sendall(data)
                passed += len(data)
                if not self.drops and passed > self.allowed:
                    self.drops += 1
                    break
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        finally:
            client.close()
            server.close()


def test_a_broken_download_is_taken_up_where_it_broke(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{s3.bucket()}/m.jsonl"
    content = b"".join(b'{"n": %d}\n' % number for number in range(400_000))
    s3.put(url, content)
    proxy = Proxy(s3.endpoint, 1 << 20)
    fs = storage.resolve("s3://x")[0].__class__(endpoint_url=proxy.url, skip_instance_cache=True)
    stream = s3_store.ObjectStream(fs, url.removeprefix("s3://"))
    parts = []
    while part := stream.read(1 << 16):
        parts.append(part)
    stream.close()
    proxy.listener.close()
    assert proxy.drops == 1
    assert b"".join(parts) == content
