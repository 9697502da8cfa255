"""The contract of a manifest format, as to fields: several, and those inside a meta field."""

from collections.abc import Sequence

from tasks.manifests import Fields
from tests.manifests.format_under_test import (
    LABELS,
    SAMPLES,
    TAGS,
    VALUES,
    FormatUnderTest,
    Record,
    only,
)
from tests.manifests.strategies import expected_sample, read, written


class FieldsContract(FormatUnderTest):
    """The tests of fields; see :class:`tests.manifests.contract.FormatContract`."""

    # Several fields

    FOUR = Fields(scores="scores", timeline="timeline", provenance="made by")

    def with_values(
        self, content: bytes, values: Sequence[Record | None], fields: Fields = FOUR
    ) -> bytes:
        lines = [sample.line for sample in read(self.url, content, fields)]
        given = zip(lines, values, strict=True)
        return written(self.url, content, {n: v for n, v in given if v is not None}, fields)

    def test_several_fields_are_added_in_their_order(self) -> None:
        result = self.with_values(self.packed(SAMPLES), VALUES)
        assert self.back(result) == [s | v for s, v in zip(SAMPLES, VALUES, strict=True)]
        assert list(self.back(result)[0]) == [*SAMPLES[0], *self.FOUR.written]
        assert [sample.missing for sample in read(self.url, result, self.FOUR)] == [()] * 4
        made_by = [sample.provenance for sample in read(self.url, result, self.FOUR)]
        assert made_by == [value["made by"] for value in VALUES]

    def test_what_is_there_stays_and_what_is_missing_is_added(self) -> None:
        first = self.with_values(self.packed(SAMPLES), [only(v, TAGS) for v in VALUES])
        assert [s.missing for s in read(self.url, first, self.FOUR)] == [self.FOUR.written[1:]] * 4
        rest = [only(value, *self.FOUR.written[1:]) for value in VALUES]
        second = self.with_values(first, [None, rest[1], None, rest[3]])
        expected = [s | only(v, TAGS) for s, v in zip(SAMPLES, VALUES, strict=True)]
        expected[1] |= rest[1]
        expected[3] |= rest[3]
        assert self.back(second) == expected
        third = self.with_values(second, [rest[0], None, rest[2], None])
        assert self.back(third) == [s | v for s, v in zip(SAMPLES, VALUES, strict=True)]

    def test_one_field_is_replaced_and_the_others_stay(self) -> None:
        whole = self.with_values(self.packed(SAMPLES), VALUES)
        result = self.with_values(whole, [None, {"scores": [[]]}, {"made by": "later"}, None])
        expected = [s | v for s, v in zip(SAMPLES, VALUES, strict=True)]
        expected[1]["scores"], expected[2]["made by"] = [[]], "later"
        assert self.back(result) == expected

    def test_several_fields_inside_a_field(self) -> None:
        fields = Fields("videos", "t", "meta", "s", "tl", "p")
        values = [dict(zip(fields.written, value.values(), strict=True)) for value in VALUES]
        samples = [s | {"meta": {"lang": "en"}} for s in SAMPLES]
        for given in (SAMPLES, samples):
            result = self.with_values(self.packed(given), values, fields)
            assert self.back(result) == [
                s | {"meta": s.get("meta", {}) | v} for s, v in zip(given, values, strict=True)
            ]
            assert [s.missing for s in read(self.url, result, fields)] == [()] * 4
            assert read(self.url, result, fields)[1].provenance == values[1]["p"]

    # Inside a meta field

    META = Fields(tags="t", meta="meta")

    def test_tags_inside_a_field(self) -> None:
        samples = [s | {"meta": {"lang": "en"}} for s in SAMPLES]
        result = self.back(self.tagged(self.packed(samples), LABELS, self.META))
        assert result == [
            expected_sample(s, self.META, t) for s, t in zip(samples, LABELS, strict=True)
        ]

    def test_a_field_that_is_missing_is_made(self) -> None:
        result = self.back(self.tagged(self.packed(SAMPLES), LABELS, self.META))
        assert result == [
            expected_sample(s, self.META, t) for s, t in zip(SAMPLES, LABELS, strict=True)
        ]

    def test_tags_inside_a_field_are_seen_and_replaced(self) -> None:
        samples = [SAMPLES[0] | {"meta": {"lang": "en", "t": ["Old"]}},
                   SAMPLES[3] | {"meta": {"lang": "de", "t": None}}]  # fmt: skip
        content = self.packed(samples)
        assert [not s.missing for s in read(self.url, content, self.META)] == [True, False]
        result = self.back(self.tagged(content, [LABELS[0], LABELS[3]], self.META))
        assert [s["meta"] for s in result] == [
            {"lang": "en", "t": LABELS[0]}, {"lang": "de", "t": LABELS[3]}]  # fmt: skip
