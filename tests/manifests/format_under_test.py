"""A manifest format as its contract sees it: how to write, tag and read back its files."""

from collections.abc import Sequence
from typing import Any, ClassVar

from tasks.manifests import Fields
from tests.manifests.strategies import read, rewritten

Record = dict[str, Any]
TAGS = "video_audio_tags"

SAMPLES: list[Record] = [
    {"id": "a", "videos": ["v/1.mp4"], "text": "plain"},
    {"id": "b", "videos": ["v/2.mp4", "s3://b/ü 3.mp4"], "text": 'a "quote", a comma;\ttab | bar'},
    {"id": "c", "videos": [], "text": "two\nlines"},
    {"id": "007", "videos": ["v/1.mp4"], "text": "ünïcode 漢字 😀"},
]
LABELS = [["Speech"], ["Music", 'Rain, "heavy"'], [], ["Geräusch"]]


SCORES = [
    {"label": "Speech", "score": 0.812, "peak": 0.97},
    {"label": 'Geräusch, "laut"', "score": 0.1, "peak": 0.1},
]
SPANS = [
    {"start": 0.0, "end": 20.48, "label": "Speech", "score": 0.9},
    {"start": 20.48, "end": 31.5, "label": "two\nlines", "score": 0.25},
]
VALUES: list[Record] = [
    {TAGS: labels, "scores": scores, "timeline": spans, "made by": made_by}
    for labels, scores, spans, made_by in zip(
        LABELS,
        [[SCORES], [SCORES[:1], []], [], [SCORES[1:]]],
        [[[]], [SPANS, SPANS[:1]], [], [SPANS[1:]]],
        ["model@1", 'a, "b"; c\td | e', "Modell für ü\nzwei Zeilen", "(no list)"],
        strict=True,
    )
]


def only(record: Record, *keys: str) -> Record:
    return {key: record[key] for key in keys}


class FormatUnderTest:
    """What a format says of itself, for the tests of its contract.

    Attributes:
        url: a name with the extension under test.
        same_bytes: a sample that gains no tags keeps its bytes, where the field is there already.
    """

    url: ClassVar[str]
    same_bytes: ClassVar[bool] = True

    def write(self, samples: Sequence[Record], columns: Sequence[str]) -> bytes:
        """A manifest with these samples; each has all columns, None where it has no value.
        Values are text, but for lists of text and the dict of a meta field."""
        raise NotImplementedError

    def read_back(self, content: bytes) -> list[Record]:
        """The samples of a manifest; None, or no key, where there is no value."""
        raise NotImplementedError

    def pack(self, content: bytes) -> bytes:
        """The same, compressed."""
        return content

    def unpack(self, content: bytes) -> bytes:
        return content

    # How the tests say it.

    def packed(self, samples: Sequence[Record], *more: str) -> bytes:
        columns = list(dict.fromkeys(["id", "videos", *more, *(k for s in samples for k in s)]))
        return self.pack(
            self.write([{key: s.get(key) for key in columns} for s in samples], columns)
        )

    def tagged(
        self, content: bytes, labels: Sequence[list[str] | None], fields: Fields | None = None
    ) -> bytes:
        lines = [sample.line for sample in read(self.url, content, fields)]
        given = zip(lines, labels, strict=True)
        return rewritten(
            self.url, content, {n: tags for n, tags in given if tags is not None}, fields
        )

    def back(self, content: bytes) -> list[Record]:
        return [without_nulls(record) for record in self.read_back(self.unpack(content))]


def without_nulls(record: Record) -> Record:
    """The record without keys of no value, in dicts too: readers of tables add those."""
    return {
        key: without_nulls(value) if isinstance(value, dict) else value
        for key, value in record.items()
        if value is not None and value != {}
    }
