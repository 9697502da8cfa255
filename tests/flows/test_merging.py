"""When a manifest is merged: once its own videos are settled, and not for others' sake later."""

import random
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from flows.merging import Waiting
from tasks.plan import Manifest, ManifestPlan
from tasks.videos import ManifestRange, Videos

# Of each manifest, its videos: by few names, so that manifests share some.
manifests = st.lists(st.lists(st.integers(0, 30), max_size=6), max_size=8)


def plan_of(number: int) -> ManifestPlan:
    return ManifestPlan(Manifest(number, f"{number}.jsonl", f"{number}.jsonl", ""), 1, 1)


def numbers(plans: list[ManifestPlan]) -> list[int]:
    return [plan.manifest.number for plan in plans]


@given(manifests, st.integers(1, 4), st.randoms())
def test_no_manifest_is_merged_early_and_none_is_forgotten(
    manifests: list[list[int]], size: int, chance: random.Random
) -> None:
    with closing(Videos()) as videos:
        for number in chance.sample(range(len(manifests)), len(manifests)):
            urls = [str(video) for video in manifests[number]]
            videos.add(number, list(enumerate(urls)))
        unsettled = list(videos.units(size))
    waiting = Waiting([plan_of(number) for number in range(len(manifests))])
    open_videos = {url for unit in unsettled for url in unit.urls}
    merged: list[int] = []
    while unsettled:
        ended = unsettled.pop(chance.randrange(len(unsettled)))
        open_videos -= set(ended.urls)
        due = numbers(waiting.take_outside([unit.span for unit in unsettled]))
        assert not [number for number in due if open_videos & set(map(str, manifests[number]))]
        merged += due
    merged += numbers(waiting.take_outside([]))
    assert sorted(merged) == list(range(len(manifests)))


def test_a_stuck_unit_holds_up_its_own_manifests_only() -> None:
    waiting = Waiting([plan_of(number) for number in range(10)])
    stuck, rest = ManifestRange(2, 3), ManifestRange(7, 1_000)
    assert numbers(waiting.take_outside([stuck, rest])) == [0, 1, 4, 5, 6]
    assert numbers(waiting.take_outside([rest])) == [2, 3]
    assert numbers(waiting.take_outside([])) == [7, 8, 9]


def test_overlapping_spans_hold_up_what_they_cover_together() -> None:
    waiting = Waiting([plan_of(number) for number in range(10)])
    assert numbers(
        waiting.take_outside([ManifestRange(6, 8), ManifestRange(1, 7), ManifestRange(2, 3)])
    ) == [0, 9]
