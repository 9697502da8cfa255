"""JSON Lines: one object a line, rewritten by splicing text: all else stays byte for byte."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample
from tasks.manifests.record import path_of, sample_of
from tasks.manifests.splice import DECODER, set_value, skip_space

BOM = "\ufeff"


class JsonLines:
    """``.jsonl``, ``.ndjson``. UTF-8, with or without a byte order mark; any line endings; blank
    lines are no samples."""

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        return read_lines(source, fields)

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        rewrite_lines(source, target, fields, tag)


def read_lines(source: Iterable[bytes], fields: Fields) -> Iterator[Sample]:
    """The samples of lines that end as they stand in the file."""
    for line, raw in enumerate(source, 1):
        if not raw.isspace():
            yield parse(decode(raw, line), line, fields)


def rewrite_lines(
    source: Iterable[bytes], target: BinaryIO, fields: Fields, tag: TagSample
) -> None:
    """As :meth:`ManifestFormat.rewrite`, for lines that end as they stand in the file."""
    path = path_of(fields)
    for line, raw in enumerate(source, 1):
        if not raw.isspace():
            text = decode(raw, line)
            sample = parse(text, line, fields)
            tags = tag(sample)
            if tags is not None and sample.fault is None:
                start = skip_space(text, text.startswith(BOM))
                raw = set_value(text, start, path, tags).encode()
        target.write(raw)


def decode(raw: bytes, line: int | None) -> str:
    """The text of a line (None: of all). Raises ManifestError when it is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ManifestError("", f"is not UTF-8 text ({error.reason})", line) from error


def parse(text: str, line: int, fields: Fields) -> Sample:
    """The sample of one line. Raises ManifestError when the line is not one JSON object."""
    try:
        record = DECODER.decode(text[1:] if line == 1 and text.startswith(BOM) else text)
    except ValueError as error:
        raise ManifestError("", f"is not JSON ({error})", line) from error
    except RecursionError as error:
        raise ManifestError("", "is nested too deeply to be read", line) from error
    if not isinstance(record, dict):
        raise ManifestError("", "is not a JSON object", line)
    return sample_of(cast(dict[str, object], record), line, fields)
