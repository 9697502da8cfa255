"""A JSON array keeps its layout; JSON Lines that are called .json are read as what they are."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample
from tests.manifests.strategies import (
    FIELDS,
    LABELS,
    UNTAGGED,
    expected_sample,
    read,
    rewritten,
    samples,
)


@given(st.data())
def test_everything_but_the_field_is_equal(data: st.DataObject) -> None:
    fields = data.draw(FIELDS)
    found: list[dict[str, Any]] = data.draw(st.lists(samples(fields), max_size=4))
    assume(not found or any(fields.videos in sample for sample in found))
    indent = data.draw(st.sampled_from([None, 0, 2, "\t"]))
    content = json.dumps(found, indent=indent, ensure_ascii=data.draw(st.booleans())).encode()
    lines = [sample.line for sample in read("m.json", content, fields)]
    tags = {line: data.draw(LABELS) for line in lines if data.draw(st.booleans())}
    result = rewritten("m.json", content, tags, fields)
    expected = [
        expected_sample(sample, fields, tags[line]) if line in tags else sample
        for sample, line in zip(found, lines, strict=True)
    ]
    assert json.loads(result) == expected
    assert tags or result == content


PRETTY = b"""\xef\xbb\xbf[
  {
    "videos": ["a.mp4"],
    "n": 1.50
  },

  {"videos": "b.mp4"}
]
"""


def test_the_layout_of_the_author_is_followed() -> None:
    assert read("m.json", PRETTY) == [
        Sample(2, ["a.mp4"], UNTAGGED),
        Sample(7, ["b.mp4"], UNTAGGED),
    ]
    assert rewritten("m.json", PRETTY, {2: ["T"]}) == PRETTY.replace(
        b"1.50\n", b'1.50,\n    "video_audio_tags": ["T"]\n'
    )


@pytest.mark.parametrize("content", [b"[]", b" \n[ ]\n", b""])
def test_no_samples(content: bytes) -> None:
    if content:
        assert read("m.json", content) == []
        assert rewritten("m.json", content, {}) == content
    else:
        with pytest.raises(ManifestError, match="is empty: an array of no samples"):
            read("m.json", content)


def test_json_lines_by_another_name() -> None:
    content = b'\n{"videos": ["a"]}\n{"videos": []}\n'
    assert read("m.json", content) == [Sample(2, ["a"], UNTAGGED), Sample(3, [], UNTAGGED)]
    assert rewritten("m.json", content, {2: ["T"]}, Fields()).count(b"video_audio_tags") == 1


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b'[{"a": 1}\n {"a": 2}]', 1, "',' or ']' is missing"),
        (b'[{"a": 1},\n {"a": }]', 2, "is not JSON"),
        (b'[{"a": 1},\n 7]', 2, "is not a JSON object"),
        (b'[{"a": 1}', 1, "',' or ']' is missing"),
        (b'[{"a": 1},', 1, "is not JSON"),
        (b'[{"a": 1}] x', None, "more follows"),
        (b'"text"', None, "neither"),
        (b'{\n"a": 1}', 1, "is not JSON"),
        (b"[\xff]", 1, "is not UTF-8"),
    ],
)
def test_what_is_broken_is_refused(content: bytes, line: int | None, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason) as refused:
        read("m.json", content)
    assert refused.value.line == line
