"""JSON Lines: one object a line, rewritten by splicing text: all else stays byte for byte."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample
from tasks.manifests.lines import BOM, lines
from tasks.manifests.record import Records, parents_of
from tasks.manifests.splice import DECODER, set_values, skip_space


class JsonLines:
    """``.jsonl``, ``.ndjson``. UTF-8, with or without a byte order mark; any line endings; blank
    lines hold no sample."""

    def read(self, source: BinaryIO, fields: Fields) -> Iterator[Sample]:
        return read_lines(lines(source), fields)

    def rewrite(self, source: BinaryIO, target: BinaryIO, fields: Fields, tag: TagSample) -> None:
        rewrite_lines(lines(source), target, fields, tag)


def read_lines(source: Iterable[bytes], fields: Fields) -> Iterator[Sample]:
    """Yield the samples of these lines."""
    for _, _, sample in _parsed(source, fields):
        if sample is not None:
            yield sample


def rewrite_lines(
    source: Iterable[bytes], target: BinaryIO, fields: Fields, tag: TagSample
) -> None:
    """Rewrite these lines, as :meth:`ManifestFormat.rewrite` does a file."""
    parents = parents_of(fields)
    for raw, text, sample in _parsed(source, fields):
        values = None if sample is None else tag(sample)
        if sample is None or values is None or sample.fault is not None:
            target.write(raw)
        else:
            start = skip_space(text, text.startswith(BOM))
            target.write(set_values(text, start, parents, values).encode())


def _parsed(source: Iterable[bytes], fields: Fields) -> Iterator[tuple[bytes, str, Sample | None]]:
    """Yield each line, its text and its sample; a blank line has no sample."""
    records = Records(fields)
    for line, raw in enumerate(source, 1):
        if raw.isspace():
            yield raw, "", None
            continue
        try:
            text = raw.decode()
            record = DECODER.decode(text.removeprefix(BOM) if line == 1 else text)
        except UnicodeDecodeError as error:
            raise ManifestError("", f"is not UTF-8 text ({error.reason})", line) from error
        except ValueError as error:
            raise ManifestError("", f"is not JSON ({error})", line) from error
        except RecursionError as error:
            raise ManifestError("", "is nested too deeply to be read", line) from error
        if not isinstance(record, dict):
            raise ManifestError("", "is not a JSON object", line)
        yield raw, text, records.sample(record, line)
    records.finish()
