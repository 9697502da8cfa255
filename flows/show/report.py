"""Write the run as one HTML page that needs no other file, to keep or to send."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from flows.show import charts, listening, render, tables
from flows.show.examples import Example, Examples
from flows.summary import Summary
from tasks.shown import counted, shown
from tasks.storage import absolute, join, overwrite, scratch

MAX_BYTES = 8_000_000
"""Limit for a page: mail servers accept as much."""

MANIFEST_ROWS = 5000
_LEDGERS = 20


@dataclass(frozen=True)
class Background:
    """What a page shows beside the summary.

    Attributes:
        run: URL of the run in Prefect's UI; None if the server ends with the run.
        made_with: the model and the parameters, by name.
        examples: videos to check tags by; None if no video was tagged.
        extract: returns the clip of an example, None if it has no sound (see
            :func:`listening.extract_sounds`); itself None for a page without sound.
    """

    run: str | None = None
    made_with: Mapping[str, object] = field(default_factory=dict)
    examples: Examples | None = None
    extract: Callable[[Example], bytes | None] | None = None


def write_report(summary: Summary, state: str, target: str, background: Background) -> str:
    """Write the page.

    Args:
        summary: the counts of the run.
        state: the name of the run's state.
        target: a folder, or the page itself if it ends with ``.html``; any fsspec URL.
        background: what the page shows beside the summary.

    Returns:
        The URL of the page.

    Raises:
        StorageError: the store refuses it, or did not answer.
    """
    url = absolute(target)
    now = datetime.now(UTC)
    if not url.endswith(".html"):
        url = join(url, f"tag-videos-{now:%Y-%m-%dT%H%M%SZ}.html")
    with scratch(url) as file:
        file.write_text(page(summary, state, now, background), encoding="utf-8")
        overwrite(url, file)
    return url


def page(summary: Summary, state: str, time: datetime, background: Background) -> str:
    """Return the HTML of the page."""
    title = f"Tagged videos: {state}"
    before, after = _results(summary, time, background.run), _account(summary, background)
    examples = ""
    if background.examples is not None:
        examples = _examples(background.examples, background.extract, len(before) + len(after))
    style = files("flows.show").joinpath("report.css").read_text(encoding="utf-8")
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><h1>{escape(title)}</h1>{before}{examples}{after}</body></html>\n"
    )


def _results(summary: Summary, time: datetime, run: str | None) -> str:
    link = f", <a href='{escape(run)}'>the run in Prefect</a>" if run else ""
    parts = [
        f"<p class=soft>{time:%Y-%m-%d %H:%M} UTC, {counted(summary.manifests, 'manifest')},"
        f" {counted(summary.samples, 'sample')}{link}</p>",
        render.html(tables.counts(summary), header=False),
    ]
    if summary.tags:
        videos = counted(summary.tags.total(), "video")
        parts += [f"<h2>Tags of {videos}</h2>", charts.html_bars(tables.tag_bars(summary))]
    return "".join(parts)


def _examples(
    examples: Examples, extract: Callable[[Example], bytes | None] | None, others: int
) -> str:
    if extract is None:
        return listening.section(examples, None)
    silent = listening.section(examples, dict.fromkeys(examples.all(), ""))
    left = MAX_BYTES - others - len(silent) - 10_000  # of the head, and letters beyond ASCII
    return listening.section(examples, listening.extract_sounds(examples, extract, left))


def _account(summary: Summary, background: Background) -> str:
    """Show the time, the failures, the manifests and the settings of the run."""
    parts = []
    if summary.stages:
        parts += [
            "<h2>Time</h2><p class=soft>Seconds at work; stages overlap</p>",
            charts.html_bars(tables.stage_bars(summary)),
        ]
    if summary.failures:
        parts += ["<h2>Failures</h2>", render.html(tables.failures(summary))]
    if ledgers := tables.ledgers(summary, _LEDGERS):
        listed = "".join(f"<li><code>{render.breakable(ledger)}</code></li>" for ledger in ledgers)
        parts.append(f"<p>Every sample that failed, with the reason:</p><ul>{listed}</ul>")
    if summary.rows:
        table = tables.manifests(summary, MANIFEST_ROWS)
        found = counted(summary.manifests, "manifest")
        title = f"Manifests with samples to tag: {len(summary.rows):,} of {found}"
        parts += [f"<h2>{title}</h2>", render.html(table)]
    if background.made_with:
        lines = "".join(
            f"<dt>{escape(name)}</dt><dd>{render.breakable(shown(str(value)))}</dd>"
            for name, value in background.made_with.items()
        )
        parts.append(f"<h2>Made with</h2><dl>{lines}</dl>")
    return "".join(parts)
