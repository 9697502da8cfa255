"""Charts without a library: SVG for Prefect's UI, HTML for a page that may be narrow or dark."""

from collections.abc import Sequence
from html import escape

# Narrow enough to be read on a telephone, where the page scales it down.
_WIDTH, _LABEL_WIDTH, _VALUE_WIDTH = 480, 196, 124
_ROW, _BAR, _TITLE = 26, 18, 40
_STYLE = "font-family='system-ui,Segoe UI,Helvetica,Arial,sans-serif' font-size='13'"
_LABEL_CHARACTERS = 24


Rows = Sequence[tuple[str, float, str]]
"""Label, length of the bar in any unit, and the text after it."""


def html_bars(rows: Rows) -> str:
    """Return a horizontal bar chart that fills the width; ``report.css`` styles it."""
    longest = max((length for _, length, _ in rows), default=0) or 1
    lines = (
        f"<span>{escape(label)}</span><i style='width:{100 * length / longest:.1f}%'></i>"
        f"<b>{escape(value)}</b>"
        for label, length, value in rows
    )
    return f"<div class=bars>{''.join(lines)}</div>"


def bars(title: str, rows: Rows) -> str:
    """Return a horizontal bar chart as SVG.

    Args:
        title: the text above it.
        rows: the bars from top to bottom.
    """
    longest = max((length for _, length, _ in rows), default=0) or 1
    space = _WIDTH - _LABEL_WIDTH - _VALUE_WIDTH
    height = _TITLE + _ROW * len(rows) + 12
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}'"
        f" width='{_WIDTH}' height='{height}' role='img' {_STYLE}>",
        f"<title>{escape(title)}</title>",
        # A background of its own, since the image cannot know the page's; dark is easy on the
        # eye on both.
        "<rect width='100%' height='100%' rx='8' fill='#1d2229'/>",
        f"<text x='16' y='26' font-size='15' font-weight='600' fill='#e5e7eb'>{escape(title)}"
        "</text>",
    ]
    for number, (label, length, value) in enumerate(rows):
        y = _TITLE + number * _ROW
        width = max(2.0, space * length / longest)
        if len(label) > _LABEL_CHARACTERS:
            label = label[: _LABEL_CHARACTERS - 1] + "…"
        parts += [
            f"<text x='{_LABEL_WIDTH - 8}' y='{y + 14}' text-anchor='end' fill='#e5e7eb'>"
            f"{escape(label)}</text>",
            f"<rect x='{_LABEL_WIDTH}' y='{y}' width='{width:.1f}' height='{_BAR}' rx='3'"
            " fill='#6d9bf0'/>",
            f"<text x='{_LABEL_WIDTH + width + 8:.1f}' y='{y + 14}' fill='#b6bfcb'>"
            f"{escape(value)}</text>",
        ]
    return "".join([*parts, "</svg>"])
