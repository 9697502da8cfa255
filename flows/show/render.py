"""Render tables: HTML for the page, Markdown for the UI, and rich's tables for the terminal."""

import base64
import re
from collections.abc import Iterator
from html import escape

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text


def html(frame: pd.DataFrame, header: bool = True) -> str:
    """Return the frame as an HTML table."""
    classes = [" class=number" if right else "" for right in _right(frame)]

    def row(tag: str, cells: list[str]) -> str:
        parts = zip(classes, cells, strict=True)
        return "".join(f"<{tag}{css}>{breakable(cell)}</{tag}>" for css, cell in parts)

    rows = [row("th", list(frame.columns))] if header else []
    rows += [row("td", cells) for cells in _rows(frame)]
    lines = "".join(f"<tr>{cells}</tr>" for cells in rows).replace("\n", "<br>")
    return f"<div class='wide'><table>{lines}</table></div>"


def markdown(frame: pd.DataFrame) -> str:
    """Return the frame as a Markdown table."""
    rules = ["--:" if right else "---" for right in _right(frame)]
    rows = [[literal(cell) for cell in cells] for cells in _rows(frame)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(frame.columns), rules, *rows])


def terminal(frame: pd.DataFrame, header: bool = True) -> Table:
    """Return the frame as a table that rich prints."""
    table = Table(box=box.SIMPLE_HEAD, show_header=header, pad_edge=False)
    for name, right in zip(frame.columns, _right(frame), strict=True):
        table.add_column(str(name), justify="right" if right else "left", overflow="fold")
    for cells in _rows(frame):
        table.add_row(*map(Text, cells))
    return table


def breakable(text: str) -> str:
    """Escape a text for HTML; a line may end behind a slash of a path."""
    return re.sub("(?<=[^:/])/(?=[^/])", "/<wbr>", escape(text))


def literal(text: str) -> str:
    """Escape what Markdown or HTML would interpret: file names may hold anything."""
    text = "".join(f"\\{char}" if char in "\\`*_[]|!#" else char for char in text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")


def data_uri(media_type: str, content: bytes) -> str:
    """Return a URL that holds its content, such as a picture."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _right(frame: pd.DataFrame) -> list[bool]:
    """Tell whether each column holds numbers, which are aligned to the right."""
    return [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]


def _rows(frame: pd.DataFrame) -> Iterator[list[str]]:
    for row in frame.itertuples(index=False, name=None):
        yield [_text(value) for value in row]


def _text(value: object) -> str:
    match value:
        case list():
            return "\n".join(map(str, value))
        case float():
            return f"{value:,.1f}"
        case int():
            return f"{value:,}"
    return str(value)
