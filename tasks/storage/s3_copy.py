"""Reuse the start of an object on S3 as the start of its next version, without a download and an
upload of these bytes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from fsspec.asyn import sync
from s3fs import S3FileSystem

from tasks.storage.failures import error_code

MIN_PART_BYTES = 5 << 20
"""S3's minimum for every part of an upload but the last."""
COPY_BYTES = 256 << 20
"""The most that one request copies: S3 allows 5 GiB, which would take minutes."""
CARRY_BYTES = 32 << 20
"""The most that is downloaded at a time, where the store does not copy."""
_COPIES_AT_ONCE = 8
Part = dict[str, str | int]
"""PartNumber and ETag of an uploaded part."""
_NOT_IMPLEMENTED = {"NotImplemented", "501", "MethodNotAllowed", "405"}


def copy_start(fs: S3FileSystem, upload: dict[str, str], size: int, etag: str) -> list[Part]:
    """Make the first ``size`` bytes of an object the first parts of an upload to the same key.

    The store copies them if it can (UploadPartCopy); else they are downloaded and uploaded.

    Args:
        fs: the store.
        upload: Bucket, Key and UploadId.
        size: at least MIN_PART_BYTES.
        etag: the entity tag of the object, with its quotes.
    """
    try:
        with ThreadPoolExecutor(_COPIES_AT_ONCE, thread_name_prefix="copy") as pool:
            copy = partial(_copy_part, fs, upload, etag)
            return list(pool.map(copy, *zip(*_ranges(size, COPY_BYTES), strict=True)))
    except Exception as error:
        if error_code(error) not in _NOT_IMPLEMENTED:
            raise
    return [_carry_part(fs, upload, etag, *part) for part in _ranges(size, CARRY_BYTES)]


def read_start(fs: S3FileSystem, target: dict[str, str], size: int, etag: str) -> bytes:
    """Return the first ``size`` bytes of an object, if it still has this entity tag."""
    return _read(fs, target, etag, 0, size) if size else b""


def _ranges(size: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of parts of nearly equal size, at most ``most`` bytes."""
    count = -(-size // most)
    for number in range(count):
        yield number + 1, size * number // count, size * (number + 1) // count


def _copy_part(
    fs: S3FileSystem, upload: dict[str, str], etag: str, number: int, start: int, end: int
) -> Part:
    copied = fs.call_s3(
        "upload_part_copy",
        CopySource={"Bucket": upload["Bucket"], "Key": upload["Key"]},
        CopySourceRange=f"bytes={start}-{end - 1}",
        CopySourceIfMatch=etag,
        PartNumber=number,
        **upload,
    )
    return {"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]}


def _carry_part(
    fs: S3FileSystem, upload: dict[str, str], etag: str, number: int, start: int, end: int
) -> Part:
    data = _read(fs, {"Bucket": upload["Bucket"], "Key": upload["Key"]}, etag, start, end)
    part = fs.call_s3("upload_part", Body=data, PartNumber=number, **upload)
    return {"PartNumber": number, "ETag": part["ETag"]}


def _read(fs: S3FileSystem, target: dict[str, str], etag: str, start: int, end: int) -> bytes:
    bytes_range = f"bytes={start}-{end - 1}"
    response = fs.call_s3("get_object", Range=bytes_range, IfMatch=etag, **target)
    data: bytes = sync(fs.loop, response["Body"].read)
    return data
