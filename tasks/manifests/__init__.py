"""Manifests: what a sample is, and the reader-writer of each format behind one interface.

A new format is one module here with a class that satisfies :class:`ManifestFormat`, and its line
in ``FORMATS``. Modules are imported when first asked for: a run on JSONL never loads pyarrow.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import BinaryIO, Literal, NamedTuple, Protocol, cast, runtime_checkable

from tasks.errors import ConfigurationError
from tasks.shown import is_unicode, shown_url
from tasks.storage import name
from tasks.tags import Score, Span


@dataclass(frozen=True)
class Fields:
    """The names of a sample's fields.

    Attributes:
        videos: key of the list of video paths, or of one path.
        tags: key of the tags that the run writes, one label for each video.
        meta: key of the object that holds the written fields; None means the top level of the
            sample.
        scores: key of the scores, one list for each video. None, here and below: not requested.
        timeline: key of the timelines, one list for each video.
        provenance: key of the text that tells how the written fields were made.
    """

    videos: str = "videos"
    tags: str = "video_audio_tags"
    meta: str | None = None
    scores: str | None = None
    timeline: str | None = None
    provenance: str | None = None

    def __post_init__(self) -> None:
        names = [self.videos, *self.written, *([] if self.meta is None else [self.meta])]
        if "" in names:
            raise ConfigurationError(
                "A field has an empty name: leave out the option if the field is not needed."
            )
        if not all(map(is_unicode, names)):
            raise ConfigurationError(f"The name of a field is not UTF-8: {', '.join(names)}.")
        if len(set(names)) < len(names):
            raise ConfigurationError(
                "The videos, the meta field and the fields that are written need different names,"
                f" not {', '.join(map(repr, names))}."
            )

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The fields that the run writes, in the order in which a sample gains them."""
        names = (self.tags, self.scores, self.timeline, self.provenance)
        return tuple(name for name in names if name is not None)


class Sample(NamedTuple):
    """What a run needs to know about one sample.

    Attributes:
        line: 1-based line of a text manifest, 1-based row of a table.
        videos: paths or URLs as the manifest writes them; may be empty.
        missing: the written fields that are absent or null.
        fault: why this sample cannot be tagged (its ``videos`` is a number, its ``meta`` a
            string); None for a valid sample. One malformed sample must not prevent the tagging
            of a million others: it has no ``videos``, stays unchanged and is recorded.
        provenance: the text in the provenance field; None if there is none.
    """

    line: int
    videos: list[str]
    missing: tuple[str, ...]
    fault: str | None = None
    provenance: str | None = None


Retag = bool | Literal["stale"]
"""Which samples have all their fields replaced: every sample (True), none (False), or the samples
whose provenance is missing or differs from that of this run ("stale")."""


def to_write(
    sample: Sample, fields: Fields, retag: Retag, provenance: str | None
) -> tuple[str, ...]:
    """Return the fields that a run writes to a sample: all of them if it is tagged again, else the
    missing ones.

    The provenance is written with all the others or not at all: it must not vouch for a value that
    was there before.
    """
    again = sample.provenance != provenance if retag == "stale" else retag
    if again or len(sample.missing) == len(fields.written):
        return fields.written
    return tuple(name for name in sample.missing if name != fields.provenance)


Value = str | list[str] | list[list[Score]] | list[list[Span]]
"""The value that a run writes to a field."""

TagSample = Callable[[Sample], Mapping[str, Value] | None]
"""Gives the values of the fields to write to a sample, or None to leave the sample as it is."""


class ManifestFormat(Protocol):
    """Reads and rewrites one file format. Raises ManifestError if it cannot read a file.

    A format in :data:`RANDOM_ACCESS` needs a seekable ``source``; the others do not.
    ManifestErrors carry no URL (the stream has none); :func:`tasks.manifests.files.open_manifest`
    adds it.
    """

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        """Stream the samples; memory does not grow with the file."""
        ...

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        """Copy ``source`` to ``target``, and set the fields that ``tag`` returns; everything else
        stays as it was. ``tag`` is called once for every sample, in order; its answer for a sample
        with a ``fault`` is ignored."""
        ...


@runtime_checkable
class ExtendableFormat(ManifestFormat, Protocol):
    """A format that changes only the end of a file."""

    def extend(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> int:
        """Write only the part of the new file that follows the unchanged start of ``source``, and
        return the length of that start in bytes."""
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
    """Return the extensions of the format and of the compression, each "" if it is unknown:
    ``a/B.JSONL.gz`` -> ``(".jsonl", ".gz")``."""
    stem, dot, last = name(url).lower().rpartition(".")
    compression = dot + last if dot + last in COMPRESSIONS else ""
    if compression:
        _, dot, last = stem.rpartition(".")
    known = dot + last in FORMATS and not (compression and dot + last in RANDOM_ACCESS)
    return (dot + last if known else ""), compression


def is_manifest(url: str) -> bool:
    """Tell whether the name has the extension of a manifest."""
    return extensions(url)[0] != ""


def needs_random_access(url: str) -> bool:
    """Tell whether this manifest is read with seeks (Parquet) and not from start to end."""
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
    """Return the reader-writer for this manifest, by its extension.

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
