"""Show a run in Prefect's UI: its progress, then its summary."""

import math
from collections.abc import Callable
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectHTTPStatusError

from flows.show import render, tables
from flows.show.progress import Pace
from flows.summary import Summary
from tasks.shown import counted

MANIFEST_ROWS = 500
"""The UI becomes slow beyond some thousand cells; the report and the ledgers hold more."""

LEDGERS = 5
PROBLEMS = 20

_SECONDS_BETWEEN_UPDATES = 5.0


class ProgressArtifact:
    """Shows in the UI what a run is doing: first its steps, which the log has too, then its pace.
    The pace is updated every few seconds at most, since each update is a request."""

    def __init__(self) -> None:
        self._artifact: UUID | None = None
        self._shown: float | None = None

    def say(self, what: str, percent: float = 0.0) -> None:
        """Log and show the step of the run, while there is no pace."""
        get_run_logger().info("%s", what)
        _tolerant(lambda: self._show(percent, what))

    def __call__(self, pace: Pace) -> None:
        """Show the pace, if an update is due. Before the first video, the last step tells more."""
        if not pace.done:
            return
        over = pace.done >= pace.total
        since = math.inf if self._shown is None else pace.elapsed - self._shown
        if over or since >= _SECONDS_BETWEEN_UPDATES:
            self._shown = pace.elapsed
            percent = round(100 * pace.done / max(1, pace.total), 1)
            _tolerant(lambda: self._show(percent, str(pace)))

    def _show(self, percent: float, what: str) -> None:
        if self._artifact is None:
            artifact = create_progress_artifact(percent, "tag-videos-progress", what)
            assert isinstance(artifact, UUID)
            self._artifact = artifact
        else:
            update_progress_artifact(self._artifact, progress=percent, description=what)


def publish(summary: Summary) -> None:
    """Publish the summary of a run; without samples to tag, only a few lines."""
    text = markdown(summary)
    _tolerant(lambda: create_markdown_artifact(text, "tag-videos-summary", str(summary)))
    if summary.rows:
        _tolerant(lambda: _publish_manifests(summary))


def _publish_manifests(summary: Summary) -> None:
    table = tables.manifests(summary, MANIFEST_ROWS)
    idle = summary.manifests - len(summary.rows)
    more = len(summary.rows) - len(table)
    said = [f"{counted(len(table), 'manifest')} had untagged samples; failures come first."]
    said += [f"{more:,} more are not shown."] if more else []
    said += [f"{idle:,} were tagged before."] if idle > 0 else []
    records = [
        {str(name): value for name, value in row.items()} for row in table.to_dict("records")
    ]
    create_table_artifact(records, key="tag-videos-manifests", description=" ".join(said))


def markdown(summary: Summary) -> str:
    """Return the summary as the UI renders it: tables, and the chart as an image."""
    parts = [render.markdown(tables.counts(summary))]
    if summary.tags:
        alt = ", ".join(f"{tag} {count}" for tag, count in summary.tags.most_common(5))
        # Prefect's UI drops inline SVG from Markdown, but not an image.
        chart = render.data_uri("image/svg+xml", tables.tag_chart(summary).encode())
        parts += ["## Tags", f"![{render.literal(alt)}]({chart})"]
    if summary.failures:
        parts += ["## Failures", render.markdown(tables.failures(summary))]
    if ledgers := tables.ledgers(summary, LEDGERS):
        parts += ["All failures, with their reasons: " + ", ".join(map(render.literal, ledgers))]
    if summary.problems:
        shown = [f"- {render.literal(problem)}" for problem in summary.problems[:PROBLEMS]]
        more = len(summary.problems) - PROBLEMS
        shown += [f"- {more:,} more, each in its ledger"] if more > 0 else []
        parts += ["## Manifests left as they are", "\n".join(shown)]
    return "\n\n".join(parts)


def _tolerant(show: Callable[[], object]) -> None:
    """Log errors of the server: a display that fails must not end a run that does its work."""
    try:
        show()
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        get_run_logger().warning("not shown in the UI, the server refused it: %s", error)
