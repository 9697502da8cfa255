"""Show the progress of a run: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

_SECONDS_BETWEEN_LINES = 15.0

AnyUnit = TypeVar("AnyUnit", bound=Sized)


@dataclass(frozen=True)
class Pace:
    """How far a run is.

    Attributes:
        done: videos that are settled.
        total: videos of the run.
        elapsed: seconds since the first was begun.
        at_work: a text about the executor and how busy it is; may be "".
    """

    done: int
    total: int
    elapsed: float
    at_work: str = ""

    @property
    def rate(self) -> float:
        """Videos a second."""
        return self.done / self.elapsed if self.elapsed else 0.0

    def __str__(self) -> str:
        said = f"{self.done:,} of {self.total:,} videos"
        if self.rate:
            said += f", {self.rate:.1f}/s"
            if left := (self.total - self.done) / self.rate:
                said += f", {_duration(left)} left"
        return said + (f"; {self.at_work}" if self.at_work else "")


Show = Callable[[Pace], None]


def track(
    units: Iterable[AnyUnit],
    total: int,
    shows: Sequence[Show],
    at_work: Callable[[], str] = str,
) -> Iterator[AnyUnit]:
    """Yield the units, and show the pace at the start and after each of them.

    Args:
        units: the length of each is the number of its videos.
        total: videos of the run.
        shows: take the pace, and decide how often to show it.
        at_work: returns a text about the executor; by default nothing.
    """
    started, done = time.monotonic(), 0

    def tell() -> None:
        for show in shows:
            show(Pace(done, total, time.monotonic() - started, at_work()))

    tell()
    for unit in units:
        yield unit
        done += len(unit)
        tell()


@contextmanager
def on_terminal(say: Callable[[str], None]) -> Iterator[Show]:
    """Choose what suits stderr: a bar on a terminal, else a line to ``say`` now and then."""
    if not sys.stderr.isatty():
        yield _lines(say)
        return
    columns = (
        TextColumn("Tagging videos"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(pace: Pace) -> None:
            speed = str(pace).partition(", ")[2]
            bar.update(task, total=pace.total, completed=pace.done, description=speed)

        yield show


def _lines(say: Callable[[str], None]) -> Show:
    said = 0.0

    def show(pace: Pace) -> None:
        nonlocal said
        if pace.elapsed - said >= _SECONDS_BETWEEN_LINES and pace.done < pace.total:
            said = pace.elapsed
            say(str(pace))

    return show


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
