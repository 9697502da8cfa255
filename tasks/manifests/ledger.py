"""The failure ledger beside each manifest: which samples have no tags, and why.

``<manifest>.failures`` holds one JSON object a line::

    {"manifest": ..., "line": 7, "video": "s3://b/a.mp4", "error": "corrupt", "reason": ...,
     "content": "1234 bytes, 9b2cf535f27731c974343645a3985328", "time": "2026-01-31T02:00:00+00:00"}

It describes the last merge of its manifest. Each merge writes a new ledger, or removes the old one
if nothing failed. A failure that the old ledger lists too is a known one: see :class:`Earlier`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import BinaryIO

import numpy as np

from tasks.errors import (
    LASTING,
    FailureKind,
    ManifestError,
    StorageError,
    TransientError,
    error_text,
)
from tasks.manifests.files import writing
from tasks.manifests.lines import lines
from tasks.shown import shown, shown_url
from tasks.storage import (
    MAX_NAME_BYTES,
    join,
    name,
    open_for_reading,
    overwrite,
    parent,
    remove,
    scratch,
)

LEDGER_SUFFIX = ".failures"
BUFFER_BYTES = 1 << 20


def ledger_of(manifest: str) -> str:
    """Return the URL of a manifest's ledger.

    A name that would exceed the limit of file systems is cut, and a hash of the whole name is
    appended: ``<first part>.<8 hex digits>.failures``.
    """
    encoded = name(manifest).encode(errors="surrogateescape")
    if len(encoded) + len(LEDGER_SUFFIX) <= MAX_NAME_BYTES:
        return manifest + LEDGER_SUFFIX
    suffix = f".{hashlib.sha256(encoded).hexdigest()[:8]}{LEDGER_SUFFIX}"
    short = encoded[: MAX_NAME_BYTES - len(suffix)].decode(errors="ignore")
    return join(parent(manifest), short + suffix)


class Ledger:
    """Writes the failures of one merge, in order.

    Attributes:
        entries: number of failures so far.
    """

    def __init__(self, manifest: str, file: BinaryIO) -> None:
        self.entries = 0
        self._manifest, self._file = shown_url(manifest), file
        self._time = datetime.now(UTC).isoformat(timespec="seconds")

    def add(
        self,
        line: int | None,
        video: str | None,
        kind: str,
        reason: str,
        content: str | None = None,
    ) -> None:
        """Record one failure. ``line`` and ``video`` are None if it concerns no single one."""
        shown_video, shown_content = _shown(video, content)
        entry = {
            "manifest": self._manifest,
            "line": line,
            "video": shown_video,
            "error": kind,
            "reason": shown(reason),
            "content": shown_content,
            "time": self._time,
        }
        self._file.write(json.dumps(entry, ensure_ascii=False).encode(errors="replace") + b"\n")
        self.entries += 1


class Earlier:
    """The failures that a ledger lists, each stored as one integer: there may be millions.

    A failure is known if it concerns one video or sample, and the same content of it failed in the
    same way before.
    """

    def __init__(self, entries: Iterable[Mapping[str, object]]) -> None:
        numbers = (
            _number(*map(entry.get, ("line", "video", "content", "error"))) for entry in entries
        )
        self._numbers = np.unique(np.fromiter(numbers, np.int64))

    def has(
        self, line: int | None, video: str | None, kind: FailureKind, content: str | None = None
    ) -> bool:
        """Tell whether this failure is known."""
        if kind not in LASTING:
            return False
        number = _number(line, *_shown(video, content), kind)
        position = int(np.searchsorted(self._numbers, number))
        return position < len(self._numbers) and bool(self._numbers[position] == number)


def _number(line: object, video: object, content: object, kind: object) -> int:
    """Hash a failure. The line counts only without a video: a video fails on any line."""
    return hash((str(line) if video is None else None, str(video), str(content), str(kind)))


def _shown(video: str | None, content: str | None) -> tuple[str | None, str | None]:
    """Return a video's URL and its content as a ledger writes them."""
    return (
        None if video is None else shown_url(video),
        None if content is None else shown(content),
    )


def earlier(target: str) -> Earlier:
    """Read the ledger of a manifest; if it is missing or unreadable, no failure is known."""
    try:
        with open_for_reading(ledger_of(target), seekable=False).stream as file:
            return Earlier(_entries(file))
    except (StorageError, ManifestError):
        return Earlier(())


def _entries(file: BinaryIO) -> Iterator[dict[str, object]]:
    for line in lines(file):
        with suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry


@contextmanager
def open_ledger(manifest: str, target: str) -> Iterator[Ledger]:
    """Collect the failures of ``manifest``, and write them as the ledger of ``target`` unless the
    block raises.

    Raises:
        ManifestError: the store refuses the ledger.
        TransientError: the store did not answer.
    """
    url = ledger_of(target)
    with writing(url), scratch(url, like=manifest) as path:
        with path.open("wb", buffering=BUFFER_BYTES) as file:
            ledger = Ledger(manifest, file)
            yield ledger
        if ledger.entries:
            overwrite(url, path)
        else:
            remove(url)


def kind_of(error: Exception) -> FailureKind:
    """Return the kind of failure that an error is for a whole manifest."""
    match error:
        case ManifestError():
            return FailureKind.MANIFEST
        case TransientError():
            return FailureKind.UNREACHABLE
    return FailureKind.INTERNAL


def refuse(error: Exception, manifest: str, target: str) -> None:
    """Record that a whole manifest is left unchanged. Raises as :func:`open_ledger`."""
    line = error.line if isinstance(error, ManifestError) else None
    reason = (
        error.reason if isinstance(error, ManifestError | TransientError) else error_text(error)
    )
    with open_ledger(manifest, target) as ledger:
        ledger.add(line, None, kind_of(error), reason)
