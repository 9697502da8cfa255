"""Show the cache and make room in it.

python flows/cache.py show  [--cache URL]
python flows/cache.py prune [--cache URL] [--days N]
"""

import argparse
import sys
from collections.abc import Sequence

import pandas as pd
from rich.console import Console

from flows.show import render
from tasks.cache import Cache, default_cache
from tasks.errors import ConfigurationError, TransientError
from tasks.pruning import entries, prune
from tasks.shown import shown_url
from tasks.storage import absolute


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if it succeeded."""
    parser = argparse.ArgumentParser(prog="cache.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("action", choices=["show", "prune"])
    parser.add_argument("--cache", metavar="URL", help="default: the folder that the flow uses")
    prunes = "remove entries that were not used for N days (default 30)"
    parser.add_argument("--days", type=_days, default=30, metavar="N", help=prunes)
    options = parser.parse_args(argv)
    console = Console()
    try:
        cache = Cache(absolute(options.cache or default_cache()))
        if options.action == "prune":
            console.print(f"removed {prune(cache, options.days)}")
        console.print(shown_url(cache.url), markup=False, highlight=False)
        table = by_age(cache)
        console.print("the cache is empty" if table.empty else render.terminal(table))
    except (ConfigurationError, TransientError) as error:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False)
        return 1
    return 0


def _days(text: str) -> float:
    """Parse a number of days; one below 0 would remove what is used this moment."""
    try:
        days = float(text)
    except ValueError:
        days = -1
    if not days >= 0:
        raise argparse.ArgumentTypeError("must be a number of days, 0 or more")
    return days


def by_age(cache: Cache) -> pd.DataFrame:
    """Return entries and megabytes of each kind, by the days since their last use."""
    ages = {"today": 1, "this week": 7, "this month": 30, "longer ago": sys.maxsize}
    now = pd.Timestamp.now("UTC")
    counted: dict[tuple[str, str], list[float]] = {}
    for entry in entries(cache):
        days = (now - pd.Timestamp(entry.used)).days
        age = next(name for name, limit in ages.items() if days < limit)
        total = counted.setdefault((entry.kind, age), [0, 0.0])
        total[0] += 1
        total[1] += entry.size / 1e6
    rows = [(*key, int(number), round(size, 1)) for key, (number, size) in counted.items()]
    frame = pd.DataFrame(rows, columns=["kind", "last used", "entries", "MB"])
    order = frame["last used"].map(list(ages).index)
    return frame.assign(order=order).sort_values(["kind", "order"]).drop(columns="order")


if __name__ == "__main__":
    sys.exit(main())
