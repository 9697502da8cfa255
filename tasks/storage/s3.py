"""What s3fs does not do: stream an object by one request, and replace it on a condition."""

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

from fsspec.asyn import sync
from s3fs import S3FileSystem

from tasks.errors import FailureKind, StorageError
from tasks.storage.failures import describe, error_code, storage_errors

_READ_ATTEMPTS = 5
PART_BYTES = 32 << 20
"""Above this an object is uploaded in parts, of which one at a time is in memory."""
_MOST_PARTS = 10_000  # of S3

# What an object keeps when it is replaced. Not its tags and access list: each costs a request and
# a permission of its own.
_KEPT = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType",
    "Metadata", "ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled", "StorageClass",
)  # fmt: skip
_CHANGED = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey", "404"}


class ObjectStream(io.RawIOBase):
    """The bytes of an object from start to end by a single GET, which also tells its identity.

    ``fs.open`` asks HEAD first and then in blocks: twice the requests for a small manifest. A
    connection lost on the way is taken up where it broke, on condition that the object is still
    the same one.

    Attributes:
        info: ``size`` and ``ETag``, as in ``fs.info``.
    """

    def __init__(self, fs: S3FileSystem, path: str) -> None:
        self._fs = fs
        self._bucket, self._key, version = fs.split_path(path)
        self._conditions: dict[str, Any] = {"VersionId": version} if version else {}
        self._position = 0
        self._body: Any = None
        response = self._get()
        self.info: dict[str, Any] = {"size": response["ContentLength"], "ETag": response["ETag"]}
        self._conditions["IfMatch"] = response["ETag"]

    def _get(self, **more: str) -> dict[str, Any]:
        response: dict[str, Any] = self._fs.call_s3(
            "get_object", Bucket=self._bucket, Key=self._key, **self._conditions, **more
        )
        self._body = response["Body"]
        return response

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                if self._body is None:
                    self._get(Range=f"bytes={self._position}-")
                data: bytes = sync(self._fs.loop, self._body.read, len(buffer))
                break
            except storage_errors() as error:
                self._drop()
                if attempt == _READ_ATTEMPTS or describe(error).kind != "unreachable":
                    raise
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._drop()
        super().close()

    def _drop(self) -> None:
        if self._body is not None:
            # aiohttp's objects belong to the thread of the event loop.
            self._fs.loop.call_soon_threadsafe(self._body.close)
            self._body = None


def replace(fs: S3FileSystem, path: str, file: Path, expected: str | None) -> None:
    """Put ``file`` at ``path`` if the object there still has the entity tag ``expected`` (None:
    if there is no object). The store decides, in the same step that makes it visible.

    Raises:
        StorageError: ``changed``: another object is there now; or this store cannot write on a
            condition.
    """
    condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": f'"{expected}"'}
    try:
        kept = {} if expected is None else _kept(fs, path, expected)
        upload(fs, path, file, kept, condition)
    except storage_errors() as error:
        code = error_code(error)
        if code in _CHANGED or isinstance(error, FileExistsError):
            raise StorageError(FailureKind.CHANGED, "has changed since it was read") from error
        if code in ("NotImplemented", "501"):
            raise StorageError(
                FailureKind.UNREADABLE,
                "its store cannot write on a condition (If-Match), so work could get lost",
            ) from error
        raise


def upload(
    fs: S3FileSystem, path: str, file: Path, kept: dict[str, Any], condition: dict[str, str]
) -> None:
    """Upload a file, in parts when it is large. Parts of an upload that was killed are invisible
    but paid for: a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes them."""
    bucket, key, _ = fs.split_path(path)
    place, size = {"Bucket": bucket, "Key": key}, file.stat().st_size
    if size <= PART_BYTES:
        fs.call_s3("put_object", Body=file.read_bytes(), **place, **kept, **condition)
        return
    started = fs.call_s3("create_multipart_upload", **place, **kept)
    place["UploadId"] = started["UploadId"]
    try:
        parts = _upload_parts(fs, place, file, max(PART_BYTES, -(-size // _MOST_PARTS)))
        # Amazon checks the condition below; some that speak its protocol (moto 5.2 among them)
        # overlook it there. For these the gap is one request wide.
        if "IfMatch" in condition:
            _kept(fs, path, condition["IfMatch"].strip('"'))
        elif "IfNoneMatch" in condition and fs.exists(path):
            raise StorageError(FailureKind.CHANGED, "has been written by someone else")
        fs.call_s3(
            "complete_multipart_upload", MultipartUpload={"Parts": parts}, **place, **condition
        )
    except BaseException:
        with suppress(*storage_errors()):  # what stopped the upload says more
            fs.call_s3("abort_multipart_upload", **place)
        raise


def _upload_parts(
    fs: S3FileSystem, place: dict[str, str], file: Path, part_bytes: int
) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    with file.open("rb") as source:
        while data := source.read(part_bytes):
            number = len(parts) + 1
            part = fs.call_s3("upload_part", Body=data, PartNumber=number, **place)
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
    return parts


def _kept(fs: S3FileSystem, path: str, expected: str) -> dict[str, Any]:
    bucket, key, _ = fs.split_path(path)
    head = fs.call_s3("head_object", Bucket=bucket, Key=key)
    if head["ETag"].strip('"') != expected:
        raise StorageError(FailureKind.CHANGED, "has changed since it was read")
    return {name: head[name] for name in _KEPT if name in head}
