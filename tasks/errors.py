"""The errors of the project: one class for each thing that a caller would do differently."""


class TaggingError(Exception):
    """Base of every error that the project raises on purpose. Its text is written for the user."""


class ConfigurationError(TaggingError):
    """The run cannot start as asked: say so in one sentence and exit with status 2."""


class ManifestError(TaggingError):
    """This manifest is refused and left as it is; the others go on.

    Attributes:
        url: the manifest.
        line: the 1-based line (or row) at fault, or None when it is the file as a whole.
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, url: str, reason: str, line: int | None = None) -> None:
        place = url if line is None else f"{url}, line {line}"
        super().__init__(f"{place}: {reason}")
        self.url, self.reason, self.line = url, reason, line


class ManifestChanged(TaggingError):
    """The manifest is no longer the one that was read: read it and merge again."""


class VideoError(TaggingError):
    """This video has no tag in this run: record it, go on with the others, do not try again.

    Attributes:
        kind: a short stable word for grouping: ``missing``, ``forbidden``, ``empty-file``,
            ``not-media``, ``corrupt``, ``unsupported``, ``timeout``, ``crashed``, ``memory``,
            ``changed``, ``unreadable``.
        reason: what happened, for a person.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class TransientError(TaggingError):
    """Something outside failed in a way that may pass (network, throttling): try again later.

    Attributes:
        kind: always ``unreachable``, so that it is recorded like a :class:`VideoError`.
        reason: what happened, for a person.
    """

    kind = "unreachable"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
