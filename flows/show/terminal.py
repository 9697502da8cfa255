"""The summary on a terminal."""

from rich.console import Console

from flows.show import render, tables
from flows.summary import Summary

_BAR_WIDTH = 30
_FULL = "█"
_PARTS = " ▏▎▍▌▋▊▉"


def show(summary: Summary, console: Console) -> None:
    """Print the tables of the summary; those that would be empty are left out."""
    console.print(render.terminal(tables.counts(summary), header=False))
    if summary.tags:
        tags = tables.tags(summary)
        longest = tags["videos"].max()
        bars = [_bar(videos / longest) for videos in tags["videos"]]
        console.print(render.terminal(tags.assign(**{"": bars})))
    if summary.failures:
        console.print(render.terminal(tables.failures(summary)))


def _bar(share: float) -> str:
    eighths = max(1, round(8 * _BAR_WIDTH * share))
    return _FULL * (eighths // 8) + _PARTS[eighths % 8].strip()
