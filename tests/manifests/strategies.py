"""Samples as people have them, and what the tests of every format share."""

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import strategies as st

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, TagSample, format_of

Record = dict[str, Any]
UNTAGGED = (Fields().tags,)
"""What a sample without tags lacks."""

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PATHS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1,
                max_size=12)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
VIDEOS = st.none() | PATHS | st.lists(PATHS, max_size=3)
LABELS = st.lists(TEXT, max_size=3)
FIELDS = st.sampled_from([Fields(), Fields(meta="meta"), Fields("clips", "t", "__dj__meta__")])
SPACING = st.sampled_from([(", ", ": "), (",", ":"), (" , ", " : "), (",\t", ":  ")])


@st.composite
def samples(draw: st.DrawFn, fields: Fields) -> dict[str, Any]:
    """An object with other keys before and after the known ones, any of which may be missing."""
    known: dict[str, Any] = {fields.videos: draw(VIDEOS)}
    tags = draw(st.none() | LABELS)
    if fields.meta is None:
        known[fields.tags] = tags
    else:
        meta = draw(st.none() | st.dictionaries(TEXT, VALUES, max_size=2))
        known[fields.meta] = meta if meta is None else meta | draw(
            st.just({}) | st.just({fields.tags: tags})
        )  # fmt: skip
    chosen = draw(st.lists(st.sampled_from(sorted(known)), unique=True))
    others = draw(st.dictionaries(TEXT, VALUES, max_size=3))
    items = [(key, known[key]) for key in chosen]
    items += [(key, value) for key, value in others.items() if key not in known]
    return dict(draw(st.permutations(items)))


def dumped(sample: object, separators: tuple[str, str], ascii_only: bool) -> str:
    """JSON in some author's style."""
    return json.dumps(sample, ensure_ascii=ascii_only, separators=separators)


def read(url: str, content: bytes, fields: Fields | None = None) -> list[Sample]:
    """The samples of a manifest with this name and content."""
    return list(format_of(url).read(io.BytesIO(content), fields or Fields()))


def rewritten(
    url: str, content: bytes, tags: Mapping[int, list[str]], fields: Fields | None = None
) -> bytes:
    """The manifest with tags for the samples that start on these lines."""
    key = (fields or Fields()).tags
    return written(url, content, {line: {key: labels} for line, labels in tags.items()}, fields)


def written(
    url: str, content: bytes, values: Mapping[int, Record], fields: Fields | None = None
) -> bytes:
    """The manifest with these values of fields for the samples that start on these lines."""
    target, asked = io.BytesIO(), []

    def tag(sample: Sample) -> Record | None:
        asked.append(sample)
        return values.get(sample.line)

    format_of(url).rewrite(io.BytesIO(content), target, fields or Fields(), tag)
    assert asked == read(url, content, fields), "asked once for every sample, in order"
    return target.getvalue()


def tags_of(labels: list[str] | None) -> TagSample:
    """Gives every sample these tags."""
    return lambda _: None if labels is None else {Fields().tags: labels}


def expected_sample(sample: dict[str, Any], fields: Fields, tags: list[str]) -> dict[str, Any]:
    """The sample with its tags, by plain Python."""
    if fields.meta is None:
        return sample | {fields.tags: tags}
    return sample | {fields.meta: (sample.get(fields.meta) or {}) | {fields.tags: tags}}


def refusal(url: str, content: bytes, fields: Fields | None = None) -> ManifestError:
    """Why it is refused, in the plan as in the merge."""
    with pytest.raises(ManifestError) as planned:
        read(url, content, fields)
    with pytest.raises(ManifestError) as merged:
        format_of(url).rewrite(
            io.BytesIO(content), io.BytesIO(), fields or Fields(), tags_of(["T"])
        )
    assert str(planned.value) == str(merged.value)
    return planned.value
