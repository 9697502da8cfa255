"""In every format: whatever fields samples have, none is lost, and none is touched that was not
asked for. Plain Python says what is to come out."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.manifests import Fields, to_write
from tests.manifests.contract import FormatContract
from tests.manifests.parquet_files import packed
from tests.manifests.strategies import LABELS, TEXT, Record, read, written
from tests.manifests.test_contract import Csv, JsonArray, JsonLines, Parquet, Tsv

ALL = [
    Fields(),
    Fields(scores="scores", timeline="timeline", provenance="made by"),
    Fields(tags="t", meta="meta", provenance="p"),
    Fields("videos", "t", "meta", "s", "tl", "p"),
]
PART = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
SCORE = st.fixed_dictionaries({"label": TEXT, "score": PART, "peak": PART})
SPAN = st.fixed_dictionaries({"start": PART, "end": PART, "label": TEXT, "score": PART})
MADE_BY = st.text("model@1, \"'\n;|\tü", min_size=1).filter(lambda text: text == text.strip() != "")


def values(fields: Fields) -> st.SearchStrategy[Record]:
    """One for each of the fields."""
    kinds: dict[str | None, st.SearchStrategy[Any]] = {
        fields.tags: LABELS,
        fields.scores: st.lists(st.lists(SCORE, max_size=2), max_size=2),
        fields.timeline: st.lists(st.lists(SPAN, max_size=2), max_size=2),
        fields.provenance: MADE_BY,
    }
    return st.fixed_dictionaries({name: kinds[name] for name in fields.written})


def some(drawn: Record, names: list[str]) -> Record:
    return {name: drawn[name] for name in names}


@st.composite
def samples(draw: st.DrawFn, fields: Fields) -> list[Record]:
    """Samples, each of which has some of the fields, in columns of any order."""
    names = [name for name in fields.written if draw(st.booleans())]
    others: Record = {"id": "x", "videos": ["a.mp4"], "text": 'plain, "é"'}
    found = []
    for number in range(draw(st.integers(1, 5))):
        own = draw(values(fields))
        there = {name: own[name] if draw(st.booleans()) else None for name in names}
        if fields.meta is None:
            found.append(others | there | {"id": str(number)})
        else:
            found.append(others | {"id": str(number), "meta": {"lang": "en"} | there})
    order = draw(st.permutations(list(found[0])))
    return [{key: sample[key] for key in order} for sample in found]


def holder(sample: Record, fields: Fields) -> Record:
    return sample if fields.meta is None else (sample.get("meta") or {})


def with_values(sample: Record, own: Record, fields: Fields) -> Record:
    return sample | own if fields.meta is None else sample | {"meta": holder(sample, fields) | own}


def text_of(layout: FormatContract, found: list[Record], fields: Fields) -> bytes:
    return layout.write(found, list(found[0]))


def table_of(_: FormatContract, found: list[Record], fields: Fields) -> bytes:
    """With the types that the columns have: of a list of nothing but None no library knows it."""
    inner = pa.list_(pa.struct({"label": pa.string(), "score": pa.float64(), "peak": pa.float64()}))
    spans = pa.struct({"start": pa.float64(), "end": pa.float64(), "label": pa.string(),
                       "score": pa.float64()})  # fmt: skip
    kinds: dict[str | None, pa.DataType] = {
        fields.tags: pa.list_(pa.string()), fields.scores: pa.list_(inner),
        fields.timeline: pa.list_(pa.list_(spans)), fields.provenance: pa.string(),
        "videos": pa.list_(pa.string()), "lang": pa.string(), "id": pa.string(),
        "text": pa.string()}  # fmt: skip
    if fields.meta is not None:
        kinds["meta"] = pa.struct({key: kinds[key] for key in found[0]["meta"]})
    schema = pa.schema({key: kinds[key] for key in found[0]})
    return packed(pa.Table.from_pylist(found, schema), row_group_size=2)


class ByArrow(Parquet):
    """Written and read by pyarrow."""

    def read_back(self, content: bytes) -> list[Record]:
        rows: list[Record] = pq.read_table(pa.BufferReader(content)).to_pylist()
        return rows


Write = Callable[[FormatContract, list[Record], Fields], bytes]
LAYOUTS: dict[str, tuple[FormatContract, Write]] = {
    "JSON Lines": (JsonLines(), text_of),
    "JSON": (JsonArray(), text_of),
    "CSV": (Csv(), text_of),
    "TSV": (Tsv(), text_of),
    "Parquet": (ByArrow(), table_of),
}


@pytest.mark.parametrize("fields", ALL, ids=lambda fields: " ".join(fields.written))
@pytest.mark.parametrize("name", LAYOUTS)
@settings(max_examples=min(20, settings().max_examples))
@pytest.mark.long
@given(data=st.data())
def test_no_field_is_lost_and_none_is_overwritten(
    name: str, fields: Fields, data: st.DataObject
) -> None:
    layout, write = LAYOUTS[name]
    found = data.draw(samples(fields))
    drawn = [data.draw(values(fields)) for _ in found]
    gains = [data.draw(st.booleans()) for _ in found]
    content = write(layout, found, fields)
    planned = read(layout.url, content, fields)
    assert [sample.missing for sample in planned] == [
        tuple(n for n in fields.written if holder(sample, fields).get(n) is None)
        for sample in found
    ]
    # A run adds what is missing, to some of the samples in a first run, to all in a second.
    now, expected = content, found
    for run in (gains, [True] * len(found)):
        asked = [
            some(own, list(to_write(sample, fields, False, None))) if gain else {}
            for sample, own, gain in zip(read(layout.url, now, fields), drawn, run, strict=True)
        ]
        now = written_to(layout.url, now, asked, fields)
        expected = [with_values(s, own, fields) for s, own in zip(expected, asked, strict=True)]
        assert layout.back(now) == [nothing_left_out(sample) for sample in expected]
    for sample, before, after in zip(found, planned, layout.back(now), strict=True):
        kept = [n for n in fields.written if n not in before.missing]
        assert some(holder(after, fields), kept) == some(holder(sample, fields), kept)
    # And then there is nothing left to do, unless all is made again.
    ended = read(layout.url, now, fields)
    assert {to_write(sample, fields, False, None) for sample in ended} == {()}
    again = written_to(layout.url, now, drawn, fields)
    assert layout.back(again) == [
        nothing_left_out(with_values(s, own, fields)) for s, own in zip(found, drawn, strict=True)
    ]


def written_to(url: str, content: bytes, asked: list[Record], fields: Fields) -> bytes:
    """The manifest with these values; where there are none, the sample stays as it is."""
    found = read(url, content, fields)
    own = {sample.line: value for sample, value in zip(found, asked, strict=True) if value}
    return written(url, content, own, fields)


def nothing_left_out(record: Record) -> Record:
    """The record as the readers of all formats give it: without nulls."""
    return {
        key: nothing_left_out(value) if isinstance(value, dict) else value
        for key, value in record.items()
        if value is not None
    }
