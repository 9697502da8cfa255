"""Decide for each sample which fields it gains, or why it gains none."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from tasks.errors import Failure, FailureKind
from tasks.manifests import Fields, Retag, Sample, Value, ledger, to_write
from tasks.storage import join, parent
from tasks.tags import VideoTags

EXAMPLES = 3
"""How many failures of each kind a run shows with their reasons; the ledgers list all."""


class Outcomes(Protocol):
    """The tags and failures of a run's videos."""

    def get(self, url: str, /) -> VideoTags | Failure | None:
        """Return the tags of a video, why it has none, or None when the run does not know it."""
        ...


@dataclass
class MergeResult:
    """Counts of one merge. Each sample is one of tagged, skipped, failed, pending.

    Attributes:
        samples: all in the manifest.
        tagged: gained a field, or had one replaced.
        skipped: had all fields already.
        failed: left as they are since a video failed, or the sample itself is invalid.
        known: the failed samples whose failures are all in the ledger of the previous merge.
        pending: left as they are since the run does not know a video: the sample was added after
            the run was planned.
        malformed: the failed samples that are invalid themselves.
        faults: the line and the fault of the first of these.
        failures: entries in the ledger.
        written: whether the target is a new file.
        unrecorded: why the ledger could not be written, if so.
    """

    samples: int = 0
    tagged: int = 0
    skipped: int = 0
    failed: int = 0
    known: int = 0
    pending: int = 0
    malformed: int = 0
    faults: list[str] = field(default_factory=list)
    failures: int = 0
    written: bool = False
    unrecorded: str | None = None


class Filler:
    """Returns the new fields of each sample in one pass over a manifest, and counts."""

    def __init__(
        self,
        fields: Fields,
        outcomes: Outcomes,
        video_root: str | None,
        retag: Retag,
        provenance: str | None,
        target: str,
    ) -> None:
        self.target = target
        self.fields, self.outcomes, self.video_root = fields, outcomes, video_root
        self.retag, self.provenance = retag, provenance
        self.result = MergeResult()

    @cached_property
    def earlier(self) -> ledger.Earlier:
        """The previous ledger. Read once, since the first attempt to merge replaces it."""
        return ledger.earlier(self.target)

    def start(self, source: str, failures: ledger.Ledger) -> None:
        """Begin a pass over a version of the manifest; its failures go to this ledger."""
        self.result, self.failures = MergeResult(), failures
        self.base = self.video_root or parent(source)

    def __call__(self, sample: Sample) -> dict[str, Value] | None:
        self.result.samples += 1
        names = to_write(sample, self.fields, self.retag, self.provenance)
        if not names:
            self.result.skipped += 1
            return None
        if sample.fault is not None:
            self._refuse(sample.line, sample.fault)
            return None
        tags = self._tags(sample)
        if tags is None:
            return None
        # The name of a field that is not requested is None.
        values: dict[str | None, Value] = {
            self.fields.tags: [video.label for video in tags],
            self.fields.scores: [video.scores or [] for video in tags],
            self.fields.timeline: [video.timeline or [] for video in tags],
            self.fields.provenance: self.provenance or "",
        }
        return {name: values[name] for name in names}

    def _refuse(self, line: int, fault: str) -> None:
        """Record a sample that is invalid itself."""
        kind, result = FailureKind.MALFORMED, self.result
        self.failures.add(line, None, kind, fault)
        result.failed += 1
        result.known += self.earlier.has(line, None, kind)
        result.malformed += 1
        if len(result.faults) < EXAMPLES:
            result.faults.append(f"line {line}: {fault}")

    def _tags(self, sample: Sample) -> list[VideoTags] | None:
        """Find the tags of all videos of a sample; None where one has none."""
        found: list[VideoTags] = []
        failed = known = 0
        for video in sample.videos:
            url = join(self.base, video)
            outcome = self.outcomes.get(url)
            if isinstance(outcome, VideoTags):
                found.append(outcome)
            elif outcome is not None:
                what = (sample.line, url, outcome.kind)
                self.failures.add(*what, outcome.reason, outcome.content)
                failed += 1
                known += self.earlier.has(*what, outcome.content)
        if len(found) == len(sample.videos):
            self.result.tagged += 1
            return found
        self.result.failed += failed > 0
        self.result.known += failed == known > 0
        self.result.pending += failed == 0
        return None
