"""Which videos are picked to check tags by ear."""

import json
from collections import Counter

import numpy as np
import pytest

from flows.show.examples import FREQUENT_TAGS, LEAST_SURE, PER_TAG, Example, Examples
from tasks.labels import LabelMap, TagOptions
from tasks.scores import VideoScores

LABELS = tuple(f"label {row}" for row in range(40))


def collector(options: TagOptions = TagOptions()) -> Examples:  # noqa: B008 - it is frozen
    return Examples(LABELS, "sigmoid", 10.0, options)


def heard(tag: int, logit: float = 2.0) -> VideoScores:
    logits = np.full((1, len(LABELS)), -8, np.float32)
    logits[0, tag] = logit
    return VideoScores.of([0.0], logits)


def urls(examples: list[Example]) -> list[str]:
    return [example.url for example in examples]


def test_a_few_of_each_of_the_most_frequent_tags() -> None:
    examples = collector()
    for tag in range(len(LABELS)):
        for number in range(tag + 1):
            examples.add(f"{tag}/{number}", heard(tag))
    frequent = examples.frequent()
    assert [(tag, count) for tag, count, _ in frequent] == [
        (f"label {tag}", tag + 1) for tag in reversed(range(40 - FREQUENT_TAGS, 40))
    ]
    for label, _, some in frequent:
        assert len(set(urls(some))) == PER_TAG
        assert {example.tag for example in some} == {label}
        assert all(url.startswith(label.removeprefix("label ") + "/") for url in urls(some))


def test_a_rare_tag_has_fewer() -> None:
    examples = collector()
    examples.add("a", heard(0))
    assert [urls(some) for _, _, some in examples.frequent()] == [["a"]]


@pytest.mark.long
def test_each_video_of_a_tag_has_the_same_chance() -> None:
    picked: Counter[int] = Counter()
    for run in range(500):
        examples = collector()
        examples._chance.seed(run)
        for number in range(20):
            examples.add(str(number), heard(0))
        picked.update(int(url) for url in urls(examples.frequent()[0][2]))
    assert min(picked.values()) > 60  # of 100
    assert max(picked.values()) < 140


def test_the_same_videos_give_the_same_examples() -> None:
    def once() -> list[str]:
        examples = collector()
        for number in range(300):
            examples.add(str(number), heard(number % 3, 1 + number % 7))
        return urls(examples.all())

    assert once() == once()


def test_the_least_sure_come_with_the_lowest_score_first() -> None:
    examples = collector()
    for number in np.random.default_rng(0).permutation(200):
        examples.add(str(number), heard(int(number) % 2, number / 40))
    assert urls(examples.least_sure()) == [str(number) for number in range(LEAST_SURE)]


def test_every_example_is_there_once() -> None:
    examples = collector()
    for number in range(10):
        examples.add(str(number), heard(0))
    assert sorted(urls(examples.all())) == [str(number) for number in range(10)]


def test_a_video_without_sound_is_none() -> None:
    examples = collector()
    examples.add("silent", VideoScores.empty())
    assert (examples.all(), sum(examples.histogram)) == ([], 0)


@pytest.mark.parametrize(("logit", "bin_"), [(-8, 0), (0, 10), (8, 19)])
def test_the_histogram_counts_the_scores_of_tags(logit: float, bin_: int) -> None:
    examples = collector()
    examples.add("a", heard(0, logit))
    assert examples.histogram[bin_] == sum(examples.histogram) == 1


def test_what_is_played_is_the_window_that_speaks_most_for_the_tag() -> None:
    logits = np.full((3, len(LABELS)), -8, np.float32)
    logits[:, 0], logits[:, 1] = [1, -1, -1], [-8, 1, 2]
    scores = VideoScores.of([0, 10, 20], logits)
    examples = collector(TagOptions(groups=LabelMap("m", {"label 1": "Music"})))
    examples.add("a", scores)
    (example,) = examples.all()
    assert (example.tag, example.start) == ("Music", 20)
    assert json.dumps(example.scores[0])  # plain values
