"""Merge the tags into a manifest: the rest stays as it is, no other writer's work is lost."""

import random
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from tasks.errors import (
    FailureKind,
    ManifestChanged,
    ManifestError,
    StorageError,
    TransientError,
)
from tasks.filling import Filler, MergeResult, Outcomes
from tasks.manifests import ExtendableFormat, Fields, Retag, ledger
from tasks.manifests.files import open_manifest, replace, writing
from tasks.plan import ManifestPlan, manifest_problem
from tasks.shown import shown
from tasks.storage import Identity, find, keeps_start, open_for_reading, scratch
from tasks.videos import Videos

ATTEMPTS = 8
"""How often a merge is tried while others write the manifest or its store does not answer: for some
ten seconds in all."""

_FIRST_PAUSE_SECONDS = 0.1
_BUFFER_BYTES = 1 << 20


def merge(
    source: str,
    target: str,
    fields: Fields,
    outcomes: Outcomes,
    *,
    video_root: str | None = None,
    retag: Retag = False,
    provenance: str | None = None,
) -> MergeResult:
    """Write ``source`` with the tags of its videos to ``target``, and the ledger beside it.

    A sample gains the fields that it lacks when all its videos have tags; one without videos gains
    empty lists. If ``target`` is ``source``, nothing is written when there is nothing to add; any
    other target is always a full copy. If someone else has written the target in the meantime, the
    merge starts again from their version.

    Args:
        source: manifest to read.
        target: manifest to write, usually ``source``.
        fields: the names of the fields.
        outcomes: tags or failure of each video, by URL.
        video_root: base of relative video paths; the folder of ``source`` when None.
        retag: which samples have their existing fields replaced.
        provenance: what made the tags, for the provenance field.

    Raises:
        ManifestError: it cannot be read or written.
        ManifestChanged: others wrote it during the last attempt, too.
        TransientError: a store did not answer in the last attempt, either.
    """
    filler = Filler(fields, outcomes, video_root, retag, provenance, target)
    for attempt in range(1, ATTEMPTS):
        try:
            return _merge_once(source, target, filler)
        except (ManifestChanged, TransientError):
            time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * random.random())
    return _merge_once(source, target, filler)


def _merge_once(source: str, target: str, filler: Filler) -> MergeResult:
    expected = None if target == source else _identity(target)
    with writing(target), scratch(target, like=source) as new:
        read, keep, unrecorded = _rewrite_and_record(source, target, new, filler)
        result = filler.result
        result.failures, result.unrecorded = filler.failures.entries, unrecorded
        if target == source:
            expected, result.written = read, result.tagged > 0
        else:
            result.written = expected is None or not _same(target, expected, new)
        if result.written:
            replace(target, new, expected, keep)
    return result


def _rewrite_and_record(
    source: str, target: str, new: Path, filler: Filler
) -> tuple[Identity, int, str | None]:
    """Write the new version as :func:`_rewrite` does, and the ledger beside the target.

    Returns:
        What :func:`_rewrite` returns, and why the ledger could not be written, or None: without a
        ledger the tags are written all the same.
    """
    rewritten: tuple[Identity, int] | None = None
    try:
        with ledger.open_ledger(source, target) as failures:
            filler.start(source, failures)
            rewritten = _rewrite(source, target, new, filler)
    except (ManifestError, TransientError) as error:
        if rewritten is None:
            raise
        return *rewritten, str(error)
    return *rewritten, None


def _rewrite(source: str, target: str, new: Path, filler: Filler) -> tuple[Identity, int]:
    """Write the new version; if the start of the old one can stay, only what comes after it.

    Returns:
        The identity of the version that was read, and how many bytes at its start stay.
    """
    with open_manifest(source) as manifest, new.open("wb", buffering=_BUFFER_BYTES) as output:
        try:
            layout, keep = manifest.format, 0
            if source == target and keeps_start(source) and isinstance(layout, ExtendableFormat):
                keep = layout.extend(manifest.stream, output, filler.fields, filler)
            else:
                layout.rewrite(manifest.stream, output, filler.fields, filler)
        except StorageError as error:
            if error.kind is FailureKind.CHANGED:  # the store has noticed the change
                raise ManifestChanged(f"{source} {error.reason}.") from error
            raise
        except ManifestError as error:
            if _identity(source) != manifest.identity:  # it was read half old, half new
                raise ManifestChanged(f"{source} changed while it was read.") from error
            raise
        return manifest.identity, keep


def _identity(url: str) -> Identity | None:
    with writing(url):
        return find(url)


def _same(url: str, identity: Identity, new: Path) -> bool:
    """Tell whether the file at ``url`` has the content of ``new``."""
    if identity.size != new.stat().st_size:
        return False
    with open_for_reading(url, seekable=False).stream as old, new.open("rb") as file:
        while part := file.read(_BUFFER_BYTES):
            if old.read(len(part)) != part:
                return False
    return True


@dataclass(frozen=True)
class Merged:
    """The outcome for one manifest: counts, or why it was left unchanged.

    Attributes:
        plan: of the manifest.
        result: the counts; None when it was left unchanged.
        problem: what went wrong, in a sentence, or None.
        kind: the kind of failure for which it was left unchanged.
        recorded: whether its ledger tells why.
    """

    plan: ManifestPlan
    result: MergeResult | None
    problem: str | None = None
    kind: FailureKind = FailureKind.INTERNAL
    recorded: bool = False


def merge_manifest(
    plan: ManifestPlan,
    fields: Fields,
    videos: Outcomes,
    retag: Retag,
    provenance: str | None = None,
) -> Merged:
    """Merge the tags into one manifest; a failure is recorded and does not stop the others."""
    manifest = plan.manifest
    try:
        result = merge(
            manifest.url,
            manifest.target,
            fields,
            videos,
            video_root=manifest.video_root,
            retag=retag,
            provenance=provenance,
        )
    except Exception as error:  # noqa: BLE001 - the boundary of a manifest
        return leave(plan, error)
    return Merged(plan, result, result.unrecorded)


def leave(plan: ManifestPlan, error: Exception) -> Merged:
    """Leave a manifest unchanged, and record why if its ledger can be written."""
    manifest, recorded = plan.manifest, False
    with suppress(Exception):  # the first error says more
        ledger.refuse(error, manifest.url, manifest.target)
        recorded = True
    return Merged(plan, None, manifest_problem(manifest, error), ledger.kind_of(error), recorded)


@task(
    name="merge-tags",
    task_run_name="merge {name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    cache_result_in_memory=False,
)
def merge_tags(
    name: str,
    plans: list[ManifestPlan],
    fields: Fields,
    videos: Videos,
    retag: Retag,
    provenance: str | None = None,
) -> State[list[Merged]]:
    """Merge the tags into some manifests: see :func:`merge_manifest`."""
    merged = [merge_manifest(plan, fields, videos, retag, provenance) for plan in plans]
    problems = [manifest.problem for manifest in merged if manifest.problem]
    return Completed(
        name="Partial" if problems else "Completed",
        message=shown("; ".join(problems[:3])),
        data=merged,
    )
