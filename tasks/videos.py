"""The distinct videos of a run with their tags or failures, on disk, so that memory stays flat."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tasks.errors import Failure, FailureKind
from tasks.tags import VideoTags


class ManifestRange(NamedTuple):
    """Manifests from the first to the last, by their numbers."""

    first: int
    last: int


@dataclass(frozen=True)
class Unit:
    """Videos that are worked on together.

    Attributes:
        urls: of the videos.
        last_manifest: the manifest of the last video; the next unit begins there or later.
        span: the manifests that may name one of them.
    """

    urls: list[str]
    last_manifest: int
    span: ManifestRange


class Videos:
    """The distinct videos of a run with their tags or failures, in a scratch table on disk.

    Videos are ordered by the first manifest, and the first position in it, that names them; the
    order does not depend on how the manifests were read.
    """

    def __init__(self) -> None:
        # The empty name is a private file that SQLite removes by itself.
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE videos (url TEXT PRIMARY KEY, manifest INT, position INT, last INT,"
            " label TEXT, more TEXT, kind TEXT, reason TEXT, content TEXT) WITHOUT ROWID;"
            "CREATE INDEX in_order ON videos (manifest, position);"
        )

    def add(self, manifest: int, urls: Iterable[tuple[int, str]]) -> None:
        """Add a manifest's videos as (position, URL); a known one keeps its first position."""
        self._run(
            "INSERT INTO videos (manifest, position, last, url) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (url) DO UPDATE SET last = max(last, excluded.last),"
            " (manifest, position) = (SELECT min(manifest, excluded.manifest), CASE"
            " WHEN (excluded.manifest, excluded.position) < (manifest, position)"
            " THEN excluded.position ELSE position END)",
            [(manifest, position, manifest, url) for position, url in urls],
        )

    def units(self, size: int) -> Iterator[Unit]:
        """Yield the videos in order, ``size`` at a time."""
        last = (-1, -1)
        while rows := self._select(
            "SELECT manifest, position, last, url FROM videos WHERE (manifest, position) > (?, ?)"
            " ORDER BY manifest, position LIMIT ?",
            (*last, size),
        ):
            last = rows[-1][:2]
            span = ManifestRange(rows[0][0], max(last for _, _, last, _ in rows))
            yield Unit([url for *_, url in rows], last[0], span)

    def settle(self, outcomes: Iterable[tuple[str, VideoTags | Failure]]) -> None:
        """Record the tags, or the failure, of each URL."""
        rows = [
            (None, None, what.kind, what.reason, what.content, url)
            if isinstance(what, Failure)
            else (what.label, _packed(what), None, None, None, url)
            for url, what in outcomes
        ]
        self._run(
            "UPDATE videos SET label = ?, more = ?, kind = ?, reason = ?, content = ?"
            " WHERE url = ?",
            rows,
        )

    def get(self, url: str) -> VideoTags | Failure | None:
        """Return a video's tags or failure; None while it has neither or is not of this run."""
        rows = self._select(
            "SELECT label, more, kind, reason, content FROM videos WHERE url = ?", (url,)
        )
        if not rows:
            return None
        label, more, kind, reason, content = rows[0]
        if kind is not None:
            return Failure(url, FailureKind(kind), reason, content)
        return None if label is None else VideoTags(label, *json.loads(more or "[]"))

    def __len__(self) -> int:
        return int(self._select("SELECT count(*) FROM videos", ())[0][0])

    def close(self) -> None:
        """Remove the table."""
        self._db.close()

    def _run(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        with self._lock:
            self._db.execute("BEGIN")
            try:
                self._db.executemany(statement, rows)
            finally:  # even if the disk is full: otherwise no other thread could begin
                self._db.execute("COMMIT")

    def _select(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def _packed(tags: VideoTags) -> str | None:
    """Return the scores and the timeline as JSON; None without both."""
    if tags.scores is None and tags.timeline is None:
        return None
    return json.dumps([tags.scores, tags.timeline], ensure_ascii=False, separators=(",", ":"))
