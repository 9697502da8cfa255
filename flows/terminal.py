"""The summary on a terminal."""

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows import tables
from flows.summary import Summary

_BAR_WIDTH = 30
_FULL = "█"
_PARTS = " ▏▎▍▌▋▊▉"


def show(summary: Summary, console: Console) -> None:
    """Print the tables of the summary; those that would be empty are left out."""
    console.print(table(tables.counts(summary), header=False))
    if summary.tags:
        tags = tables.tags(summary)
        longest = tags["videos"].max()
        bars = [_bar(videos / longest) for videos in tags["videos"]]
        shares = tags["share"].map("{:.1%}".format)
        console.print(table(tags.assign(share=shares).assign(**{"": bars})))
    if summary.failures:
        console.print(table(tables.failures(summary)))


def table(frame: pd.DataFrame, header: bool = True) -> Table:
    """A frame as a table, numbers to the right."""
    shown = Table(box=box.SIMPLE_HEAD, show_header=header, pad_edge=False)
    for name, kind in frame.dtypes.items():
        number = pd.api.types.is_numeric_dtype(kind) or name == "share"
        shown.add_column(str(name), justify="right" if number else "left", overflow="fold")
    for row in frame.itertuples(index=False, name=None):
        shown.add_row(*map(_cell, row))
    return shown


def _cell(value: object) -> Text:
    if isinstance(value, list):
        return Text("\n".join(map(str, value)))
    return Text(f"{value:,}" if isinstance(value, int) else str(value))


def _bar(share: float) -> str:
    eighths = max(1, round(8 * _BAR_WIDTH * share))
    return _FULL * (eighths // 8) + _PARTS[eighths % 8].strip()
