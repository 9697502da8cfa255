"""Read a :class:`Sample` from a decoded record: the part that all formats share."""

from collections.abc import Mapping

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample
from tasks.shown import is_unicode


def parents_of(fields: Fields) -> list[str]:
    """Return the keys that lead to the object with the written fields."""
    return [] if fields.meta is None else [fields.meta]


class Records:
    """Reads the samples of one manifest of JSON objects.

    An object without the videos key is a sample without videos. A manifest in which no object has
    it is refused, as a table without the column is: its key probably has another name (LLaVA uses
    ``video``), and every sample would be tagged ``[]``.
    """

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._samples = self._with_videos = 0

    def sample(self, record: Mapping[str, object], line: int) -> Sample:
        """Return the sample that a JSON object holds. Never raises: an odd one has a ``fault``."""
        fields = self._fields
        self._samples += 1
        self._with_videos += fields.videos in record
        videos, fault = videos_of(record.get(fields.videos))
        if fields.meta is None:
            return sample_with(record, line, videos, fault, fields)
        return meta_sample(line, record.get(fields.meta), videos, fault, fields)

    def finish(self) -> None:
        """Raise ManifestError if there were samples, and none had the videos key."""
        if self._samples and not self._with_videos:
            raise ManifestError("", f"no sample has the key {self._fields.videos!r}")


def sample_with(
    values: Mapping[str, object], line: int, videos: list[str], fault: str | None, fields: Fields
) -> Sample:
    """Return the sample whose written fields have these values."""
    missing = tuple(name for name in fields.written if is_missing(values.get(name)))
    provenance = None if fields.provenance is None else values.get(fields.provenance)
    return Sample(line, videos, missing, fault, provenance if isinstance(provenance, str) else None)


def meta_sample(
    line: int, meta: object, videos: list[str], fault: str | None, fields: Fields
) -> Sample:
    """Return the sample whose written fields are in ``meta``, the value of the meta field."""
    if is_missing(meta):
        meta = {}
    if not isinstance(meta, dict):
        return Sample(line, [], fields.written, f"{fields.meta!r} is not an object")
    return sample_with(meta, line, videos, fault, fields)


def is_missing(value: object) -> bool:
    """Tell whether this is null, or NaN, which pandas writes instead."""
    return value is None or value != value


def videos_of(value: object) -> tuple[list[str], str | None]:
    """Return the paths in the value of the videos field; or none, and the fault."""
    if is_missing(value):
        return [], None
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        return [], "its videos are neither a path nor a list of paths"
    for path in paths:
        if not path or "\0" in path:
            return [], "a video path is empty or has a NUL character"
        if not is_unicode(path):  # "\ud83d" in JSON, a byte of Latin-1 in CSV
            return [], "a video path is not valid Unicode"
    return paths, None
