"""The failure ledger: beside each manifest, why samples of it have no tags.

``<manifest>.failures`` holds one JSON object a line::

    {"manifest": ..., "line": 7, "video": "s3://b/a.mp4", "error": "missing", "reason": ...,
     "time": "2026-01-31T02:00:00+00:00"}

It tells the state after the last merge of that manifest: written anew each time, and removed when
nothing fails any more.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO

from tasks.errors import FailureKind, ManifestError, TransientError, explained
from tasks.manifests.files import writing
from tasks.shown import shown, shown_url
from tasks.storage import MAX_NAME_BYTES, join, name, overwrite, parent, remove, scratch

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

    def add(self, line: int | None, video: str | None, error: str, reason: str) -> None:
        """Record one failure; no ``line`` and ``video`` when it is the manifest's as a whole."""
        entry = {
            "manifest": self._manifest,
            "line": line,
            "video": None if video is None else shown_url(video),
            "error": error,
            "reason": shown(reason),
            "time": self._time,
        }
        self._file.write(json.dumps(entry, ensure_ascii=False).encode(errors="replace") + b"\n")
        self.entries += 1


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
    """Record that a manifest is left as it is, as a whole. Raises as :func:`open_ledger`."""
    match error:
        case ManifestError():
            line, kind, reason = error.line, FailureKind.MANIFEST, error.reason
        case TransientError():
            line, kind, reason = None, FailureKind.UNREACHABLE, error.reason
        case _:
            line, kind, reason = None, FailureKind.INTERNAL, explained(error)
    with open_ledger(manifest, target) as ledger:
        ledger.add(line, None, kind, reason)
