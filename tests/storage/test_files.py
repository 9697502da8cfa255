"""Which content stands where, and reading it."""

import os
import socket
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest
from fsspec.registry import known_implementations

from tasks import storage
from tasks.errors import FailureKind, StorageError
from tasks.storage import s3 as s3_store
from tests.conftest import S3Server
from tests.storage.conftest import refusal


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


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Whoever opens it waits for somebody who writes."""
    os.mkfifo(tmp_path / "pipe")
    for ask in (storage.identify, partial(storage.open_for_reading, seekable=False)):
        with pytest.raises(StorageError, match="is not a file"):
            ask(str(tmp_path / "pipe"))


PROTOCOLS = sorted({*known_implementations, "nope"} - {"file", "local"})
# Of which a host name asks the network, and may wait for it.
NETWORK = {"ftp", "sftp", "ssh", "smb", "http", "https", "hdfs", "webhdfs", "github", "gist"}
PATHS = ["", "x", "/", "b/a::b.mp4", "a\nb", "\x1b[31m", "[half", ":@:", "user:pw@h:99999/x", "..",
         "{\"a\": 1}", "漢" * 400, "\udcff"]  # fmt: skip


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, str]:
    """Chains into archives that are none, or damaged."""
    (tmp_path / "bad").write_bytes(b"PK\3\4" + b"\xff" * 600)
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as good:
        good.writestr("a.mp4", b"sound" * 1000)
    cut = (tmp_path / "good.zip").read_bytes()[:-30]
    (tmp_path / "cut.zip").write_bytes(cut)
    return {
        f"{protocol}://{member}::{tmp_path}/{archive}": protocol
        for protocol in ("zip", "tar", "libarchive", "reference", "dir", "simplecache::zip")
        for member in ("a.mp4", "", "gone.mp4.gz")
        for archive in ("bad", "cut.zip", "gone.zip")
    }


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_any_text_is_a_file_or_a_reason(s3: S3Server, protocol: str) -> None:
    host = ["127.0.0.1:1/v.mp4", "[half", ":@:", "127.0.0.1:1/a\nb", ""]
    for path in host if protocol in NETWORK else PATHS:
        assert_total(f"{protocol}://{path}")


@pytest.mark.parametrize(
    "url",
    ["/a\0b.mp4", "/dev/null", "/x/" + "漢" * 100, "/x" * 3000, "", "s3://only-a-bucket",
     "data:,x", "a::b", "::", "zip::"],
)  # fmt: skip
def test_any_other_text_too(s3: S3Server, url: str) -> None:
    assert refusal(url).reason


def test_a_damaged_archive_is_a_reason(archives: dict[str, str]) -> None:
    for url in archives:
        assert_total(url)


def assert_total(url: str) -> None:
    for attempt in (storage.identify, lambda url: storage.open_for_reading(url, seekable=True)):
        reason = "was read"
        try:
            attempt(url)
        except StorageError as error:
            reason = error.reason
        assert reason
        assert reason.isprintable()


def test_a_member_of_an_archive_is_a_file(tmp_path: Path, s3: S3Server) -> None:
    bucket, content = s3.bucket(), b"sound" * 1000
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("v/a.mp4", content)
    s3.put(f"{bucket}/z.zip", (tmp_path / "z.zip").read_bytes())
    for chain in (f"::{tmp_path}/z.zip", f"::{bucket}/z.zip"):
        url = storage.join(f"zip://v/sub{chain}", "../a.mp4")
        assert url == f"zip://v/a.mp4{chain}"
        assert storage.identify(url).size == len(content)
        with storage.open_for_reading(url, seekable=False).stream as stream:
            assert stream.read() == content
        assert storage.list_files(f"zip://v{chain}").files == [url]
        assert storage.list_files(f"zip://*/a.mp4{chain}").files == [url]


def test_what_fails_while_it_is_read_is_a_storage_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.mp4", os.urandom(100_000))
    broken = bytearray((tmp_path / "z.zip").read_bytes())
    broken[50_000:50_100] = bytes(100)
    (tmp_path / "z.zip").write_bytes(broken)
    stream = storage.open_for_reading(f"zip://a.mp4::{tmp_path}/z.zip", seekable=False).stream
    with stream, pytest.raises(StorageError) as failed:
        stream.read()
    assert failed.value.kind is FailureKind.UNREADABLE


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
