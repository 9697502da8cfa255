"""Files: which content stands where, reading it, and replacing it in one step."""

import io
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from tasks.errors import (
    ConfigurationError,
    ManifestChanged,
    ManifestError,
    TransientError,
    VideoError,
)
from tasks.manifests import ManifestFormat, format_of, is_manifest, needs_random_access
from tasks.storage import local
from tasks.storage.failures import describe, redact, storage_errors
from tasks.storage.paths import is_remote, name, parent, resolve

READ_BUFFER_BYTES = 1 << 20

# Where the stores put what changes with the content, the strongest first.
_TOKEN_KEYS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "last_modified",
               "Last-Modified", "mtime", "updated", "created")  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """Which content stands at a URL, as far as its store tells without reading it.

    Attributes:
        size: bytes.
        token: the entity tag, or the time of the last change (nanoseconds for a local file).
    """

    size: int
    token: str


class OpenManifest(NamedTuple):
    """A manifest being read: its format, its bytes, and which content these are."""

    format: ManifestFormat
    stream: BinaryIO
    identity: Identity


def identify(url: str) -> Identity:
    """The content identity of a file, by one look at the store and without reading it.

    Raises:
        VideoError: it is missing, a folder, or may not be read.
        TransientError: the store did not answer.
    """
    try:
        fs, path = resolve(url)
        if isinstance(fs, LocalFileSystem):
            status = os.stat(path)  # noqa: PTH116 - fs.info rounds the time to a float
            if not os.path.isfile(path):  # noqa: PTH113
                raise VideoError("missing", "is not a file")
            return _local_identity(status)
        info = fs.info(path)
    except storage_errors(ValueError) as error:  # a name that no store takes is a ValueError
        raise describe(error) from error
    except ConfigurationError as error:  # one video's odd URL does not stop a run
        raise VideoError("unreadable", str(error)) from error
    if info["type"] == "directory":
        raise VideoError("missing", "is a folder")
    return _identity_of(info)


def _local_identity(status: os.stat_result) -> Identity:
    return Identity(status.st_size, str(status.st_mtime_ns))


def _identity_of(info: dict[str, Any]) -> Identity:
    # A store that tells nothing (plain HTTP servers may not) leaves the size alone.
    token = next((str(info[key]) for key in _TOKEN_KEYS if info.get(key)), "")
    return Identity(info["size"] if info["size"] is not None else -1, token.strip('"'))


def open_for_reading(url: str) -> BinaryIO:
    """Open a file, buffered. A manifest on S3 is streamed by one request, everything else there
    can be read at any place. Raises what the store raises: see :func:`describe`."""
    return _open(url)[0]


@contextmanager
def open_manifest(url: str) -> Iterator[OpenManifest]:
    """Open a manifest with its format; what goes wrong meanwhile names the manifest.

    Raises:
        ManifestError: the store or the format refuses it.
        TransientError: the store did not answer.
        ConfigurationError: no format has this extension.
    """
    layout = format_of(url)
    try:
        stream, identity = _open(url)
        with stream:
            yield OpenManifest(layout, stream, identity)
    except ManifestError as error:
        raise ManifestError(error.url or url, error.reason, error.line) from error
    except storage_errors() as error:
        problem = describe(error)
        if isinstance(problem, TransientError):
            raise TransientError(f"{redact(url)}: {problem.reason}") from error
        raise ManifestError(url, problem.reason) from error


def _open(url: str) -> tuple[BinaryIO, Identity]:
    fs, path = resolve(url)
    if isinstance(fs, LocalFileSystem):
        file = open(path, "rb", buffering=READ_BUFFER_BYTES)  # noqa: SIM115, PTH123
        return file, _local_identity(os.fstat(file.fileno()))
    if hasattr(fs, "call_s3") and is_manifest(url) and not needs_random_access(url):
        from tasks.storage.s3 import ObjectStream  # not loaded by runs that are local

        stream = ObjectStream(fs, path)
        reader = io.BufferedReader(stream, READ_BUFFER_BYTES)
        return cast(BinaryIO, reader), _identity_of(stream.info)
    remote = fs.open(path, "rb")
    details = getattr(remote, "details", None) or fs.info(path)
    return cast(BinaryIO, io.BufferedReader(remote, READ_BUFFER_BYTES)), _identity_of(details)


def scratch(url: str) -> AbstractContextManager[Path]:
    """A temporary file to write a new version of ``url`` to before :func:`replace`."""
    fs, path = resolve(url)
    if isinstance(fs, LocalFileSystem):
        path = os.path.realpath(path)
        return local.scratch(parent(path), name(path))
    return local.scratch(None, name(path))


def replace(url: str, file: Path, expected: Identity | None) -> None:
    """Put the local ``file`` at ``url`` in one step; a scratch file may be moved there.

    Local files are compared and renamed under a lock that holds off the other runs; S3 compares
    and writes by itself. Other stores have no common way: there the comparison comes just before
    the step, and a run that writes between the two is not noticed.

    Args:
        expected: what must be there now; None: nothing must be there.

    Raises:
        ManifestChanged: something else is there now. Nothing was written.
        ManifestError: the store refuses.
        TransientError: the store did not answer.
    """
    with _writing(url):
        fs, path = resolve(url)
        if isinstance(fs, LocalFileSystem):
            local.replace(path, file, lambda: _present(url) == expected)
        elif hasattr(fs, "call_s3"):
            from tasks.storage import s3

            s3.replace(fs, path, file, expected.token if expected else None)
        else:
            if _present(url) != expected:
                raise ManifestChanged(f"{redact(url)} has changed since it was read.")
            _put_and_move(fs, path, file)


def require_writable(folder: str) -> None:
    """Refuse a local folder that takes no files before hours of work are done for it; what a
    remote one takes is known when it is tried.

    Raises:
        ConfigurationError: no permission.
    """
    if not is_remote(folder) and not local.is_writable(folder):
        raise ConfigurationError(f"{folder} cannot be written: no permission.")


def overwrite(url: str, file: Path) -> None:
    """Put the local ``file`` at ``url`` in one step, whatever is there. Raises as `replace`."""
    with _writing(url):
        fs, path = resolve(url)
        if isinstance(fs, LocalFileSystem):
            local.replace(path, file, lambda: True)
        elif hasattr(fs, "call_s3"):
            from tasks.storage import s3

            s3.upload(fs, path, file, {}, {})
        else:
            _put_and_move(fs, path, file)


def remove(url: str) -> None:
    """Remove a file if it is there. Raises as :func:`replace`."""
    with _writing(url), suppress(FileNotFoundError):
        fs, path = resolve(url)
        fs.rm_file(path)


def _put_and_move(fs: AbstractFileSystem, path: str, file: Path) -> None:
    hidden = f"{parent(path)}/.{name(path)}.{uuid.uuid4().hex}.tmp"
    try:
        fs.put_file(str(file), hidden)
        fs.mv(hidden, path)
    except BaseException:
        with suppress(FileNotFoundError):
            fs.rm_file(hidden)
        raise


def _present(url: str) -> Identity | None:
    try:
        return identify(url)
    except VideoError as error:
        if error.kind == "missing":
            return None
        raise


@contextmanager
def _writing(url: str) -> Iterator[None]:
    try:
        yield
    except ManifestError as error:
        raise ManifestError(error.url or url, error.reason) from error
    except storage_errors(VideoError) as error:
        problem = describe(error)
        if isinstance(problem, TransientError):
            raise TransientError(f"{redact(url)}: {problem.reason}") from error
        raise ManifestError(url, f"cannot be written: {problem.reason}") from error
