"""Translate the exceptions of every store into StorageErrors.

Classes of botocore, aiohttp and other libraries are recognised by name: importing them only to
compare would cost half a second in every decoder process, and a run on local files needs none.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.errors import FailureKind, StorageError, TaggingError
from tasks.shown import shown

_MISSING = {"FileNotFoundError", "NotADirectoryError", "IsADirectoryError"}
_FORBIDDEN = {
    "PermissionError", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
    "SSOError", "SSOTokenLoadError", "TokenRetrievalError", "ProfileNotFound", "NoAuthTokenError",
    "GoogleAuthError", "ClientAuthenticationError",
}  # fmt: skip
_TRANSIENT = {
    "TimeoutError", "ConnectionError", "gaierror", "HTTPClientError", "IncompleteRead",
    "IncompleteReadError", "ResponseStreamingError", "ResponseParserError",
    "ClientConnectionError", "ClientPayloadError", "ServiceRequestError", "ServiceResponseError",
    "TransportError",
}  # fmt: skip
_TRANSIENT_ERRNO = {
    errno.EAGAIN, errno.EBUSY, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH,
    errno.EMFILE, errno.ENETUNREACH, errno.ENFILE, errno.ENOMEM, errno.EPIPE, errno.ESTALE,
    errno.ETIMEDOUT, getattr(errno, "EREMOTEIO", -1),
}  # fmt: skip
_MESSAGE_CHARACTERS = 300


@contextmanager
def translated() -> Iterator[None]:
    """Turn every exception that a library raises in the block into a :class:`StorageError`.

    Every exception, since a library may raise any: fsspec's file systems raise ``KeyError``,
    ``struct.error`` or ``zipfile.BadZipFile`` about a damaged archive, an odd URL, a strange name.
    """
    try:
        yield
    except TaggingError:
        raise
    except Exception as error:
        raise storage_error(error) from error


def storage_error(error: BaseException) -> StorageError:
    """Make a StorageError from an exception of a store. A StorageError is returned unchanged."""
    if isinstance(error, StorageError):
        return error
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    if cause is not None and _kind(cause) is not FailureKind.MISSING:
        # fsspec's HTTP file system raises FileNotFoundError for any status, and for no answer.
        return storage_error(cause)
    kind = _kind(error)
    if kind is FailureKind.CHANGED:
        return StorageError(kind, "changed while it was read")
    if isinstance(error, FileNotFoundError):
        return StorageError(kind, "no such file")
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, LookupError | TypeError | AttributeError):
        text = f"{type(error).__name__}: {text}"  # a bug of a library: its text says little
    return StorageError(kind, shown(str(text).strip())[:_MESSAGE_CHARACTERS].rstrip("."))


def _kind(error: BaseException) -> FailureKind:
    names = {base.__name__ for base in type(error).__mro__}
    status = _status(error)
    number = getattr(error, "errno", None)
    if "FileExpired" in names or status == 412:
        return FailureKind.CHANGED
    # The code of S3 comes before the class: s3fs raises TimeoutError for an expired token
    # (s3fs.errors), and waiting does not help there.
    if status in (401, 403) or error_code(error) == "ExpiredToken" or names & _FORBIDDEN:
        return FailureKind.FORBIDDEN
    if status in (404, 410) or names & _MISSING or number == errno.ENAMETOOLONG:
        return FailureKind.MISSING
    if (status or 0) >= 500 or status in (408, 425, 429):
        return FailureKind.UNREACHABLE
    if names & _TRANSIENT or number in _TRANSIENT_ERRNO or error_code(error) == "SlowDown":
        return FailureKind.UNREACHABLE
    return FailureKind.MEMORY if "MemoryError" in names else FailureKind.UNREADABLE


def _response(error: BaseException) -> dict[str, dict[str, object]]:
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return response if isinstance(response, dict) else {}


def _status(error: BaseException) -> int | None:
    found = _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    for value in (found, getattr(error, "status", None), getattr(error, "status_code", None)):
        if isinstance(value, int):
            return value
    return None


def error_code(error: BaseException) -> str:
    """Return the code of an S3 error (``NoSuchKey``), or ""."""
    return str(_response(error).get("Error", {}).get("Code", ""))
