"""Text manifests in some author's style, and what must be true of them once they are tagged.

Judges are Python's json and csv: what was not tagged must be the same bytes.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, format_of

FIELDS = [
    Fields(),
    Fields(meta="meta"),
    Fields("clips", "t", "meta"),
    Fields(scores="scores", timeline="timeline", provenance="made by"),
    Fields("clips", "t", "meta", scores="s", provenance="p"),
]
TEXTS = [
    "plain",
    "ünïcode 漢字",
    'a "quote"',
    "a, b; c\td|e",
    "two\nlines",
    "\\",
    '\\"',
    "",
    " ",
    "007",
]
SCORES = [[{"label": 'a, "b"', "score": 0.25, "peak": 1.0}]]
NEW_VALUES: dict[str, Any] = {
    "scores": SCORES, "s": SCORES, "timeline": [[{"start": 0.0, "end": 10.24}], []],
    "made by": 'm@1, "x";\tü', "p": "m@2",
}  # fmt: skip
OLD_VALUES: dict[str, Any] = {
    "scores": [], "s": [[]], "timeline": [[]], "made by": "before", "p": "an, older"}  # fmt: skip
DELIMITERS = {"m.csv": ",;\t|", "m.tsv": "\t"}


TOKENS = [
    b'"', b'""', b"\\", b'\\"', b"\r", b"\n", b"\r\n", b",", b";", b"\t", b"[", b"]", b"{", b"}",
    b"\0", b"\xff", b"\xef\xbb\xbf", b"NaN", b"null", b"1e999", b"9" * 5000, b"'", b":", b" ",
    b"\\ud83d", b'"videos"', b"videos", b"video_audio_tags", b"meta", b"[" * 2000, b"\xe2\x80\xa8",
]  # fmt: skip


def record(chance: Random, fields: Fields) -> dict[str, Any]:
    """A sample with keys in any order, some of which it may lack."""
    tags = chance.choice([None, ["Old"], []])
    sample: dict[str, Any] = {
        "id": chance.choice([1, "007", 1.5, None]),
        fields.videos: chance.choice(
            [["a.mp4"], ["b.mp4", "ü, c.mp4"], "d e.mp4", [], None, ["it's"]]
        ),
        "text": "".join(chance.choices(TEXTS, k=2)),
    }
    own = {fields.tags: tags}
    own |= {name: chance.choice([None, OLD_VALUES[name]]) for name in fields.written[1:]}
    if fields.meta is None:
        sample |= own
    else:
        sample[fields.meta] = chance.choice([None, {"n": 1}, {"n": 1} | own])
    keys = chance.sample(sorted(sample), chance.randint(2, len(sample)))
    return {key: sample[key] for key in keys}


def manifest(chance: Random, url: str, fields: Fields) -> bytes:
    """A whole one, in some author's style."""
    samples = [record(chance, fields) for _ in range(chance.randint(1, 5))]
    samples[0].setdefault(fields.videos, ["z.mp4"])
    ascii_only, ending = chance.random() < 0.5, chance.choice(["\n", "\r\n"])
    mark = chance.choice(["", "", "", "\ufeff"])
    if url == "m.json":
        indent = chance.choice([None, 2])
        return (mark + json.dumps(samples, ensure_ascii=ascii_only, indent=indent)).encode()
    if url == "m.jsonl":
        lines = [json.dumps(sample, ensure_ascii=ascii_only) for sample in samples]
        return (mark + ending.join(lines) + chance.choice(["", ending])).encode()
    columns = sorted({key for sample in samples for key in sample})
    chance.shuffle(columns)
    buffer = io.StringIO(newline="")
    quoting: Any = chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    delimiter = chance.choice(DELIMITERS[url])
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=ending)
    writer.writerow(columns)
    for sample in samples:
        values = [sample.get(column) for column in columns]
        writer.writerow(
            [json.dumps(v, ensure_ascii=False) if isinstance(v, list | dict) else v for v in values]
        )
    return (mark + buffer.getvalue()).encode()


def insert_token(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    """Where a token stands in the way, or opens what nobody closes."""
    start = chance.randrange(len(data) + 1)
    data[start : start + chance.choice((0, 0, 1))] = chance.choice(TOKENS)


def values_for(sample: Sample, fields: Fields) -> dict[str, Any] | None:
    """For two of three samples: what is missing, or all."""
    if sample.line % 3 == 0 or (sample.line % 3 == 1 and not sample.missing):
        return None
    own = {fields.tags: [f"L, {n}" for n in range(len(sample.videos))]} | NEW_VALUES
    return {
        name: own[name] for name in (sample.missing if sample.line % 3 == 1 else fields.written)
    }


def outcome(url: str, content: bytes, fields: Fields) -> tuple[list[Sample], bytes] | None:
    """The samples and the new manifest, or None if it is refused: in the plan as in the merge."""
    samples, target = list[Sample](), io.BytesIO()

    def tag(sample: Sample) -> dict[str, Any] | None:
        samples.append(sample)
        return values_for(sample, fields)

    try:
        planned = list(format_of(url).read(io.BytesIO(content), fields))
    except ManifestError as error:
        with pytest.raises(ManifestError, match=f"^{re.escape(str(error))}$"):
            format_of(url).rewrite(io.BytesIO(content), target, fields, tag)
        return None
    format_of(url).rewrite(io.BytesIO(content), target, fields, tag)
    assert samples == planned
    return samples, target.getvalue()


def with_values(
    old: dict[str, Any], values: dict[str, Any] | None, fields: Fields
) -> dict[str, Any]:
    values = loads(json.dumps(values or {}))
    if fields.meta is None or not values:
        return old | values
    meta = old.get(fields.meta)
    return old | {fields.meta: (meta if isinstance(meta, dict) else {}) | values}


def loads(text: str) -> Any:
    """JSON by the standard library, NaN as a word, so that it equals itself."""
    return json.loads(text, strict=False, parse_constant=str, parse_int=str, parse_float=str)


def check_json_lines(old: bytes, new: bytes, samples: list[Sample], fields: Fields) -> None:
    given = {sample.line: sample for sample in samples}
    before, after = old.split(b"\n"), new.split(b"\n")
    assert len(before) == len(after)
    for line, (was, now) in enumerate(zip(before, after, strict=True), 1):
        sound = line in given and given[line].fault is None
        values = values_for(given[line], fields) if sound else None
        if values is None:
            assert was == now
        else:
            sample = loads(was.decode("utf-8-sig" if line == 1 else "utf-8"))
            assert loads(now.decode("utf-8-sig" if line == 1 else "utf-8")) == with_values(
                sample, values, fields
            )


def check_json_array(old: bytes, new: bytes, samples: list[Sample], fields: Fields) -> None:
    if old.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return check_json_lines(old, new, samples, fields)
    before, after = (loads(content.decode("utf-8-sig")) for content in (old, new))
    assert len(before) == len(after) == len(samples)
    for was, now, sample in zip(before, after, samples, strict=True):
        values = values_for(sample, fields) if sample.fault is None else None
        assert now == with_values(was, values, fields)
    return None


def csv_rows(content: bytes, delimiter: str) -> list[tuple[list[str], str]]:
    """The cells and the text of each row."""
    text = content.decode(errors="surrogateescape").removeprefix("\ufeff")
    lines, taken = io.StringIO(text, newline=""), list[str]()

    def recorded() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    found = []
    for cells in csv.reader(recorded(), delimiter=delimiter, strict=True):
        found.append((cells, "".join(taken)))
        taken.clear()
    return found


def check_csv(
    old: bytes, new: bytes, samples: list[Sample], fields: Fields, delimiters: str = ",;\t|"
) -> None:
    delimiter = delimiter_of(old, fields, delimiters)
    before, after = csv_rows(old, delimiter), csv_rows(new, delimiter)
    assert len(before) == len(after)
    header, keys = before[0][0], [fields.meta] if fields.meta else [*fields.written]
    added = [key for key in keys if key not in header]
    columns = [*header, *added]
    assert after[0][0] == columns
    assert added or after[0] == before[0]
    left = iter(samples)
    for (was, old_text), (now, new_text) in zip(before[1:], after[1:], strict=True):
        sample = next(left) if was else None
        if sample is None or len(was) != len(header):
            assert old_text == new_text
            continue
        values = values_for(sample, fields) if sample.fault is None else None
        assert values or added or old_text == new_text
        expected = was + [""] * len(added)
        for name, value in (values or {}).items():
            number = columns.index(fields.meta or name)
            assert value_in(now[number], name, fields) == value
            expected[number] = now[number]
        assert now == expected
        if values and fields.meta in header:
            cell = was[header.index(fields.meta)].strip()
            rest = loads(cell) if cell.startswith("{") else {}
            assert loads(now[header.index(fields.meta)]) == rest | loads(json.dumps(values))
    assert next(left, None) is None


def value_in(cell: str, name: str, fields: Fields) -> Any:
    """The value of a field, in its own cell or in the one of all."""
    if fields.meta is not None:
        return json.loads(cell, strict=False, parse_int=str)[name]
    return cell if name == fields.provenance else json.loads(cell)


def delimiter_of(content: bytes, fields: Fields, delimiters: str = ",;\t|") -> str:
    for delimiter in delimiters:
        try:
            if fields.videos in csv_rows(content, delimiter)[0][0]:
                return delimiter
        except (csv.Error, IndexError):
            continue
    raise AssertionError("no delimiter")
