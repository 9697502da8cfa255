"""Do what s3fs does not: stream an object by one request, and replace it on a condition."""

import io
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.asyn import sync
from s3fs import S3FileSystem

from tasks.errors import FailureKind, StorageError
from tasks.storage.failures import error_code, storage_error
from tasks.storage.s3_copy import MIN_PART_BYTES, Part, copy_start, read_start

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_log = logging.getLogger(__name__)
_probed: set[tuple[S3FileSystem, str]] = set()

_READ_ATTEMPTS = 5
PART_BYTES = 32 << 20
"""A larger object is uploaded in parts, with one part at a time in memory."""
MAX_PARTS = 10_000  # in one upload to S3

# Headers that an object keeps when it is replaced. Not its tags and access list: each costs a
# request and a permission of its own.
_PRESERVED_HEADERS = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType",
    "Metadata", "ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled", "StorageClass",
)  # fmt: skip
_CHANGED = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey", "404"}


class ObjectStream(io.RawIOBase):
    """Streams an object from start to end by a single GET, which also tells its identity.

    ``fs.open`` sends HEAD first and then reads in blocks: twice the requests for a small object.
    After a lost connection, the stream is resumed where it stopped, on condition that the object
    has not changed.

    Attributes:
        info: ``size`` and ``ETag``, as in ``fs.info``.
    """

    def __init__(self, fs: S3FileSystem, path: str) -> None:
        self._fs = fs
        self._bucket, self._key, version = fs.split_path(path)
        self._conditions: dict[str, str] = {"VersionId": version} if version else {}
        self._position = 0
        self._body: Any = None
        response = self._get()
        self.info: dict[str, object] = {"size": response["ContentLength"], "ETag": response["ETag"]}
        self._conditions["IfMatch"] = response["ETag"]

    def _get(self, **more: str) -> dict[str, Any]:
        response: dict[str, Any] = self._fs.call_s3(
            "get_object", Bucket=self._bucket, Key=self._key, **self._conditions, **more
        )
        self._body = response["Body"]
        return response

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                if self._body is None:
                    self._get(Range=f"bytes={self._position}-")
                data: bytes = sync(self._fs.loop, self._body.read, len(view))
                break
            except Exception as error:
                self._drop()
                if attempt == _READ_ATTEMPTS or not storage_error(error).is_transient:
                    raise
        view[: len(data)] = data
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


def replace(fs: S3FileSystem, path: str, file: Path, expected: str | None, keep: int = 0) -> None:
    """Put ``file`` at ``path`` if the object there still has the entity tag ``expected`` (None:
    if there is no object). The store checks this in the same step that makes the new object
    visible. The first ``keep`` bytes of the old object stay, and ``file`` follows them.

    Some stores that speak S3's protocol ignore the condition (rclone 1.75) or ignore it for
    uploads in parts (moto 5.2). So the object is also compared just before that step: on these
    stores a write in between is lost, and the log says so once for each bucket.

    Raises:
        StorageError: ``changed``: another object is there now; or this store cannot write on a
            condition.
    """
    condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": f'"{expected}"'}
    with _refusals():
        _warn_of_ignored_conditions(fs, path)
        _upload(fs, path, file, condition, keep)


def overwrite(fs: S3FileSystem, path: str, file: Path) -> None:
    """Put ``file`` at ``path``, without a condition."""
    _upload(fs, path, file, {})


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        code = error_code(error)
        if code in _CHANGED or isinstance(error, FileExistsError):
            raise StorageError(FailureKind.CHANGED, "has changed since it was read") from error
        if code in ("NotImplemented", "501"):
            raise StorageError(
                FailureKind.UNSUPPORTED,
                "its store cannot write on a condition (If-Match), so work could get lost",
            ) from error
        raise


def _upload(
    fs: S3FileSystem, path: str, file: Path, condition: dict[str, str], keep: int = 0
) -> None:
    """Upload a file, in parts when it is large. Parts of an upload that was killed are invisible
    but paid for: a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes them."""
    bucket, key, _ = fs.split_path(path)
    target, size = {"Bucket": bucket, "Key": key}, keep + file.stat().st_size
    etag = condition.get("IfMatch", "")
    preserved = _check(fs, target, condition)
    if size <= PART_BYTES or 0 < keep < MIN_PART_BYTES:
        body = read_start(fs, target, keep, etag) + file.read_bytes()
        fs.call_s3("put_object", Body=body, **target, **preserved, **condition)
        return
    started = fs.call_s3("create_multipart_upload", **target, **preserved)
    upload = {**target, "UploadId": started["UploadId"]}
    try:
        parts = copy_start(fs, upload, keep, etag) if keep else []
        part_bytes = max(PART_BYTES, -(-size // MAX_PARTS))
        parts += _upload_parts(fs, upload, file, part_bytes, len(parts) + 1)
        _check(fs, target, condition)
        fs.call_s3(
            "complete_multipart_upload", MultipartUpload={"Parts": parts}, **upload, **condition
        )
    except BaseException:
        with suppress(Exception):  # the error that stopped the upload says more
            fs.call_s3("abort_multipart_upload", **upload)
        raise


def _upload_parts(
    fs: S3FileSystem, upload: dict[str, str], file: Path, part_bytes: int, number: int
) -> list[Part]:
    parts: list[Part] = []
    with file.open("rb") as source:
        while data := source.read(part_bytes):
            part = fs.call_s3("upload_part", Body=data, PartNumber=number, **upload)
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
            number += 1
    return parts


def _check(
    fs: S3FileSystem, target: dict[str, str], condition: dict[str, str]
) -> dict[str, object]:
    """Compare the object at ``target`` with the condition; return the headers to preserve."""
    if not condition:
        return {}
    try:
        head = fs.call_s3("head_object", **target)
    except FileNotFoundError:
        head = None
    etag = head["ETag"].strip('"') if head else ""
    if etag != condition.get("IfMatch", "").strip('"'):
        raise StorageError(FailureKind.CHANGED, "has changed since it was read")
    return {name: head[name] for name in _PRESERVED_HEADERS if name in head} if head else {}


def _warn_of_ignored_conditions(fs: S3FileSystem, path: str) -> None:
    """Find out, once for each bucket, whether the store honours If-Match; log it if not."""
    bucket, key, _ = fs.split_path(path)
    if (fs, bucket) in _probed:
        return
    folder, slash, _ = key.rpartition("/")
    if not _honours_conditions(fs, bucket, f"{folder}{slash}.{uuid.uuid4().hex}.probe"):
        _log.warning(
            "s3://%s: its store ignores If-Match. If another program writes to a file there at the "
            "moment at which it is replaced, that write is lost.",
            bucket,
        )
    _probed.add((fs, bucket))


def _honours_conditions(fs: S3FileSystem, bucket: str, new_key: str) -> bool:
    """Request a write on a condition that does not hold, to a new key, so that no object is at
    risk. A store that honours the condition refuses, and nothing is written."""

    def is_refused() -> bool:
        try:
            fs.call_s3("put_object", Bucket=bucket, Key=new_key, Body=b"", IfMatch='"0"')
        except OSError as error:
            if storage_error(error).is_transient:
                raise
            return True
        return False

    if is_refused():
        return True
    # Once more: MinIO before 2025 ignores the condition if there is no object, and only then.
    honoured = is_refused()
    with suppress(OSError):  # without the permission to delete, an empty hidden object stays
        fs.call_s3("delete_object", Bucket=bucket, Key=new_key)
    return honoured
