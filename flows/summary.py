"""The counts of a run: updated while it goes on, shown at its end."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from flows.pipeline import UnitOutcome
from tasks.errors import FailureKind
from tasks.filling import EXAMPLES
from tasks.manifests.ledger import ledger_of
from tasks.merge import Merged
from tasks.plan import ManifestPlan
from tasks.shown import counted, shown, shown_url
from tasks.tags import EMPTY

SCHEMA = 1
"""Version of :meth:`Summary.as_dict`: it grows when a field changes its meaning or is removed."""

MAX_LISTED = 100
"""How many problems, and how many ledgers, the result of a run lists."""


@dataclass
class Tally:
    """Counts what failed in the same way.

    Attributes:
        videos: how many videos; of ``malformed``, how many samples; of ``manifest``, how many
            manifests.
        examples: the first ones, with the reasons.
    """

    videos: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, number: int, *examples: str) -> None:
        """Count failures, and keep examples if there are few."""
        self.videos += number
        self.examples += examples[: EXAMPLES - len(self.examples)]


@dataclass(frozen=True)
class ManifestRow:
    """The counts of one manifest; ``problem`` says why it was left as it is."""

    manifest: str
    samples: int
    tagged: int
    skipped: int
    failed: int
    problem: str = ""


@dataclass
class Summary:
    """The counts of a run.

    Attributes:
        manifests: manifests that were found.
        samples: samples in them.
        tagged: samples that gained tags in this run.
        skipped: samples that were tagged already.
        failed: samples left without tags.
        known: the failed samples that failed in the same way before, which do not count as
            failures of this run.
        videos: distinct videos of the samples to tag.
        empty: videos without sound.
        cached: videos that were in the cache, and so were not read.
        seconds: wall time of the run.
        bytes_read: bytes of the videos that were read, over the network or from disk.
        stages: seconds that each stage was at work; stages overlap.
        tags: number of videos for each tag.
        failures: what failed, by kind.
        problems: a sentence for each manifest that was left as it is.
        ledgers: number of failed samples in each ledger.
        rows: the counts of each manifest in which a sample was to be tagged.
        computed_on: device and number format of the model; "" if it was not needed.
        report: URL of the report, or None.
    """

    manifests: int = 0
    samples: int = 0
    tagged: int = 0
    skipped: int = 0
    failed: int = 0
    known: int = 0
    videos: int = 0
    empty: int = 0
    cached: int = 0
    seconds: float = 0.0
    bytes_read: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    tags: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Tally] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    ledgers: Counter[str] = field(default_factory=Counter)
    rows: list[ManifestRow] = field(default_factory=list)
    computed_on: str = ""
    report: str | None = None

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild a summary from the result of :meth:`as_dict`."""
        known = {name: value for name, value in facts.items() if name != "schema"}
        failures = {kind: Tally(**group) for kind, group in facts["failures"].items()}
        counters = {name: Counter(facts[name]) for name in ("tags", "ledgers")}
        return cls(**{**known, **counters, "failures": failures})

    def count_plans(self, plans: Sequence[ManifestPlan], videos: int) -> None:
        """Count what is known before anything is done."""
        self.manifests, self.videos = len(plans), videos
        self.samples = sum(plan.samples for plan in plans)
        self.skipped = self.samples - sum(plan.untagged for plan in plans)

    def count_unit(self, unit: UnitOutcome) -> None:
        """Count the videos of one unit."""
        self.tags.update(tags.label for tags in unit.tags.values())
        self.empty = self.tags[EMPTY]
        self.cached += unit.cached + sum(one.cached for one in unit.extracted)
        self.bytes_read += sum(one.bytes_read for one in unit.extracted)
        for failed in unit.failed:
            self._tally(failed.kind).add(1, f"{shown_url(failed.url)}: {failed.reason}")
        for stage, seconds in unit.seconds.items():
            self.spent(stage, seconds)

    def count_merged(self, merged: Merged) -> None:
        """Count the samples of one manifest; it may have changed since it was planned."""
        plan, result, name = merged.plan, merged.result, shown_url(merged.plan.manifest.target)
        if result is None:
            problem = shown(str(merged.problem))
            self.failed += plan.untagged
            self.problems.append(problem)
            self._tally(merged.kind).add(1, problem)
            if merged.recorded:
                self.ledgers[ledger_of(name)] += max(1, plan.untagged)
            skipped = plan.samples - plan.untagged
            self.rows.append(
                ManifestRow(name, plan.samples, 0, skipped, plan.untagged, problem=problem)
            )
            return
        failed = result.failed + result.pending
        problem = shown(merged.problem or "")
        self.problems += [problem] if problem else []
        self.samples += result.samples - plan.samples
        self.skipped += result.skipped - (plan.samples - plan.untagged)
        self.tagged += result.tagged
        self.failed += failed
        self.known += result.known
        if result.malformed:
            faults = [shown(f"{name}, {fault}") for fault in result.faults]
            self._tally(FailureKind.MALFORMED).add(result.malformed, *faults)
        if failed and not problem:
            self.ledgers[ledger_of(name)] += failed
        self.rows.append(
            ManifestRow(name, result.samples, result.tagged, result.skipped, failed, problem)
        )

    def _tally(self, kind: FailureKind) -> Tally:
        return self.failures.setdefault(kind, Tally())

    def spent(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.stages[stage] = round(self.stages.get(stage, 0.0) + seconds, 3)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        started = time.monotonic()
        yield
        self.spent(stage, time.monotonic() - started)

    @property
    def slowest_stage(self) -> str:
        """The stage that was at work for the longest."""
        return max(self.stages, key=lambda stage: self.stages[stage], default="none")

    @property
    def failure_rate(self) -> float:
        """Share of the samples to tag, or of the manifests, that failed: the larger of the two.

        Known failures count neither as failures nor as samples to tag.
        """
        return max(self._rates())

    @property
    def new(self) -> int:
        """Failed samples without the known ones."""
        return self.failed - self.known

    def failures_in_words(self) -> str:
        """Say what the failure rate counts: ``3 of 30 samples to tag failed (10%)``."""
        samples, manifests = self._rates()
        if samples >= manifests:
            of_all = f"{self.new:,} of {counted(self.tagged + self.new, 'sample')} to tag"
        else:
            of_all = f"{len(self.problems):,} of {counted(self.manifests, 'manifest')}"
        known = f", not counting {counted(self.known, 'known failure')}" if self.known else ""
        return f"{of_all} failed ({self.failure_rate:.0%}){known}"

    def known_in_words(self) -> str:
        """Say how many of the failures are known, if there are any: `` (30 known, 2 new)``."""
        return f" ({self.known:,} known, {self.new:,} new)" if self.known else ""

    def _rates(self) -> tuple[float, float]:
        samples = self.new / max(1, self.tagged + self.new)
        return samples, len(self.problems) / max(1, self.manifests)

    def as_dict(self) -> dict[str, Any]:
        """Return all but the rows, as JSON values: the result of the run, and of ``--json``.

        There may be millions of manifests: the dict has only the first hundred problems, and the
        hundred ledgers with the most failures.
        """
        facts = {"schema": SCHEMA} | asdict(self)
        del facts["rows"]
        facts |= {"tags": dict(self.tags.most_common()), "problems": self.problems[:MAX_LISTED]}
        facts["ledgers"] = dict(self.ledgers.most_common(MAX_LISTED))
        return facts

    def __str__(self) -> str:
        return (
            f"{counted(self.tagged, 'sample')} tagged, {self.skipped:,} skipped, "
            f"{self.failed:,} failed{self.known_in_words()}; {counted(self.videos, 'video')} "
            f"({self.empty:,} EMPTY, {self.cached:,} cached), "
            f"{self.bytes_read / 1e6:,.1f} MB read in {self.seconds:,.1f} s"
        )
