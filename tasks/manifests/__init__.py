"""Manifests: what a sample is, and the reader-writer of each format behind one interface.

A new format is one module here with a class that satisfies :class:`ManifestFormat`, and its line
in ``FORMATS``. Modules are imported when first asked for: a run on JSONL never loads pyarrow.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import BinaryIO, NamedTuple, Protocol, cast, runtime_checkable

from tasks.errors import ConfigurationError
from tasks.shown import shown_url
from tasks.storage import name


@dataclass(frozen=True)
class Fields:
    """Where in a sample things are.

    Attributes:
        videos: key of the list of video paths (or of the one path).
        tags: key of the field that the run writes.
        meta: key of the object that holds ``tags``; None means the top level of the sample.
    """

    videos: str = "videos"
    tags: str = "video_audio_tags"
    meta: str | None = None

    def __post_init__(self) -> None:
        names = [name for name in (self.videos, self.tags, self.meta) if name is not None]
        if len(set(names)) < len(names):
            raise ConfigurationError(
                "The videos, their tags and the meta field need different names, not"
                f" {', '.join(map(repr, names))}."
            )


class Sample(NamedTuple):
    """What a run needs to know of one sample.

    Attributes:
        line: 1-based line of a text manifest, 1-based row of a table.
        videos: paths or URLs as they stand in the manifest; empty when there are none.
        tagged: the tag field is there and is not null.
        fault: why this sample can be given no tags (its ``videos`` is a number, its ``meta`` a
            string); None for a valid sample. One odd sample must not cost a manifest of a
            million others their tags: it has no ``videos``, is left as it is and recorded.
    """

    line: int
    videos: list[str]
    tagged: bool
    fault: str | None = None


TagSample = Callable[[Sample], list[str] | None]
"""Gives the tags of a sample, one label a video, or None to leave the sample as it is."""


class ManifestFormat(Protocol):
    """Reads and rewrites one file format. Raises ManifestError on what it cannot read.

    The ``source`` of a format in :data:`RANDOM_ACCESS` is seekable; that of the others need not be.
    ManifestErrors carry no URL (the stream has none); :func:`tasks.manifests.files.open_manifest`
    adds it.
    """

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        """Stream the samples; memory does not grow with the file."""
        ...

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        """Copy ``source`` to ``target``; samples for which ``tag`` gives tags gain (or replace)
        the field, all else stays as it was. ``tag`` is called once for every sample, in order;
        for a sample with a ``fault`` its answer is not used."""
        ...


@runtime_checkable
class ExtendableFormat(ManifestFormat, Protocol):
    """A format that changes nothing but the end of a file."""

    def extend(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> int:
        """As ``rewrite``, but write only what follows the bytes of ``source`` that stay, and
        return how many these are, from its start."""
        ...


FORMATS = {
    ".jsonl": "jsonl:JsonLines",
    ".ndjson": "jsonl:JsonLines",
    ".json": "json_array:JsonArray",
    ".parquet": "parquet:Parquet",
    ".csv": "csv_table:Csv",
    ".tsv": "csv_table:Tsv",
}
RANDOM_ACCESS = frozenset({".parquet"})
COMPRESSIONS = frozenset({".gz", ".zst", ".bz2"})


def extensions(url: str) -> tuple[str, str]:
    """The format's extension and the compression's, each "" when it is not a known one:
    ``a/B.JSONL.gz`` -> ``(".jsonl", ".gz")``."""
    stem, dot, last = name(url).lower().rpartition(".")
    compression = dot + last if dot + last in COMPRESSIONS else ""
    if compression:
        _, dot, last = stem.rpartition(".")
    known = dot + last in FORMATS and not (compression and dot + last in RANDOM_ACCESS)
    return (dot + last if known else ""), compression


def is_manifest(url: str) -> bool:
    """Whether the name ends as a manifest's does."""
    return extensions(url)[0] != ""


def needs_random_access(url: str) -> bool:
    """Whether this manifest is read with seeks (Parquet) and not from start to end."""
    return extensions(url)[0] in RANDOM_ACCESS


@cache
def _format(extension: str, compression: str) -> ManifestFormat:
    module, _, name = FORMATS[extension].partition(":")
    inner = cast(ManifestFormat, getattr(import_module(f"tasks.manifests.{module}"), name)())
    if not compression:
        return inner
    wrapper = import_module("tasks.manifests.compressed").Compressed(inner, compression)
    return cast(ManifestFormat, wrapper)


def format_of(url: str) -> ManifestFormat:
    """The reader-writer for this manifest, by its extension.

    Raises:
        ConfigurationError: no format has this extension.
    """
    extension, compression = extensions(url)
    if not extension:
        known = ", ".join(FORMATS)
        raise ConfigurationError(
            f"{shown_url(url)} is not a manifest that can be read: its name must end in one of "
            f"{known} (text also with {', '.join(sorted(COMPRESSIONS))})."
        )
    return _format(extension, compression)
