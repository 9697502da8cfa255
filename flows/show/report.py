"""The summary as one HTML page that needs nothing else: to open, to keep, to send."""

from datetime import UTC, datetime
from html import escape

from flows.show import render, tables
from flows.summary import Summary, counted
from tasks.storage import absolute, join, overwrite, scratch

MANIFEST_ROWS = 5000

_STYLE = """
:root { color-scheme: light dark; --line: #d1d5db; --soft: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --line: #374151; --soft: #9ca3af; } }
body { font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif;
       max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } .soft { color: var(--soft); }
.wide { overflow-x: auto; } svg { max-width: 100%; height: auto; border: 1px solid var(--line);
        border-radius: 8px; }
table { border-collapse: collapse; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line);
         text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th.number, td.number { text-align: right; white-space: nowrap; }
"""


def write_report(summary: Summary, state: str, target: str) -> str:
    """Write the page.

    Args:
        summary: what it shows.
        state: the name of the run's state.
        target: a folder, or the page itself when it ends with ``.html``; any fsspec URL.

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
        file.write_text(page(summary, state, now), encoding="utf-8")
        overwrite(url, file)
    return url


def page(summary: Summary, state: str, time: datetime) -> str:
    """Return the HTML of the report."""
    parts = [
        f"<h1>Tagged videos: {escape(state)}</h1>",
        f"<p class='soft'>{time:%Y-%m-%d %H:%M} UTC, {counted(summary.manifests, 'manifest')},"
        f" {counted(summary.samples, 'sample')}</p>",
        render.html(tables.counts(summary), header=False),
    ]
    if summary.tags:
        parts += ["<h2>Tags</h2>", tables.tag_chart(summary)]
    if summary.stages:
        parts += ["<h2>Time</h2>", tables.stage_chart(summary)]
    if summary.failures:
        parts += ["<h2>Videos that failed</h2>", render.html(tables.failures(summary))]
    if summary.rows:
        table = tables.manifests(summary, MANIFEST_ROWS)
        found = counted(summary.manifests, "manifest")
        title = f"Manifests with samples to tag: {len(summary.rows):,} of {found}"
        parts += [f"<h2>{title}</h2>", render.html(table)]
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Tagged videos: {escape(state)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )
