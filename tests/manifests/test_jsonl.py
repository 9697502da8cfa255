"""JSON Lines come back byte for byte but for the field."""

import io
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, format_of
from tests.manifests.strategies import (
    FIELDS,
    LABELS,
    SPACING,
    UNTAGGED,
    dumped,
    expected_sample,
    read,
    rewritten,
    samples,
    tags_of,
    written,
)

ENDINGS = st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \t\r\n"])


@st.composite
def manifests(draw: st.DrawFn) -> tuple[Fields, list[tuple[dict[str, Any], str, str]], bytes]:
    """Fields, the samples as (object, text, line ending), and a byte order mark or none."""
    fields = draw(FIELDS)
    found: list[tuple[dict[str, Any], str, str]] = []
    for sample in draw(st.lists(samples(fields), max_size=5)):
        ascii_only, indent = draw(st.booleans()), draw(st.sampled_from(["", "  "]))
        text = indent + dumped(sample, draw(SPACING), ascii_only)
        found.append((sample, text, draw(ENDINGS)))
    assume(not found or any(fields.videos in sample for sample, _, _ in found))
    if draw(st.booleans()) and found:
        found[-1] = (*found[-1][:2], "")
    bom = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) if found else b""
    return fields, found, bom


def placed(found: list[tuple[dict[str, Any], str, str]]) -> list[int]:
    """The line on which each sample stands."""
    lines, line = [], 1
    for _, _, ending in found:
        lines.append(line)
        line += ending.count("\n")
    return lines


@given(manifests(), st.data())
def test_only_tagged_lines_change_and_only_by_the_field(
    manifest: tuple[Fields, list[tuple[dict[str, Any], str, str]], bytes], data: st.DataObject
) -> None:
    fields, found, bom = manifest
    content = bom + "".join(text + ending for _, text, ending in found).encode()
    tags = {line: data.draw(LABELS) for line in placed(found) if data.draw(st.booleans())}
    result = rewritten("m.jsonl", content, tags, fields)
    assert result.startswith(bom)
    rest = result.removeprefix(bom).decode()
    for (sample, text, ending), line in zip(found, placed(found), strict=True):
        new, rest = rest.split("\n", 1) if "\n" in ending else (rest, "")
        rest = rest[max(0, len(ending.partition("\n")[2])) :]
        new = new.removesuffix("\r") if ending.startswith("\r") else new
        if line not in tags:
            assert new == text
            continue
        expected = expected_sample(sample, fields, tags[line])
        assert list(json.loads(new).items()) == list(expected.items())
        assert without_tags(new, expected, fields) == without_tags(text, sample, fields)
    assert rest == ""
    assert read("m.jsonl", result, fields) == [
        sample._replace(missing=() if sample.line in tags else sample.missing)
        for sample in read("m.jsonl", content, fields)
    ]


def without_tags(text: str, sample: dict[str, Any], fields: Fields) -> list[str]:
    """Pieces of the text around each of the other keys: spacing, numbers and escapes as written."""
    ours = {fields.tags, fields.meta}
    decoder, position, pieces = json.JSONDecoder(), text.index("{") + 1, []
    for key in sample:
        start = text.index('"', position)
        _, end = decoder.raw_decode(text, start)
        value = end + len(text[end:]) - len(text[end:].lstrip(" :\t"))
        _, position = decoder.raw_decode(text, value)
        if key not in ours:
            pieces.append(text[start:position])
    return pieces


@given(manifests())
def test_nothing_to_tag_is_the_same_bytes(
    manifest: tuple[Fields, list[tuple[dict[str, Any], str, str]], bytes],
) -> None:
    fields, found, bom = manifest
    content = bom + "".join(text + ending for _, text, ending in found).encode()
    assert rewritten("m.jsonl", content, {}, fields) == content


def spliced(line: str, fields: Fields | None = None) -> str:
    """The line with tags, in a manifest that has the videos key."""
    other = '\n{"videos": []}\n'
    result = rewritten("m.jsonl", (line + other).encode(), {1: ["T"]}, fields).decode()
    assert result.endswith(other)
    return result.removesuffix(other)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"videos": ["a"]}', '{"videos": ["a"], "video_audio_tags": ["T"]}'),
        ('{"videos":["a"],"n":1}', '{"videos":["a"],"n":1,"video_audio_tags":["T"]}'),
        ("{}", '{"video_audio_tags": ["T"]}'),
        ('{"video_audio_tags":null,"n":1}', '{"video_audio_tags":["T"],"n":1}'),
        ('{"video_audio_tags" : ["Old"] , "n" : 1}', '{"video_audio_tags" : ["T"] , "n" : 1}'),
        ('{"n": 1, "n": 1.50e+3}', '{"n": 1, "n": 1.50e+3, "video_audio_tags": ["T"]}'),
        ('{"video_audio_tags": 1, "video_audio_tags": null}',
         '{"video_audio_tags": 1, "video_audio_tags": ["T"]}'),
        ('{"video_audio\\u005ftags": null}', '{"video_audio\\u005ftags": ["T"]}'),
        ('{"a": "\\u00e9", "b": "/\\/"}',
         '{"a": "\\u00e9", "b": "/\\/", "video_audio_tags": ["T"]}'),
        ('{"a": "é"}', '{"a": "é", "video_audio_tags": ["T"]}'),
        ('{"a": NaN}', '{"a": NaN, "video_audio_tags": ["T"]}'),
        ('{"a": "tab\there"}', '{"a": "tab\there", "video_audio_tags": ["T"]}'),
    ],
)  # fmt: skip
def test_the_field_follows_the_style_of_its_line(line: str, expected: str) -> None:
    assert spliced(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"n":1}', '{"n":1,"m":{"t":["T"]}}'),
        ('{"m": null, "n": 1}', '{"m": {"t": ["T"]}, "n": 1}'),
        ('{"m": {}}', '{"m": {"t": ["T"]}}'),
        ('{"m": {"a": 1}, "t": 2}', '{"m": {"a": 1, "t": ["T"]}, "t": 2}'),
        ('{"m":{"t":null,"a":1}}', '{"m":{"t":["T"],"a":1}}'),
        ('{"m": 1, "m": {"a": 1}}', '{"m": 1, "m": {"a": 1, "t": ["T"]}}'),
    ],
)
def test_the_field_inside_another_object(line: str, expected: str) -> None:
    assert spliced(line, Fields(tags="t", meta="m")) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"videos": "a"}', '{"videos": "a", "t": ["T"], "s": [[{"label": "T", "score": 0.5}]]}'),
        ('{"videos":"a"}', '{"videos":"a","t":["T"],"s":[[{"label":"T","score":0.5}]]}'),
        ("{}", '{"t": ["T"], "s": [[{"label": "T", "score": 0.5}]]}'),
        ('{"s":null,"n":1}', '{"s":[[{"label":"T","score":0.5}]],"n":1,"t":["T"]}'),
        ('{"s": 1, "t": 2, "s": 3}',
         '{"s": 1, "t": ["T"], "s": [[{"label": "T", "score": 0.5}]]}'),
        ('{"n": 1,\t"o" : 2}',
         '{"n": 1,\t"o" : 2,\t"t": ["T"],\t"s": [[{"label": "T", "score": 0.5}]]}'),
    ],
)  # fmt: skip
def test_several_fields_follow_the_style_of_their_line(line: str, expected: str) -> None:
    content = f'{line}\n{{"videos": []}}\n'.encode()
    values = {"t": ["T"], "s": [[{"label": "T", "score": 0.5}]]}
    result = written("m.jsonl", content, {1: values}, Fields(tags="t", scores="s"))
    assert result.decode() == f'{expected}\n{{"videos": []}}\n'


def test_labels_are_written_as_the_line_writes_text() -> None:
    content = '{"videos": "x"}\n{"videos": "é"}\n'.encode()
    result = rewritten("m.jsonl", content, {1: ["Geräusch"], 2: ["Geräusch"]})
    assert result == (
        b'{"videos": "x", "video_audio_tags": ["Ger\\u00e4usch"]}\n'
        + '{"videos": "é", "video_audio_tags": ["Geräusch"]}\n'.encode()
    )


def test_integers_of_any_length_pass() -> None:
    line = b'{"videos": ["a"], "n": ' + b"7" * 10_000 + b"}"
    assert rewritten("m.jsonl", line, {1: ["T"]}) == line[:-1] + b', "video_audio_tags": ["T"]}'


def test_a_data_juicer_manifest() -> None:
    line = (
        '{"videos": ["../data/video1.mp4"], '
        '"text": "<__dj__video> a cat purrs <|__dj__eoc|>", '
        '"__dj__meta__": {"source_file": ["x.mp4"], "duration": 12.50}}\n'
    )
    result = rewritten("m.jsonl", line.encode(), {1: ["Purr"]}, Fields(meta="__dj__meta__"))
    assert result.decode() == line.replace("12.50}", '12.50, "video_audio_tags": ["Purr"]}')


def test_a_webdataset_sample() -> None:
    line = b'{"__key__":"000017","__url__":"a.tar","videos":"000017.mp4"}'
    assert read("m.jsonl", line) == [Sample(1, ["000017.mp4"], UNTAGGED)]
    assert rewritten("m.jsonl", line, {1: ["T"]}) == line[:-1] + b',"video_audio_tags":["T"]}'


@pytest.mark.parametrize("value", ["[]", "null"])
def test_no_videos(value: str) -> None:
    assert read("m.jsonl", b'{"videos": %s}' % value.encode()) == [Sample(1, [], UNTAGGED)]
    assert read("m.jsonl", b'{}\n{"videos": null}') == [
        Sample(1, [], UNTAGGED),
        Sample(2, [], UNTAGGED),
    ]


@pytest.mark.parametrize("name", ["m.jsonl", "m.json", "array.json"])
def test_a_manifest_without_the_videos_key_is_refused(name: str) -> None:
    """LLaVA's key is ``video``; a typo in --video-key is the same: all would be tagged []."""
    content = b'{"video": "a.mp4"}\n{"video": "b.mp4"}\n'
    if name == "array.json":
        content = b'[{"video": "a.mp4"}, {"video": "b.mp4"}]'
    with pytest.raises(ManifestError, match="no sample has the key 'videos'"):
        read(name, content)
    with pytest.raises(ManifestError, match="no sample has the key 'videos'"):
        format_of(name).rewrite(io.BytesIO(content), io.BytesIO(), Fields(), tags_of([]))
    assert len(read(name, content, Fields(videos="video"))) == 2


@pytest.mark.parametrize(
    "value", ["7", '{"a": 1}', "[1]", '["a", null]', '[["a"]]', '""', '["a\\u0000"]',
              '["\\ud83d.mp4"]']
)  # fmt: skip
def test_odd_videos_are_a_fault_of_their_sample_alone(value: str) -> None:
    content = b'{"videos": %s}\n{"videos": ["a"]}\n' % value.encode()
    odd, sound = read("m.jsonl", content)
    assert odd.videos == []
    assert odd.fault is not None
    assert sound == Sample(2, ["a"], UNTAGGED)
    assert rewritten("m.jsonl", content, {1: ["T"]}) == content


def test_a_meta_that_is_no_object_is_a_fault_of_its_sample_alone() -> None:
    odd, _ = read("m.jsonl", b'{"m": "x"}\n{"m": {}, "videos": []}\n', Fields(meta="m"))
    assert odd.fault == "'m' is not an object"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b'{"a": 1}\n{"a": }\n', 2, "is not JSON"),
        (b'{"a": 1}\n\n[1]\n', 3, "is not a JSON object"),
        (b'{"a": "\xff"}\n', 1, "is not UTF-8"),
        (b'{"a": 1} {"a": 2}\n', 1, "is not JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"}\n", 1, "nested too deeply"),
        (b"version https://git-lfs.github.com/spec/v1\n", 1, "is not JSON"),
    ],
)
def test_what_is_no_json_object_is_refused_with_its_line(
    content: bytes, line: int, reason: str
) -> None:
    with pytest.raises(ManifestError, match=reason) as refused:
        read("m.jsonl", content)
    assert refused.value.line == line
