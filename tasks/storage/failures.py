"""What an exception of a store means for the run: one place that sorts them.

Classes of botocore, aiohttp and the like are told by name: to import them only in order to
compare costs half a second in every decoder process, and a run on local files never needs them.
"""

import errno
import re
import sys

from tasks.errors import TaggingError, TransientError, VideoError

_ERROR_BASES = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
)
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


def storage_errors(*more: type[BaseException]) -> tuple[type[BaseException], ...]:
    """Whatever reading from a store may raise, for an ``except`` clause (which calls this only
    once something was raised, so that the classes of every store in use are loaded by then), and
    ``more``."""
    modules = ((sys.modules.get(module), name) for module, name in _ERROR_BASES)
    # Without its classes as yet: another thread is importing it at this moment.
    loaded = (getattr(module, name, None) for module, name in modules)
    return (OSError, *filter(None, loaded), *more)


def describe(error: BaseException) -> VideoError | TransientError:
    """Sort an exception of a store: the video's fault for good, or one that may pass.

    An error of this project that is sorted already comes back as it is.
    """
    if isinstance(error, VideoError | TransientError):
        return error
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, storage_errors()):
        # fsspec makes one of whatever a web server answers, and of no answer too.
        cause = describe(error.__cause__)
        if cause.kind in ("unreachable", "forbidden"):
            return cause
    reason = _reason(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    status = _status(error)
    number = getattr(error, "errno", None)
    if "FileExpired" in names or status == 412:
        return VideoError("changed", "changed while it was read")
    # By code first: s3fs makes a TimeoutError of an expired token (s3fs.errors), which no
    # waiting cures.
    if status in (401, 403) or error_code(error) == "ExpiredToken" or names & _FORBIDDEN:
        return VideoError("forbidden", reason)
    if status in (404, 410) or names & _MISSING or number == errno.ENAMETOOLONG:
        return VideoError("missing", reason)
    if (status or 0) >= 500 or status in (408, 425, 429):
        return TransientError(reason)
    if names & _TRANSIENT or number in _TRANSIENT_ERRNO or error_code(error) == "SlowDown":
        return TransientError(reason)
    return VideoError("unreadable", reason)


def redact(text: str) -> str:
    """The text without what may be secret in its URLs: user, password and query."""
    text = re.sub(r"(\w://)[^/@\s]+@", r"\1", text)
    return re.sub(r"(\w://[^\s?'\"]+)\?[^\s'\",;)]*=[^\s'\",;)]*", r"\1?...", text)


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, TaggingError):
        return str(error)
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(" ".join(str(text).split()))[:_MESSAGE_CHARACTERS].rstrip(".")


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
    """The code of an S3 error (``NoSuchKey``), or ""."""
    return str(_response(error).get("Error", {}).get("Code", ""))
