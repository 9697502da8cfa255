"""Merging goes on beside the tagging: a manifest is written once all of its videos are settled."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.states import Completed

from tasks import ledger
from tasks.errors import ManifestChanged, ManifestError, TransientError
from tasks.manifests import Fields
from tasks.merge import MergeResult, merge
from tasks.plan import ManifestPlan, Videos
from tasks.storage import redact

MANIFESTS_PER_TASK = 100
_ATTEMPTS = 4


@dataclass(frozen=True)
class Merged:
    """What came of one manifest: counts, or why it was left as it is."""

    plan: ManifestPlan
    result: MergeResult | None
    problem: str | None = None


def merge_manifest(plan: ManifestPlan, fields: Fields, videos: Videos, retag: bool) -> Merged:
    """Merge the tags into one manifest; what stops that is told, not raised."""
    manifest = plan.manifest
    for attempt in range(_ATTEMPTS):
        try:
            result = merge(
                manifest.url,
                manifest.target,
                fields,
                videos,
                video_root=manifest.video_root,
                retag=retag,
            )
            return Merged(plan, result)
        except TransientError as error:
            problem = error.reason
            time.sleep(2**attempt)
        except (ManifestError, ManifestChanged) as error:
            return Merged(plan, None, str(error))
    return Merged(plan, None, f"{manifest.target}: {problem}")


def _refuse(plan: ManifestPlan) -> Merged:
    if isinstance(plan.error, ManifestError):
        # A folder that takes no ledger is no reason to lose the others' tags.
        with suppress(ManifestError, TransientError):
            ledger.refuse(plan.error, plan.manifest.url, plan.manifest.target)
    return Merged(plan, None, str(plan.error))


@task(
    name="merge-tags",
    task_run_name="merge {name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    cache_result_in_memory=False,
)
def merge_tags(
    name: str, plans: list[ManifestPlan], fields: Fields, videos: Videos, retag: bool
) -> State[Any]:
    """Merge the tags into some manifests, as a list of :class:`Merged`."""
    merged = [merge_manifest(plan, fields, videos, retag) for plan in plans]
    problems = [manifest.problem for manifest in merged if manifest.problem]
    return Completed(
        name="Partial" if problems else "Completed",
        message=redact("; ".join(problems[:3])),
        data=merged,
    )


class Merging:
    """The manifests of a run that wait for their videos, in order, and those under way."""

    def __init__(
        self, plans: Sequence[ManifestPlan], fields: Fields, videos: Videos, retag: bool
    ) -> None:
        self._waiting = deque(plan for plan in plans if plan.needs_merge)
        self._refused = [plan for plan in plans if plan.error is not None]
        self._fields, self._videos, self._retag = fields, videos, retag
        self._under_way: list[tuple[list[ManifestPlan], PrefectFuture[Any]]] = []

    def up_to(self, manifest: int) -> None:
        """Start the manifests before this number: their videos are settled."""
        due = []
        while self._waiting and self._waiting[0].manifest.number < manifest:
            due.append(self._waiting.popleft())
        for start in range(0, len(due), MANIFESTS_PER_TASK):
            self._submit(due[start : start + MANIFESTS_PER_TASK])

    def finish(self) -> Iterator[Merged]:
        """Start what still waits, and give what came of all, refused manifests included."""
        for plan in self._refused:
            yield _refuse(plan)
        if self._waiting:
            self.up_to(self._waiting[-1].manifest.number + 1)
        for plans, future in self._under_way:
            merged = future.result(raise_on_failure=False)
            if isinstance(merged, list):
                yield from merged
            else:
                yield from (Merged(plan, None, f"{plan.manifest.url}: {merged}") for plan in plans)

    def _submit(self, plans: list[ManifestPlan]) -> None:
        more = f" and {len(plans) - 1} more" if len(plans) > 1 else ""
        name = redact(plans[0].manifest.target) + more
        future = merge_tags.submit(name, plans, self._fields, self._videos, self._retag)
        self._under_way.append((plans, future))
