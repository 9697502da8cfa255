"""What every format promises.

A format inherits :class:`FormatContract` and supplies how its samples are written and read by
somebody else: nothing here is judged by our own code.
"""

import io
import random
from contextlib import suppress
from typing import Any

import pytest

from tasks.errors import ManifestError
from tasks.manifests import Fields, csv_text, format_of, json_array, lines
from tests.manifests.contract_of_fields import FieldsContract
from tests.manifests.format_under_test import (
    LABELS,
    SAMPLES,
    TAGS,
)
from tests.manifests.strategies import read, rewritten, tags_of


class StreamOnly(io.RawIOBase):
    """Bytes that are read from start to end, as those of a store are, and counted."""

    def __init__(self, content: bytes) -> None:
        self._file, self.given = io.BytesIO(content), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self.given += count
        return count


class FormatContract(FieldsContract):
    """The tests. A subclass is named Test..., so that they are collected."""

    # Reading

    def test_samples_are_read_in_order(self) -> None:
        found = read(self.url, self.packed(SAMPLES))
        assert [sample.videos for sample in found] == [sample["videos"] for sample in SAMPLES]
        assert {sample.fault for sample in found} == {None}

    def test_each_sample_has_a_line_of_its_own(self) -> None:
        lines = [sample.line for sample in read(self.url, self.packed(SAMPLES))]
        assert lines == sorted(set(lines))
        assert lines[0] >= 1

    def test_null_is_no_tag(self) -> None:
        samples = [
            SAMPLES[0] | {TAGS: None},
            SAMPLES[1] | {TAGS: ["A", "B"]},
            SAMPLES[2] | {TAGS: []},
        ]
        assert [not s.missing for s in read(self.url, self.packed(samples))] == [False, True, True]

    def test_no_samples(self) -> None:
        content = self.packed([])
        assert read(self.url, content) == []
        assert self.back(rewritten(self.url, content, {})) == []

    def test_one_path_may_stand_without_a_list(self) -> None:
        samples = [{"id": "a", "videos": "v/1.mp4"}, {"id": "b", "videos": "with space.mp4"}]
        content = self.packed(samples)
        assert [s.videos for s in read(self.url, content)] == [["v/1.mp4"], ["with space.mp4"]]
        result = self.back(self.tagged(content, [["A"], ["B"]]))
        assert result == [samples[0] | {TAGS: ["A"]}, samples[1] | {TAGS: ["B"]}]

    def test_a_missing_value_is_no_videos(self) -> None:
        samples = [SAMPLES[0], {"id": "b", "videos": None}]
        content = self.packed(samples)
        assert [s.videos for s in read(self.url, content)] == [["v/1.mp4"], []]
        assert self.back(self.tagged(content, [None, []]))[1] == {"id": "b", TAGS: []}

    @pytest.mark.long
    def test_many_samples(self) -> None:
        samples = [{"id": str(n), "videos": [f"{n}.mp4"]} for n in range(17_000)]
        content = self.packed(samples)
        assert [s.videos for s in read(self.url, content)] == [s["videos"] for s in samples]
        labels = [[f"L{n}"] if n % 3 else None for n in range(17_000)]
        found = self.back(self.tagged(content, labels))
        assert [sample.get(TAGS) for sample in found] == labels

    def test_files_stay_open(self) -> None:
        source, target = io.BytesIO(self.packed(SAMPLES)), io.BytesIO()
        list(format_of(self.url).read(source, Fields()))
        source.seek(0)
        format_of(self.url).rewrite(source, target, Fields(), lambda _: None)
        assert not source.closed
        assert not target.closed

    # Writing

    def test_tags_are_added(self) -> None:
        result = self.back(self.tagged(self.packed(SAMPLES), LABELS))
        assert result == [s | {TAGS: tags} for s, tags in zip(SAMPLES, LABELS, strict=True)]

    def test_the_field_comes_last(self) -> None:
        first = self.back(self.tagged(self.packed(SAMPLES), LABELS))[0]
        assert list(first) == [*SAMPLES[0], TAGS]

    def test_samples_without_tags_stay(self) -> None:
        result = self.back(self.tagged(self.packed(SAMPLES), [None, LABELS[1], None, None]))
        assert result == [SAMPLES[0], SAMPLES[1] | {TAGS: LABELS[1]}, SAMPLES[2], SAMPLES[3]]

    def test_a_field_that_is_there_is_filled_where_it_stands(self) -> None:
        samples = [
            {"id": s["id"], "videos": s["videos"], TAGS: None, "text": s["text"]} for s in SAMPLES
        ]
        samples[3][TAGS] = ["Old"]
        result = self.tagged(self.packed(samples, TAGS), [LABELS[0], None, LABELS[2], None])
        expected = [samples[0] | {TAGS: LABELS[0]}, SAMPLES[1], samples[2] | {TAGS: []}, samples[3]]
        assert self.back(result) == expected
        assert list(self.back(result)[0]) == list(samples[0])

    def test_tags_are_replaced(self) -> None:
        once = self.tagged(self.packed(SAMPLES), LABELS)
        assert self.back(self.tagged(once, LABELS[::-1])) == [
            s | {TAGS: tags} for s, tags in zip(SAMPLES, LABELS[::-1], strict=True)
        ]

    def test_in_two_runs_as_in_one(self) -> None:
        first = self.tagged(self.packed(SAMPLES), [LABELS[0], None, LABELS[2], None])
        second = self.tagged(first, [None, LABELS[1], None, LABELS[3]])
        assert self.back(second) == self.back(self.tagged(self.packed(SAMPLES), LABELS))

    def test_what_is_tagged_is_read_as_tagged(self) -> None:
        result = self.tagged(self.packed(SAMPLES), [LABELS[0], None, LABELS[2], None])
        assert [not sample.missing for sample in read(self.url, result)] == [
            True,
            False,
            True,
            False,
        ]

    def test_nothing_to_tag_changes_nothing(self) -> None:
        content = self.packed(SAMPLES, TAGS)
        result = self.tagged(content, [None] * 4)
        assert self.back(result) == self.back(content)
        if self.same_bytes:
            assert result == content

    def test_the_same_input_gives_the_same_bytes(self) -> None:
        content = self.packed(SAMPLES)
        assert self.tagged(content, LABELS) == self.tagged(content, LABELS)

    def test_labels_of_every_kind(self) -> None:
        labels = [["Geräusch", 'the "quoted"', "a, b", "two\nlines", "a\\b", "'", "", " ", "[x]"]]
        assert self.back(self.tagged(self.packed(SAMPLES[:1]), labels))[0][TAGS] == labels[0]

    def test_fields_of_other_names(self) -> None:
        fields = Fields(videos="clips; old", tags="the, tags")
        samples = [{"id": s["id"], "clips; old": s["videos"], "videos": "x"} for s in SAMPLES]
        result = self.back(self.tagged(self.packed(samples), LABELS, fields))
        assert result == [s | {"the, tags": t} for s, t in zip(samples, LABELS, strict=True)]

    # Faults

    def test_odd_videos_are_a_fault_of_their_sample_alone(self) -> None:
        samples = [SAMPLES[0], {"id": "odd", "videos": ["a.mp4", ""]}, SAMPLES[3]]
        content = self.packed(samples)
        before, odd, after = read(self.url, content)
        assert (before.fault, after.fault, odd.videos) == (None, None, [])
        assert odd.fault is not None
        result = self.back(self.tagged(content, [["A"], ["B", "C"], ["D"]]))
        assert [sample.get(TAGS) for sample in result] == [["A"], None, ["D"]]

    def test_without_the_videos_key_it_is_refused(self) -> None:
        content = self.packed(SAMPLES)
        fields = Fields(videos="vidoes")
        with pytest.raises(ManifestError, match="'vidoes'"):
            read(self.url, content, fields)
        with pytest.raises(ManifestError, match="'vidoes'"):
            format_of(self.url).rewrite(io.BytesIO(content), io.BytesIO(), fields, tags_of([]))

    @pytest.mark.parametrize("content", [b"no manifest at all", b"\0" * 100, b"\xff" * 100])
    def test_what_is_no_manifest_is_refused(self, content: bytes) -> None:
        with pytest.raises(ManifestError):
            read(self.url, content)
        with pytest.raises(ManifestError):
            format_of(self.url).rewrite(io.BytesIO(content), io.BytesIO(), Fields(), tags_of([]))

    def test_a_file_that_is_cut_off_is_refused_or_ends_earlier(self) -> None:
        content = self.packed(SAMPLES)
        whole = read(self.url, content)
        for end in range(len(content)):
            try:
                found = read(self.url, content[:end])
            except ManifestError:
                continue
            sound = [sample for sample in found if sample.fault is None]
            assert sound[:-1] == whole[: len(sound[:-1])], end
            assert len(found) <= len(whole)

    @pytest.mark.long
    def test_damage_is_refused_or_a_fault(self) -> None:
        content = self.packed(SAMPLES)
        noise = random.Random(self.url)
        for _ in range(300):
            mutant = bytearray(content)
            for _ in range(noise.randint(1, 4)):
                mutant[noise.randrange(len(mutant))] = noise.randrange(256)
            with suppress(ManifestError):
                format_of(self.url).rewrite(
                    io.BytesIO(mutant), io.BytesIO(), Fields(), tags_of(["T"])
                )


class StreamContract(FormatContract):
    """What the formats that are read from start to end promise beside it."""

    def test_a_stream_is_enough(self) -> None:
        content = self.packed(SAMPLES)
        source = io.BufferedReader(StreamOnly(content))
        assert list(format_of(self.url).read(source, Fields())) == read(self.url, content)

    @pytest.mark.long
    def test_samples_are_given_before_the_end_is_read(self) -> None:
        noise = random.Random(7)
        samples = [
            {"id": str(n), "videos": ["a.mp4"], "text": f"{noise.getrandbits(800):x}"}
            for n in range(15_000)
        ]
        source = StreamOnly(content := self.packed(samples))
        found = format_of(self.url).read(io.BufferedReader(source), Fields())
        assert next(found).videos == ["a.mp4"]
        assert source.given < len(content) * 0.9

    def test_a_line_longer_than_the_limit_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (lines, csv_text, json_array):
            monkeypatch.setattr(module, "MAX_LINE_BYTES", 1 << 20)
        samples = [
            SAMPLES[0],
            {"id": "long", "videos": ["a.mp4"], "text": "x" * (1 << 20)},
            SAMPLES[1],
        ]
        with pytest.raises(ManifestError, match="is longer than 1 MiB"):
            read(self.url, self.packed(samples))
        samples[1]["text"] = "x" * 1_000_000
        content = self.packed(samples)
        assert self.back(self.tagged(content, [None, ["A"], None]))[1] == samples[1] | {TAGS: ["A"]}
