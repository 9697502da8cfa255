"""The failure ledger: beside each manifest, why samples of it have no tags.

``<manifest>.failures`` holds one JSON object a line::

    {"manifest": ..., "line": 7, "video": "s3://b/a.mp4", "error": "corrupt", "reason": ...,
     "content": "1234 bytes, 9b2cf535f27731c974343645a3985328", "time": "2026-01-31T02:00:00+00:00"}

It tells the state after the last merge of that manifest: written anew each time, and removed when
nothing fails any more. What the one before tells of, too, is no news: see :class:`Earlier`.
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
    explained,
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

    A name that would be longer than file systems take is shortened, with a hash of the whole name
    in place of the rest: ``<first part>.<8 hex digits>.failures``.
    """
    encoded = name(manifest).encode(errors="surrogateescape")
    if len(encoded) + len(LEDGER_SUFFIX) <= MAX_NAME_BYTES:
        return manifest + LEDGER_SUFFIX
    suffix = f".{hashlib.sha256(encoded).hexdigest()[:8]}{LEDGER_SUFFIX}"
    short = encoded[: MAX_NAME_BYTES - len(suffix)].decode(errors="ignore")
    return join(parent(manifest), short + suffix)


class Ledger:
    """Takes the failures of one merge, in order.

    Attributes:
        entries: how many there are.
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
        """Record one failure; no ``line`` and ``video`` when it is the manifest's as a whole."""
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
    """The failures that a ledger lists, as a number each: there may be millions.

    Known is a failure that concerns one video or sample, if the same content of it has failed in
    the same way before.
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
    """Stand for a failure. A video fails on whatever line it is, a sample on its own."""
    return hash((str(line) if video is None else None, str(video), str(content), str(kind)))


def _shown(video: str | None, content: str | None) -> tuple[str | None, str | None]:
    """How a ledger writes which video failed, and which content of it."""
    return (
        None if video is None else shown_url(video),
        None if content is None else shown(content),
    )


def earlier(target: str) -> Earlier:
    """Read the ledger of a manifest; without one, or with one that cannot be read, nothing is
    known."""
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
    """Collect the failures of ``manifest``; they become the ledger of ``target`` in the end,
    unless an exception ends it.

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


def refuse(error: Exception, manifest: str, target: str) -> None:
    """Record that a whole manifest is left unchanged. Raises as :func:`open_ledger`."""
    match error:
        case ManifestError():
            line, kind, reason = error.line, FailureKind.MANIFEST, error.reason
        case TransientError():
            line, kind, reason = None, FailureKind.UNREACHABLE, error.reason
        case _:
            line, kind, reason = None, FailureKind.INTERNAL, explained(error)
    with open_ledger(manifest, target) as ledger:
        ledger.add(line, None, kind, reason)
