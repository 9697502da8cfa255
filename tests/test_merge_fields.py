"""Several fields: a sample gains those that it lacks, and what is there stays unless asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ConfigurationError, Failure, FailureKind
from tasks.filling import MergeResult
from tasks.manifests import Fields, Retag
from tasks.merge import merge
from tasks.plan import find_manifests, plan
from tasks.tags import Score, Span, VideoTags
from tasks.videos import Videos

FIELDS = Fields(tags="tags", scores="scores", timeline="timeline", provenance="made by")
SCORES: list[Score] = [
    {"label": "Music", "score": 0.812, "peak": 0.97},
    {"label": "Geräusch", "score": 0.1, "peak": 0.4},
]
TIMELINE: list[Span] = [{"start": 0.0, "end": 20.5, "label": "Music", "score": 0.91}]
NEW = {"tags": ["Music"], "scores": [SCORES], "timeline": [TIMELINE], "made by": "AST, this run"}
OLD = {"tags": ["Old"], "scores": [[]], "timeline": [[]], "made by": "an older run"}
SAME = OLD | {"made by": "AST, this run"}


def merged(path: Path, sample: dict[str, Any], retag: Retag = False) -> tuple[Any, MergeResult]:
    """The sample after a merge, and the counts."""
    path.write_text(json.dumps(sample) + "\n")
    known = {f"{path.parent}/a.mp4": VideoTags("Music", SCORES, TIMELINE)}
    result = merge(str(path), str(path), FIELDS, known, retag=retag, provenance="AST, this run")
    return json.loads(path.read_text()), result


def only(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names}


@pytest.mark.parametrize(
    ("there", "retag", "expected"),
    [
        ({}, False, NEW),
        (only(OLD, "tags"), False, only(OLD, "tags") | only(NEW, "scores", "timeline")),
        (only(OLD, "scores"), False, only(OLD, "scores") | only(NEW, "tags", "timeline")),
        (only(OLD, "tags", "scores", "timeline"), False, only(OLD, "tags", "scores", "timeline")),
        (OLD | {"scores": None}, False, OLD | only(NEW, "scores")),
        (only(OLD, "scores", "made by"), False, NEW | only(OLD, "scores", "made by")),
        (OLD, False, OLD),
        (OLD, True, NEW),
        (SAME, True, NEW),
        (OLD, "stale", NEW),
        (only(OLD, "tags", "scores", "timeline"), "stale", NEW),
        (SAME | {"made by": 7}, "stale", NEW),
        (SAME, "stale", SAME),
        (only(SAME, "tags", "made by"), "stale", NEW | only(OLD, "tags")),
    ],
)
def test_what_is_written(
    there: dict[str, Any], retag: Retag, expected: dict[str, Any], tmp_path: Path
) -> None:
    sample = {"videos": ["a.mp4"], "n": 1}
    found, result = merged(tmp_path / "m.jsonl", sample | there, retag)
    assert found == sample | expected
    changed = expected != there
    assert (result.tagged, result.skipped, result.written) == (changed, not changed, changed)
    # And a run after it has nothing to do.
    found, result = merged(tmp_path / "m.jsonl", found, retag if retag == "stale" else False)
    assert (result.skipped, result.written) == (1, False)


@pytest.mark.parametrize(("retag", "videos"), [(False, 1), ("stale", 2), (True, 3)])
def test_the_plan_asks_for_the_videos_of_what_is_to_be_written(
    retag: Retag, videos: int, tmp_path: Path
) -> None:
    path = tmp_path / "m.jsonl"
    samples = [
        {"videos": [f"{number}.mp4"]} | there
        for number, there in enumerate([OLD | {"scores": None}, OLD, SAME])
    ]
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    table = Videos()
    found = find_manifests([str(path)], None, None)
    (planned,) = plan(found, FIELDS, table, retag, provenance="AST, this run")
    assert (planned.untagged, len(table)) == (videos, videos)
    table.close()


def test_what_is_stale_needs_the_field_that_says_so() -> None:
    table = Videos()
    with pytest.raises(ConfigurationError, match="--provenance-field"):
        plan([], Fields(), table, "stale")
    table.close()


def test_a_failed_video_costs_all_fields_of_its_sample(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(content := json.dumps({"videos": ["a.mp4", "b.mp4"], "tags": ["A", "B"]}))
    known: dict[str, VideoTags | Failure] = {
        f"{tmp_path}/a.mp4": VideoTags("Music", SCORES, TIMELINE),
        f"{tmp_path}/b.mp4": Failure("b.mp4", FailureKind.MISSING, "no such file"),
    }
    result = merge(str(path), str(path), FIELDS, known, provenance="this run")
    assert (result.failed, result.failures, result.written) == (1, 1, False)
    assert path.read_text() == content


def test_without_videos_lists_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    found, _ = merged(path, {"videos": []})
    assert found == {"videos": [], "tags": [], "scores": [], "timeline": []} | only(NEW, "made by")


@pytest.mark.parametrize(
    "names", [{"scores": "videos"}, {"timeline": "s", "scores": "s"}, {"provenance": "tags"}]
)
def test_fields_of_one_name_are_refused(names: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="need different names"):
        Fields(tags="tags", **names)
