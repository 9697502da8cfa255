"""Paths, listing, identity, reading and replacing, locally and on S3."""

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from tasks import storage
from tasks.errors import (
    ConfigurationError,
    ManifestChanged,
    ManifestError,
    TransientError,
    VideoError,
)
from tasks.manifests import Fields
from tasks.storage import s3 as s3_store
from tests.conftest import S3Server

# ---- paths as text ----


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("/data", "a.mp4", "/data/a.mp4"),
        ("/data/manifests", "../videos/a.mp4", "/data/videos/a.mp4"),
        ("/data", "/other/a.mp4", "/other/a.mp4"),
        ("/data", "file:///other/a.mp4", "/other/a.mp4"),
        ("/data", "s3://b/a.mp4", "s3://b/a.mp4"),
        ("/data", "./a::b ~ [1].mp4", "/data/a::b ~ [1].mp4"),
        ("s3://b/data", "a.mp4", "s3://b/data/a.mp4"),
        ("s3://b/data/", "../a.mp4", "s3://b/a.mp4"),
        ("s3://b", "../../a.mp4", "s3://b/a.mp4"),
        ("s3://b//x", "./y//a.mp4", "s3://b//x/y//a.mp4"),
        ("s3://b/data", "/mnt/a.mp4", "/mnt/a.mp4"),
        ("s3://b/data", "https://h/a.mp4?x=1", "https://h/a.mp4?x=1"),
    ],
)
def test_join(base: str, path: str, expected: str) -> None:
    assert storage.join(base, path) == expected


def test_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("a/../b.jsonl") == str(tmp_path / "b.jsonl")
    assert storage.absolute("file:///x/y.jsonl") == "/x/y.jsonl"
    assert storage.absolute("s3://b/k.jsonl") == "s3://b/k.jsonl"


def test_parent_and_name() -> None:
    assert (storage.parent("s3://b/a/x.jsonl"), storage.name("s3://b/a/x.jsonl")) == (
        "s3://b/a", "x.jsonl")  # fmt: skip
    assert (storage.parent("/x.jsonl"), storage.name("/data/")) == ("/", "data")


def test_an_unknown_protocol_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match=r"^nope://x cannot be opened: Protocol not known"):
        storage.resolve("nope://x")


def test_decoders_do_not_load_clients_they_do_not_need() -> None:
    code = "import sys, tasks.storage; print({'s3fs', 'botocore', 'pyarrow'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# ---- listing ----

TREE = ["a.jsonl", "sub/b.parquet", "sub/deep/c.csv.gz", "readme.md", "a.jsonl.failures",
        ".hidden.jsonl", ".cache/d.jsonl", "sub/.a.jsonl.123.tmp", "[x].jsonl"]  # fmt: skip


@pytest.fixture(params=["local", "s3"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> str:
    """A folder with manifests and other things."""
    base = f"{tmp_path}/data" if request.param == "local" else f"{s3.bucket()}/data"
    for name in TREE:
        put(s3, f"{base}/{name}", b"{}\n")
    return base


def put(s3: S3Server, url: str, content: bytes) -> None:
    if url.startswith("s3://"):
        s3.put(url, content)
    else:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        Path(url).write_bytes(content)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["[x].jsonl", "a.jsonl", "sub/b.parquet", "sub/deep/c.csv.gz"]),
        ("/", ["[x].jsonl", "a.jsonl", "sub/b.parquet", "sub/deep/c.csv.gz"]),
        ("/sub", ["sub/b.parquet", "sub/deep/c.csv.gz"]),
        ("/*", ["[x].jsonl", "a.jsonl"]),
        ("/*.jsonl", ["[x].jsonl", "a.jsonl"]),
        ("/**/*.gz", ["sub/deep/c.csv.gz"]),
        ("/**", ["[x].jsonl", "a.jsonl", "sub/b.parquet", "sub/deep/c.csv.gz"]),
        ("/su?/*", ["sub/b.parquet"]),
        ("/a.jsonl", ["a.jsonl"]),
        ("/.hidden.jsonl", [".hidden.jsonl"]),
    ],
)
def test_list_manifests(tree: str, pattern: str, expected: list[str]) -> None:
    assert storage.list_manifests(tree + pattern) == [f"{tree}/{name}" for name in expected]


def test_links_are_manifests_and_circles_end(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "m.jsonl").touch()
    (folder / "link.jsonl").symlink_to("m.jsonl")
    (folder / "circle").symlink_to(folder)
    names = ["link.jsonl", "m.jsonl"]
    assert storage.list_manifests(str(folder)) == [f"{folder}/{name}" for name in names]
    assert storage.list_manifests(f"{folder}/*") == [f"{folder}/{name}" for name in names]
    assert storage.list_manifests(f"{folder}/link.jsonl") == [f"{folder}/link.jsonl"]
    (tmp_path / "alias").symlink_to(folder)
    alias = f"{tmp_path}/alias"
    assert storage.list_manifests(alias) == [f"{alias}/{name}" for name in names]


def test_a_name_with_brackets_is_found_locally(tmp_path: Path) -> None:
    (tmp_path / "[x].jsonl").touch()
    assert storage.list_manifests(f"{tmp_path}/[x].jsonl") == [f"{tmp_path}/[x].jsonl"]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("/nothing.jsonl", "there is no such file, folder or bucket"),
        ("/*.ndjson", "There is no manifest at"),
        ("/readme.md", "its name must end in one of"),
        ("/a.jsonl.failures", "is a failure ledger"),
    ],
)
def test_what_is_no_manifest_is_one_sentence(tree: str, pattern: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refused:
        storage.list_manifests(tree + pattern)
    assert "\n" not in str(refused.value)


def test_a_listing_is_always_fresh(tree: str, s3: S3Server) -> None:
    before = storage.list_manifests(tree)
    put(s3, f"{tree}/new.jsonl", b"{}\n")
    assert {*storage.list_manifests(tree)} - {*before} == {f"{tree}/new.jsonl"}


def test_thousands_of_keys_take_a_request_a_thousand(s3: S3Server) -> None:
    base = f"{s3.bucket()}/many"
    for number in range(1100):
        s3.put(f"{base}/{number:04}.jsonl", b"")
    storage.list_manifests(base)  # the client's first requests are its own
    before = len(s3.requests)
    assert len(storage.list_manifests(base)) == 1100
    look, pages = 2, 2  # is it a file or a folder, then what is in it
    assert len(s3.requests) - before <= look + pages


def test_a_missing_bucket_is_one_sentence(s3: S3Server) -> None:
    for pattern in ("/data", "/*.jsonl", "/data/**"):
        with pytest.raises(ConfigurationError, match="there is no such file, folder or bucket"):
            storage.list_manifests("s3://no-such-bucket-here" + pattern)


def in_another_process(environment: dict[str, str], home: Path, pattern: str) -> str:
    """What list_manifests gives, or its error, without the keys of this process."""
    code = (
        "import sys\n"
        "from tasks.storage import list_manifests\n"
        "from tasks.errors import ConfigurationError\n"
        "try: print(list_manifests(sys.argv[1]))\n"
        "except ConfigurationError as error: print(error)"
    )
    kept = ("PATH", "AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED")
    run = subprocess.run(
        [sys.executable, "-c", code, pattern],
        env={name: os.environ[name] for name in kept} | {"HOME": str(home)} | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert run.stdout.count("\n") == 1
    return run.stdout.strip()


@pytest.mark.parametrize("pattern", ["/x", "/*.jsonl", "/x/*.jsonl", "/**/*.jsonl"])
def test_no_credentials_is_one_sentence(s3: S3Server, tmp_path: Path, pattern: str) -> None:
    said = in_another_process({}, tmp_path, s3.bucket() + pattern)
    assert "access is refused (Unable to locate credentials)" in said


@pytest.mark.parametrize("pattern", ["/m.jsonl", "", "/*.jsonl", "/**/*.jsonl"])
def test_no_permission_is_one_sentence(s3: S3Server, pattern: str) -> None:
    bucket = s3.bucket()
    s3.put(f"{bucket}/m.jsonl", b"{}\n")
    s3.sealed.add(bucket.removeprefix("s3://"))
    with pytest.raises(ConfigurationError, match="access is refused"):
        storage.list_manifests(bucket + pattern)


def test_a_public_bucket_needs_only_the_usual_setting(s3: S3Server, tmp_path: Path) -> None:
    url = f"{s3.bucket()}/m.jsonl"
    s3.put(url, b"{}\n", ACL="public-read")
    assert in_another_process({"FSSPEC_S3_ANON": "true"}, tmp_path, url) == f"['{url}']"


def test_an_aws_profile_is_enough(s3: S3Server, tmp_path: Path) -> None:
    url = f"{s3.bucket()}/m.jsonl"
    s3.put(url, b"{}\n")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[mine]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    assert in_another_process({"AWS_PROFILE": "mine"}, tmp_path, url) == f"['{url}']"


# ---- identity ----


def refusal(url: str) -> VideoError | TransientError:
    """Why this is no video."""
    try:
        storage.identify(url)
    except (VideoError, TransientError) as error:
        return error
    raise AssertionError(f"{url} was accepted")


@pytest.fixture(params=["local", "s3"])
def file(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> str:
    url = f"{tmp_path}/m.jsonl" if request.param == "local" else f"{s3.bucket()}/m.jsonl"
    put(s3, url, b'{"n": 1}\n')
    return url


def test_identity_changes_with_the_content(file: str, s3: S3Server) -> None:
    first = storage.identify(file)
    assert first == storage.identify(file)
    assert first.size == 9
    put(s3, file, b'{"n": 2}\n')
    if not file.startswith("s3://"):
        os.utime(file, ns=(0, 1))  # the clock of files may not have ticked
    assert storage.identify(file) != first


def test_identity_is_one_request(s3: S3Server) -> None:
    url = f"{s3.bucket()}/v.mp4"
    s3.put(url, b"video")
    storage.identify(url)
    before = len(s3.requests)
    storage.identify(url)
    assert [request.split()[0] for request in s3.requests[before:]] == ["HEAD"]


def test_what_cannot_be_identified(file: str) -> None:
    for url in (file + ".gone", storage.parent(file)):
        with pytest.raises(VideoError) as missing:
            storage.identify(url)
        assert missing.value.kind == "missing"
    with pytest.raises(VideoError, match="Protocol not known") as unknown:
        storage.identify("nope://v.mp4")
    assert unknown.value.kind == "unreadable"


@pytest.mark.parametrize(
    "url", ["s3://b d!/v.mp4", "s3://", "s3://only-a-bucket", "http://[half/v.mp4", "/a\0b.mp4",
            "http://127.0.0.1:1/v.mp4", "/dev/null"]
)  # fmt: skip
def test_any_text_is_a_video_or_a_reason(s3: S3Server, url: str) -> None:
    assert refusal(url).reason


# ---- reading ----


def test_a_manifest_is_read_by_one_request(s3: S3Server) -> None:
    url, content = f"{s3.bucket()}/m.jsonl", b'{"videos": ["a"]}\n' * 5
    tag = s3.put(url, content)
    storage.identify(url)
    before = len(s3.requests)
    with storage.open_manifest(url) as manifest:
        assert len(list(manifest.format.read(manifest.stream, Fields()))) == 5
        assert manifest.identity == storage.Identity(len(content), tag)
    assert [request.split()[0] for request in s3.requests[before:]] == ["GET"]


def test_an_empty_manifest_is_read_and_has_no_samples(s3: S3Server) -> None:
    url = f"{s3.bucket()}/m.jsonl"
    s3.put(url, b"")
    with storage.open_manifest(url) as manifest:
        assert list(manifest.format.read(manifest.stream, Fields())) == []
        assert manifest.identity == storage.identify(url)


def test_identity_of_what_was_opened_is_that_of_identify(file: str) -> None:
    with storage.open_manifest(file) as manifest:
        assert manifest.identity == storage.identify(file)


def test_an_error_in_a_manifest_names_it(file: str, s3: S3Server) -> None:
    put(s3, file, b"{}\n7\n")
    with pytest.raises(ManifestError) as refused, storage.open_manifest(file) as manifest:
        list(manifest.format.read(manifest.stream, Fields()))
    assert (refused.value.url, refused.value.line) == (file, 2)
    with (
        pytest.raises(ManifestError, match="no such file"),
        storage.open_manifest(file[:-6] + "x.jsonl"),
    ):
        pass


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


# ---- replacing ----


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "scratch"
    path.write_bytes(b"new content\n")
    return path


def content_of(url: str) -> bytes:
    with storage.open_for_reading(url) as stream:
        return stream.read()


def test_replace_what_was_expected(file: str, new: Path) -> None:
    storage.replace(file, new, storage.identify(file))
    assert content_of(file) == b"new content\n"


def test_never_replace_something_else(file: str, new: Path, s3: S3Server) -> None:
    expected = storage.identify(file)
    put(s3, file, b"someone else's\n")
    for wrong in (expected, None):
        with pytest.raises(ManifestChanged):
            storage.replace(file, new, wrong)
    with pytest.raises(ManifestChanged):
        storage.replace(file + ".gone.jsonl", new, expected)
    assert content_of(file) == b"someone else's\n"


def test_create_what_was_not_there(file: str, new: Path) -> None:
    url = storage.join(storage.parent(file), "out/n.jsonl")
    if not file.startswith("s3://"):
        Path(url).parent.mkdir()
    storage.replace(url, new, None)
    assert content_of(url) == b"new content\n"


def test_overwrite_and_remove(file: str, new: Path) -> None:
    storage.overwrite(file, new)
    assert content_of(file) == b"new content\n"
    storage.remove(file)
    storage.remove(file)
    with pytest.raises(VideoError):
        storage.identify(file)


def test_versions_of_ours_never_share_an_identity(tmp_path: Path) -> None:
    url, seen = f"{tmp_path}/m.jsonl", set()
    expected = None
    for number in range(50):
        with storage.scratch(url) as path:
            path.write_bytes(b"%02d\n" % number)
            storage.replace(url, path, expected)
        expected = storage.identify(url)
        seen.add(expected)
    assert len(seen) == 50


def test_large_objects_go_up_in_parts_on_the_same_condition(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 << 20)
    url, path = f"{s3.bucket()}/m.jsonl", tmp_path / "big"
    s3.put(url, b"{}\n", ContentType="application/x-ndjson")
    content = os.urandom(12 << 20)
    path.write_bytes(content)
    before, old = len(s3.requests), storage.identify(url)
    storage.replace(url, path, old)
    assert s3.get(url) == content
    assert sum("partNumber=" in request for request in s3.requests[before:]) == 3
    for wrong in (old, None):
        with pytest.raises(ManifestChanged):
            storage.replace(url, path, wrong)
    bucket, _, key = url.removeprefix("s3://").partition("/")
    assert s3.client.head_object(Bucket=bucket, Key=key)["ContentType"] == "application/x-ndjson"
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=bucket)


def test_a_killed_upload_leaves_nothing_that_is_listed(s3: S3Server) -> None:
    bucket = s3.bucket()
    s3.put(f"{bucket}/m.jsonl", b"{}\n")
    name = bucket.removeprefix("s3://")
    upload = s3.client.create_multipart_upload(Bucket=name, Key="half.jsonl")
    s3.client.upload_part(Bucket=name, Key="half.jsonl", PartNumber=1, Body=b"x",
                          UploadId=upload["UploadId"])  # fmt: skip
    assert storage.list_manifests(bucket) == [f"{bucket}/m.jsonl"]


def test_a_local_file_that_may_not_be_written_is_refused(tmp_path: Path, new: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be written"):
        storage.replace("/proc/nope/m.jsonl", new, None)


def test_any_other_store_is_replaced_too(new: Path) -> None:
    url = "memory://replace/m.jsonl"
    storage.replace(url, new, None)
    assert content_of(url) == b"new content\n"
    with pytest.raises(ManifestChanged):
        storage.replace(url, new, storage.Identity(1, "other"))
    storage.replace(url, new, storage.identify(url))
    assert storage.list_manifests("memory://replace") == [url]


# ---- sorting errors ----


def client_error(code: str, status: int) -> Exception:
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    response: Any = {
        "Error": {"Code": code, "Message": f"{code} happened"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    error: Exception = translate_boto_error(ClientError(response, "GetObject"))
    return error


def other_errors() -> list[tuple[Exception, str]]:
    from aiohttp import ClientPayloadError, ServerDisconnectedError
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError
    from fsspec.exceptions import FSTimeoutError
    from s3fs.utils import FileExpired

    return [
        (FileNotFoundError("x"), "missing"),
        (NotADirectoryError("x"), "missing"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "missing"),
        (PermissionError("x"), "forbidden"),
        (OSError(errno.EIO, "Input/output error"), "unreadable"),
        (OSError(errno.ESTALE, "Stale file handle"), "unreachable"),
        (TimeoutError(), "unreachable"),
        (ConnectionResetError("x"), "unreachable"),
        (socket.gaierror(-2, "Name or service not known"), "unreachable"),
        (client_error("NoSuchKey", 404), "missing"),
        (client_error("AccessDenied", 403), "forbidden"),
        (client_error("ExpiredToken", 400), "forbidden"),
        (client_error("InternalError", 500), "unreachable"),
        (client_error("SlowDown", 503), "unreachable"),
        (client_error("RequestTimeout", 400), "unreachable"),
        (client_error("PreconditionFailed", 412), "changed"),
        (client_error("InvalidObjectState", 403), "forbidden"),
        (NoCredentialsError(), "forbidden"),
        (EndpointConnectionError(endpoint_url="http://h"), "unreachable"),
        (ReadTimeoutError(endpoint_url="http://h"), "unreachable"),
        (ClientPayloadError("x"), "unreachable"),
        (ServerDisconnectedError(), "unreachable"),
        (FSTimeoutError(), "unreachable"),
        (FileExpired("f", "tag"), "changed"),
    ]


def test_describe() -> None:
    for error, kind in other_errors():
        assert storage.describe(error).kind == kind, repr(error)
        assert isinstance(error, storage.storage_errors())


@pytest.fixture
def web() -> Iterator[str]:
    """A web server that answers ``/404`` by 404, and with a video where it answers 200."""

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        status, is_head = environ["PATH_INFO"][1:], environ["REQUEST_METHOD"] == "HEAD"
        start_response(f"{status} said", [("Content-Length", "5"), ("ETag", '"tag"')])
        return [] if is_head else [b"video"]

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_a_web_server_says(web: str) -> None:
    assert storage.identify(f"{web}/200") == storage.Identity(5, "tag")
    kinds = {"404": "missing", "403": "forbidden", "500": "unreachable", "429": "unreachable"}
    for status, kind in kinds.items():
        assert refusal(f"{web}/{status}").kind == kind, status
    assert refusal("http://127.0.0.1:1/v.mp4").kind == "unreachable"


def test_describe_leaves_what_is_sorted() -> None:
    error = TransientError("again later")
    assert storage.describe(error) is error


def test_reasons_hold_no_secrets() -> None:
    text = "403, url='https://me:pw@h/a.mp4?X-Amz-Signature=abc&X-Amz-Credential=d'"
    assert storage.describe(OSError(text)).reason == "403, url='https://h/a.mp4?...'"
