"""What the JSON formats and the tables share: reading a :class:`Sample` out of one record."""

from typing import Any

from tasks.manifests import Fields, Sample


def path_of(fields: Fields) -> list[str]:
    """The keys that lead to the tags."""
    return [fields.tags] if fields.meta is None else [fields.meta, fields.tags]


def sample_of(record: dict[str, Any], line: int, fields: Fields) -> Sample:
    """The sample that a decoded JSON object holds. Never fails: what is odd is its ``fault``."""
    videos, fault = videos_of(record.get(fields.videos))
    holder: Any = record
    if fields.meta is not None:
        holder = record.get(fields.meta)
        if holder is not None and not isinstance(holder, dict):
            return Sample(line, [], False, f"{fields.meta!r} is not an object")
        holder = holder or {}
    return Sample(line, videos, holder.get(fields.tags) is not None, fault)


def videos_of(value: object) -> tuple[list[str], str | None]:
    """The paths in the value of the videos field, or none of them and what is wrong with it."""
    if value is None:
        return [], None
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        return [], "its videos are neither a path nor a list of paths"
    for path in paths:
        if not path or "\0" in path:
            return [], "a video path is empty or has a NUL character"
        # Half a surrogate pair ("\ud83d" in JSON) is no character: no store and no database
        # can hold such a name.
        if not path.isascii() and any("\ud800" <= char <= "\udfff" for char in path):
            return [], "a video path has half a surrogate pair"
    return paths, None
