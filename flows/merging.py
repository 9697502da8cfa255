"""Merge each manifest of a run as soon as its own videos are settled."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from prefect import State
from prefect.futures import PrefectFuture

from tasks.manifests import Fields, Retag
from tasks.merge import Merged, leave, merge_tags
from tasks.plan import ManifestPlan
from tasks.shown import shown_url, some
from tasks.videos import ManifestRange, Videos

MANIFESTS_PER_TASK = 100


class Waiting:
    """The plans whose videos are not all settled, in order."""

    def __init__(self, plans: Sequence[ManifestPlan]) -> None:
        self._plans = list(plans)

    def take_outside(self, unsettled: Sequence[ManifestRange]) -> list[ManifestPlan]:
        """Remove and return the plans of manifests that lie in none of these spans."""
        due: list[ManifestPlan] = []
        end = len(self._plans)
        for first, last in reversed(_disjoint(unsettled)):  # from the back: indexes stay valid
            due[:0] = self._cut(bisect_right(self._plans, last, key=_number), end)
            end = bisect_left(self._plans, first, key=_number)
        return self._cut(0, end) + due

    def _cut(self, start: int, end: int) -> list[ManifestPlan]:
        cut = self._plans[start:end]
        del self._plans[start:end]
        return cut


class Merging:
    """Merges the manifests of a run; some wait for their videos, others are under way."""

    def __init__(
        self,
        plans: Sequence[ManifestPlan],
        fields: Fields,
        videos: Videos,
        retag: Retag,
        provenance: str | None,
    ) -> None:
        self._waiting = Waiting([plan for plan in plans if plan.needs_merge])
        self._refused = [(plan, plan.error) for plan in plans if plan.error is not None]
        self._fields, self._videos = fields, videos
        self._retag, self._provenance = retag, provenance
        self._under_way: list[tuple[list[ManifestPlan], PrefectFuture[State[list[Merged]]]]] = []

    def start_outside(self, unsettled: Sequence[ManifestRange]) -> None:
        """Start merging the manifests outside these spans: all of their videos are settled."""
        due = self._waiting.take_outside(unsettled)
        for start in range(0, len(due), MANIFESTS_PER_TASK):
            plans = due[start : start + MANIFESTS_PER_TASK]
            name = some([shown_url(plan.manifest.target) for plan in plans], 1)
            future = merge_tags.submit(
                name, plans, self._fields, self._videos, self._retag, self._provenance
            )
            self._under_way.append((plans, future))

    def finish(self) -> Iterator[Merged]:
        """Merge what still waits, and yield the result of each manifest, refused ones included."""
        for plan, error in self._refused:
            yield leave(plan, error)
        self.start_outside([])
        for plans, future in self._under_way:
            merged = future.result(raise_on_failure=False)
            if isinstance(merged, list):
                yield from merged
            else:
                yield from (
                    Merged(plan, None, f"{shown_url(plan.manifest.url)}: {merged}")
                    for plan in plans
                )


def _number(plan: ManifestPlan) -> int:
    return plan.manifest.number


def _disjoint(spans: Sequence[ManifestRange]) -> list[ManifestRange]:
    """Return spans that cover the same manifests, in order and without overlap."""
    joined: list[ManifestRange] = []
    for span in sorted(spans):
        if joined and span.first <= joined[-1].last:
            joined[-1] = ManifestRange(joined[-1].first, max(joined[-1].last, span.last))
        else:
            joined.append(span)
    return joined
