"""The tables of a summary: the same ones for the UI, the page and the terminal."""

import pandas as pd

from flows.show import charts
from flows.summary import Summary
from tasks.shown import counted

_TAGS = 20


def counts(summary: Summary) -> pd.DataFrame:
    """Return the run at a glance: what was counted, and how many."""
    stage = summary.slowest_stage
    slowest = f"{stage}, {summary.stages[stage]:,.1f} s" if summary.stages else "none"
    rows = {
        "samples tagged": f"{summary.tagged:,}",
        "samples skipped, tagged before": f"{summary.skipped:,}",
        "samples failed": f"{summary.failed:,}{summary.known_in_words()}",
        "videos": f"{summary.videos:,}",
        "videos EMPTY, without sound": f"{summary.empty:,}",
        "videos cached, not read": f"{summary.cached:,}",
        "read": f"{summary.bytes_read / 1e6:,.1f} MB",
        "time": f"{summary.seconds:,.1f} s",
        "slowest stage": slowest,
    }
    if summary.computed_on:
        rows["the model computed on"] = summary.computed_on
    return pd.DataFrame(rows.items(), columns=["this run", "count"])


def tags(summary: Summary) -> pd.DataFrame:
    """Return the most frequent tags and their share of the videos; the others are one row."""
    counted = pd.Series(dict(summary.tags.most_common()), dtype="int64")
    table = counted.head(_TAGS)
    if rest := counted.iloc[_TAGS:].sum():
        table = pd.concat([table, pd.Series({f"{len(counted) - _TAGS} others": rest})])
    frame = pd.DataFrame({"tag": table.index, "videos": table.to_numpy()})
    return frame.assign(percent=100 * frame["videos"] / max(1, counted.sum()))


def tag_bars(summary: Summary) -> charts.Rows:
    """Return the rows of a chart of the tags."""
    rows = tags(summary).itertuples(index=False)
    return [(tag, n, f"{n:,} · {share:.1f}%") for tag, n, share in rows]


def tag_chart(summary: Summary) -> str:
    """Return the distribution of the tags as a picture, SVG."""
    return charts.bars(f"Tags of {counted(summary.tags.total(), 'video')}", tag_bars(summary))


def stage_bars(summary: Summary) -> charts.Rows:
    """Return the rows of a chart of where the time went."""
    return [(stage, seconds, f"{seconds:,.1f} s") for stage, seconds in summary.stages.items()]


def failures(summary: Summary) -> pd.DataFrame:
    """Return the failures by kind, the most frequent first, with examples."""
    rows = [
        {"error": kind, "failures": group.videos, "examples": group.examples}
        for kind, group in summary.failures.items()
    ]
    table = pd.DataFrame(rows, columns=["error", "failures", "examples"])
    return table.sort_values("failures", ascending=False, kind="stable")


def ledgers(summary: Summary, limit: int) -> list[str]:
    """Return at most ``limit`` ledgers, the fullest first, and how many more there are. A ledger
    holds each failure with its reason."""
    named = [ledger for ledger, _ in summary.ledgers.most_common(limit)]
    more = len(summary.ledgers) - limit
    return [*named, f"{more:,} more"] if more > 0 else named


def manifests(summary: Summary, limit: int) -> pd.DataFrame:
    """Return the counts of at most ``limit`` manifests, those with most failures first."""
    columns = ["manifest", "samples", "tagged", "skipped", "failed", "problem"]
    table = pd.DataFrame([vars(row) for row in summary.rows], columns=columns)
    table = table.sort_values("failed", ascending=False, kind="stable").head(limit)
    return table if table["problem"].any() else table.drop(columns="problem")
