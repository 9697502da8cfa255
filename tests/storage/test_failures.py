"""What an exception of a store means for the run."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ServerDisconnectedError
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from fsspec.exceptions import FSTimeoutError
from s3fs.errors import translate_boto_error
from s3fs.utils import FileExpired

from tasks import storage
from tasks.errors import FailureKind, StorageError
from tests.storage.conftest import refusal
from tests.web import serving


def client_error(code: str, status: int) -> Exception:
    response: Any = {
        "Error": {"Code": code, "Message": f"{code} happened"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    error: Exception = translate_boto_error(ClientError(response, "GetObject"))
    return error


ERRORS = [
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


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=lambda value: repr(value)[:40])
def test_describe(error: Exception, kind: str) -> None:
    assert storage.storage_error(error).kind == kind


@pytest.fixture
def web() -> Iterator[str]:
    """A web server that answers ``/404`` by 404, with a video where it answers 200, and sends round
    in circles where it answers 302."""

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        status, is_head = environ["PATH_INFO"][1:], environ["REQUEST_METHOD"] == "HEAD"
        headers = [("Content-Length", "5"), ("ETag", '"tag"'), ("Location", "/302")]
        start_response(f"{status} said", headers)
        return [] if is_head else [b"video"]

    with serving(answer) as address:
        yield address


def test_what_a_web_server_says(web: str) -> None:
    assert storage.identify(f"{web}/200") == storage.Identity(5, "tag")
    kinds = {"404": "missing", "410": "missing", "403": "forbidden", "500": "unreachable",
             "429": "unreachable", "302": "unreadable", "400": "unreadable"}  # fmt: skip
    for status, kind in kinds.items():
        assert refusal(f"{web}/{status}").kind == kind, status
    assert refusal("http://127.0.0.1:1/v.mp4").kind == "unreachable"


def test_an_answer_that_is_none_is_not_missing() -> None:
    def answer(listener: socket.socket) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(b"\x16\x03\x01 what the web does not speak\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        refused = refusal(f"http://127.0.0.1:{listener.getsockname()[1]}/v.mp4")
        assert refused.kind in ("unreadable", "unreachable")
        listener.shutdown(socket.SHUT_RDWR)


def test_describe_leaves_what_is_sorted() -> None:
    error = StorageError(FailureKind.UNREACHABLE, "again later")
    assert storage.storage_error(error) is error


def test_reasons_hold_no_secrets() -> None:
    text = "403, url='https://me:pw@h/a.mp4?X-Amz-Signature=abc&X-Amz-Credential=d'"
    assert storage.storage_error(OSError(text)).reason == "403, url='https://h/a.mp4?..."
