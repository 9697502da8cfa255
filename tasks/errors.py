"""The errors of the project: one class for each thing that a caller would do differently.

::

    TaggingError              every error that the project raises on purpose
    ├── ConfigurationError    the run cannot start as asked
    ├── StorageError          a store refused, or did not answer: a FailureKind and a reason
    ├── ManifestError         one manifest is refused and left as it is
    ├── ManifestChanged       the manifest is no longer the one that was read
    ├── VideoError            one video has no tag in this run: a FailureKind and a reason
    ├── ClusterLost           the machines that do the work are gone: the run ends
    └── TransientError        something outside failed in a way that may pass

    FailureKind               what a user reads
    ├── of the file           missing, forbidden, empty-file
    ├── of its content        not-media, corrupt, encrypted, unsupported
    ├── of its decoding       timeout, crashed, memory
    ├── of its store          changed, unreadable, unreachable
    ├── of the manifest       malformed (one sample), manifest (the whole)
    └── of this program       internal

Storage raises only StorageError. Its callers know what was read, and translate it once: to the
failure of a video, to the refusal of a manifest, or to a configuration that cannot work.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from tasks.shown import shown, shown_url


class FailureKind(StrEnum):
    """Why a video or a sample has no tag, in one stable word.

    Users see it as ``error`` in the ledger and the report, and as a key of ``failures`` in
    ``--json``. In the code an error is an exception, and this word is its ``kind``.
    """

    MISSING = "missing"
    FORBIDDEN = "forbidden"
    EMPTY_FILE = "empty-file"
    NOT_MEDIA = "not-media"
    """FFmpeg knows no such format, or it is a playlist or a picture."""
    CORRUPT = "corrupt"
    """It is damaged or cut off, so that nothing proves that it has no sound."""
    ENCRYPTED = "encrypted"
    UNSUPPORTED = "unsupported"
    """FFmpeg has no decoder for its sound; of a store: it cannot do this."""
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    """It ended the process that decoded it."""
    MEMORY = "memory"
    CHANGED = "changed"
    """The file is no longer the one that the run has looked at."""
    UNREADABLE = "unreadable"
    """The store cannot read it, for a reason that has no word of its own."""
    UNREACHABLE = "unreachable"
    """The store did not answer: the only kind that is tried again."""
    MALFORMED = "malformed"
    """The sample itself is invalid: its videos are a number, or its meta field is a string."""
    MANIFEST = "manifest"
    """The manifest is refused as a whole."""
    INTERNAL = "internal"


OF_CONTENT = frozenset({
    FailureKind.EMPTY_FILE, FailureKind.NOT_MEDIA, FailureKind.CORRUPT, FailureKind.ENCRYPTED,
    FailureKind.UNSUPPORTED, FailureKind.MEMORY,
})  # fmt: skip
"""Failures that the same bytes cause again, as long as the decoder is the same."""

LASTING = OF_CONTENT | {FailureKind.TIMEOUT, FailureKind.CRASHED, FailureKind.MISSING,
                        FailureKind.MALFORMED}  # fmt: skip
"""Failures that are no news the next night, since they concern one video or sample. The other kinds
concern a store, the run or this program."""


@dataclass(frozen=True)
class Failure:
    """Why a video has no tag.

    Attributes:
        url: the video.
        kind: for grouping.
        reason: what happened, in a sentence.
        content: the identity of the content that failed; None where the run does not know it.
    """

    url: str
    kind: FailureKind
    reason: str
    content: str | None = None

    @classmethod
    def of(cls, url: str, error: BaseException) -> Self:
        """Make a failure of an exception about a video; an unexpected one is ``internal``."""
        if isinstance(error, VideoError | StorageError | TransientError):
            return cls(url, error.kind, error.reason)
        return cls(url, FailureKind.INTERNAL, error_text(error))

    @property
    def is_transient(self) -> bool:
        """Whether it may pass, so that another try makes sense."""
        return self.kind is FailureKind.UNREACHABLE

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", shown(self.reason))


class TaggingError(Exception):
    """Base of every error that the project raises on purpose. Its text is written for the user
    and is fit to be shown."""

    def __init__(self, text: str) -> None:
        super().__init__(shown(text))


class ConfigurationError(TaggingError):
    """The run cannot start as asked: say so in one sentence and exit with status 2."""


class ClusterLost(TaggingError):
    """The machines that do the work are gone: the run ends, the next one goes on."""


class StorageError(TaggingError):
    """A store refused, or did not answer. Does not name what was to be read: callers do.

    Attributes:
        kind: ``missing``, ``forbidden``, ``changed``, ``memory``, ``unreachable``,
            ``unsupported`` (the store cannot do this), or ``unreadable`` for all else.
        reason: what happened, in a few words.
    """

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, str(self)

    @property
    def is_transient(self) -> bool:
        """Whether it may pass."""
        return self.kind is FailureKind.UNREACHABLE

    def __reduce__(self) -> tuple[type, tuple[FailureKind, str]]:
        return type(self), (self.kind, self.reason)


class ManifestError(TaggingError):
    """This manifest is refused and left as it is; the others go on.

    Attributes:
        url: the manifest.
        line: the 1-based line (or row) at fault, or None when the file as a whole is.
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, url: str, reason: str, line: int | None = None) -> None:
        at_line = "" if line is None else f", line {line}"
        super().__init__(f"{shown_url(url)}{at_line}: {reason}")
        self.url, self.reason, self.line = url, shown(reason), line

    def __reduce__(self) -> tuple[type, tuple[str, str, int | None]]:
        return type(self), (self.url, self.reason, self.line)


class ManifestChanged(TaggingError):
    """The manifest is no longer the one that was read: read it and merge again."""


class VideoError(TaggingError):
    """This video has no tag in this run: record it, go on with the others, do not try again.

    Attributes:
        kind: for grouping; given as a :class:`FailureKind` or its word.
        reason: what happened, in a sentence.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = FailureKind(kind), str(self)

    def __reduce__(self) -> tuple[type, tuple[FailureKind, str]]:
        return type(self), (self.kind, self.reason)


class TransientError(TaggingError):
    """Something outside failed in a way that may pass (network, throttling): try again later.

    Attributes:
        kind: always ``unreachable``, so that it is recorded like a :class:`VideoError`.
        reason: what happened, in a sentence.
    """

    kind = FailureKind.UNREACHABLE

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = str(self)


def error_text(error: BaseException) -> str:
    """Return the text of an error; that of an error which is not ours begins with its class."""
    if isinstance(error, TaggingError):
        return str(error)
    return shown(f"{type(error).__name__}: {error}")
