"""Plan a run: its manifests, and the distinct videos of their untagged samples."""

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

from tasks.errors import ConfigurationError, ManifestError, StorageError, error_text
from tasks.manifests import Fields, Retag, Sample, needs_random_access, to_write
from tasks.manifests.files import open_manifest
from tasks.manifests.listing import above_partitions, has_summary, list_manifests, table_of
from tasks.shown import shown_url
from tasks.storage import absolute, below, join, matcher, parent, require_writable
from tasks.videos import Videos

log = logging.getLogger(__name__)

_STALE = (
    "%s has a _metadata file with the footers that its files have now: if you have readers that use"
    " it, remove it, or write it again once the files are tagged"
)

# Reading many small manifests is mostly waiting for the storage.
_READERS = 8
_CHUNK = 10_000


@dataclass(frozen=True)
class Manifest:
    """One manifest of the run.

    Attributes:
        number: its position in the run, from 0.
        url: where it is read.
        target: where it is written; the same as ``url`` unless an output folder was given.
        video_root: base of its relative video paths.
    """

    number: int
    url: str
    target: str
    video_root: str

    @property
    def in_place(self) -> bool:
        """Whether it is replaced, not copied."""
        return self.target == self.url


@dataclass(frozen=True)
class ManifestPlan:
    """What one manifest needs.

    Attributes:
        manifest: the manifest.
        samples: how many it holds.
        untagged: how many of them need tags.
        error: why it is refused, if it is.
    """

    manifest: Manifest
    samples: int = 0
    untagged: int = 0
    error: Exception | None = None

    @property
    def needs_merge(self) -> bool:
        """Whether there is something to write: tags, or the copy in the output folder."""
        return self.error is None and (self.untagged > 0 or not self.manifest.in_place)


def manifest_problem(manifest: Manifest, error: Exception) -> str:
    """Say in a sentence that names the manifest why it is left unchanged."""
    said = error_text(error)
    url, target = shown_url(manifest.url), shown_url(manifest.target)
    return said if url in said or target in said else f"{target}: {said}"


def find_manifests(
    patterns: Sequence[str], output: str | None, video_root: str | None
) -> list[Manifest]:
    """List the manifests that the patterns name, each once, in order.

    Raises:
        ConfigurationError: a pattern matches none; two manifests would have the same copy in
            ``output``; or the next run would find the copies there.
    """
    found = (one for pattern in patterns for one in list_manifests(pattern))
    paths = {one.url: one.path for one in found}
    manifests = [
        Manifest(
            number=number,
            url=url,
            target=below(absolute(output), path) if output else url,
            video_root=absolute(video_root) if video_root else parent(url),
        )
        for number, (url, path) in enumerate(paths.items())
    ]
    if output:
        _refuse_copies_among_manifests(patterns, manifests, output)
    by_target: dict[str, str] = {}
    for manifest in manifests:
        other = by_target.setdefault(manifest.target, manifest.url)
        if other != manifest.url:
            raise ConfigurationError(
                f"{shown_url(other)} and {shown_url(manifest.url)} would both become"
                f" {shown_url(manifest.target)}: name a folder that holds both, or tag them into"
                " different output folders."
            )
    return manifests


def _refuse_copies_among_manifests(
    patterns: Sequence[str], manifests: Sequence[Manifest], output: str
) -> None:
    for pattern in patterns:
        matches = matcher(pattern)
        if any(not one.in_place and matches(one.target) for one in manifests):
            raise ConfigurationError(
                f"The output folder {shown_url(output)} is searched for manifests too, by"
                f" {shown_url(pattern)}: the next run would tag the copies. Name a folder outside."
            )


def plan(
    manifests: Sequence[Manifest],
    fields: Fields,
    videos: Videos,
    retag: Retag,
    provenance: str | None = None,
) -> list[ManifestPlan]:
    """Read every manifest once; the videos of the samples to tag go into ``videos``.

    Raises:
        ConfigurationError: a manifest that needs tags cannot be replaced; or ``retag`` is stale
            and there is no provenance field to compare.
    """
    if retag == "stale" and fields.provenance is None:
        raise ConfigurationError(
            "--retag stale compares provenance fields: name yours by --provenance-field."
        )
    wanted = partial(to_write, fields=fields, retag=retag, provenance=provenance)
    with ThreadPoolExecutor(_READERS, thread_name_prefix="plan") as readers:
        read = partial(
            _plan_one, fields=fields, videos=videos, wanted=wanted, table=cache(table_of)
        )
        plans = list(readers.map(read, manifests))
        replaced = (p.manifest.url for p in plans if p.untagged and p.manifest.in_place)
        parts = filter(needs_random_access, replaced)
        tables = sorted({above_partitions(parent(url)) for url in parts})
        for folder in itertools.compress(tables, readers.map(has_summary, tables)):
            log.warning(_STALE, shown_url(folder))
    folders = {parent(p.manifest.target): p.manifest for p in plans if p.needs_merge}
    for folder, manifest in sorted(folders.items()):
        try:
            require_writable(folder)
        except StorageError as error:
            way_out = "; name another folder by --output" if manifest.in_place else ""
            raise ConfigurationError(f"{shown_url(folder)} {error.reason}{way_out}.") from error
    return plans


def _plan_one(
    manifest: Manifest,
    fields: Fields,
    videos: Videos,
    wanted: Callable[[Sample], tuple[str, ...]],
    table: Callable[[str], str | None],
) -> ManifestPlan:
    """Read one manifest and add its videos; an error is recorded in its plan."""
    counts = Counter[bool]()

    def videos_to_tag(samples: Iterable[Sample]) -> Iterator[str]:
        for sample in samples:
            to_tag = bool(wanted(sample))
            counts[to_tag] += 1
            if to_tag:
                yield from (join(manifest.video_root, path) for path in sample.videos)

    try:
        if manifest.in_place and needs_random_access(manifest.url):
            _refuse_part_of(table(above_partitions(parent(manifest.url))), manifest.url)
        with open_manifest(manifest.url) as opened:
            urls = videos_to_tag(opened.format.read(opened.stream, fields))
            # In chunks, to limit the memory. If a manifest is refused at a later line, its first
            # videos stay in the run; once it is repaired, their tags come from the cache.
            for position in itertools.count(step=_CHUNK):
                if not (chunk := list(itertools.islice(urls, _CHUNK))):
                    break
                videos.add(manifest.number, enumerate(chunk, position))
    except Exception as error:  # noqa: BLE001 - the boundary of a manifest
        return ManifestPlan(manifest, error=error)
    return ManifestPlan(manifest, samples=counts.total(), untagged=counts[True])


def _refuse_part_of(table: str | None, url: str) -> None:
    if table is not None:
        raise ManifestError(
            url,
            f"is a part of {'an' if table == 'Iceberg' else 'a'} {table} table, which could not be"
            " read any more with another file here; name another folder by --output",
        )
