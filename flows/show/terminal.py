"""Print the summary on a terminal."""

from rich.console import Console

from flows.show import render, tables
from flows.summary import Summary

_LEDGERS = 5
_PROBLEMS = 5
_BAR_WIDTH = 30
_BESIDE_BAR = 50  # columns for the tag and its two numbers, which matter more
_FULL = "█"
_PARTS = " ▏▎▍▌▋▊▉"


def show(summary: Summary, console: Console) -> None:
    """Print the tables of the summary; those that would be empty are left out."""
    console.print(render.terminal(tables.counts(summary), header=False))
    if summary.tags:
        tags = tables.tags(summary)
        longest, width = tags["videos"].max(), min(_BAR_WIDTH, console.width - _BESIDE_BAR)
        if width > 0:
            tags = tags.assign(**{"": [_bar(videos / longest, width) for videos in tags["videos"]]})
        console.print(render.terminal(tags))
    ledgers = tables.ledgers(summary, _LEDGERS)
    if summary.failures:
        console.print(render.terminal(tables.failures(summary)))
    title = "All failures: "
    lines = [title + f"\n{' ' * len(title)}".join(ledgers)] if ledgers else []
    lines += [f"Problem: {problem}" for problem in summary.problems[:_PROBLEMS]]
    if len(summary.problems) > _PROBLEMS:
        lines.append(f"{len(summary.problems) - _PROBLEMS:,} more problems, in the ledgers")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _bar(share: float, width: int) -> str:
    eighths = max(1, round(8 * width * share))
    return _FULL * (eighths // 8) + _PARTS[eighths % 8].strip()
