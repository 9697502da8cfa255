"""Pick examples to check tags by ear: some of each tag, and those with the least sure tags.

During a run only URLs and scores are kept, so that the cost is the same with a cache, without one
and on a cluster. At the end the sound of these few dozen videos is extracted again.
"""

import heapq
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from tasks.labels import Activation, TagOptions, roll_up, video_tags
from tasks.scores import VideoScores
from tasks.tags import Score

PER_TAG = 4
LEAST_SURE = 12
FREQUENT_TAGS = 12
HISTOGRAM_BINS = 20
_TOP_SCORES = 5


@dataclass(frozen=True, eq=False)
class Example:
    """A video to be checked.

    Attributes:
        url: the video.
        start: start of the window that scores highest for the tag, in seconds.
        scores: the best labels; the tag is the first.
    """

    url: str
    start: float
    scores: Sequence[Score]

    @property
    def tag(self) -> str:
        return self.scores[0]["label"]


class Examples:
    """Picks examples from the tagged videos. Memory grows with the tags, not with the videos.

    The choice is random, but the same videos in the same order give the same examples.

    Args:
        labels: the labels of the model, by column of its logits.
        activation: turns its logits into scores.
        window_seconds: length of its window.
        options: how scores become tags.

    Attributes:
        histogram: videos by the score of their tag, in equal steps from 0 to 1.
    """

    def __init__(
        self,
        labels: Sequence[str],
        activation: Activation,
        window_seconds: float,
        options: TagOptions,
    ) -> None:
        self.histogram = [0] * HISTOGRAM_BINS
        self._labels, self._activation, self._seconds = labels, activation, window_seconds
        self._options = replace(
            options, scores=True, timeline=False, top_k=_TOP_SCORES, min_score=0.01
        )
        self._chance = random.Random(0)
        self._counts: Counter[str] = Counter()
        self._of_tag: dict[str, list[Example]] = {}
        self._unsure: list[tuple[float, int, Example]] = []  # a heap, the surest of them first

    def add_all(self, scores: Mapping[str, VideoScores]) -> None:
        """Consider the videos of a unit."""
        for url, one in scores.items():
            self.add(url, one)

    def add(self, url: str, scores: VideoScores) -> None:
        """Consider one video; one without sound has nothing to listen to."""
        if not len(scores):
            return
        tags = video_tags(scores, self._labels, self._activation, self._seconds, self._options)
        assert tags.scores
        sure = tags.scores[0]["score"]
        self.histogram[min(int(sure * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
        self._counts[tags.label] += 1
        number = self._counts[tags.label]
        # Reservoir sampling: each video of a tag is among its examples with equal probability.
        row = number - 1 if number <= PER_TAG else self._chance.randrange(number)
        is_unsure = len(self._unsure) < LEAST_SURE or sure < -self._unsure[0][0]
        if row >= PER_TAG and not is_unsure:
            return
        example = Example(url, self._start(scores, tags.label), tags.scores)
        if row < PER_TAG:
            self._of_tag.setdefault(tags.label, [])[row : row + 1] = [example]
        if is_unsure:
            heapq.heappush(self._unsure, (-sure, -self._counts.total(), example))
            if len(self._unsure) > LEAST_SURE:
                heapq.heappop(self._unsure)

    def frequent(self) -> list[tuple[str, int, list[Example]]]:
        """Return the most frequent tags, each with the number of its videos and examples."""
        return [
            (tag, count, self._of_tag[tag])
            for tag, count in self._counts.most_common(FREQUENT_TAGS)
        ]

    def least_sure(self) -> list[Example]:
        """Return the videos with the lowest scores of their tag, the lowest first."""
        return [example for _, _, example in sorted(self._unsure, reverse=True)]

    def all(self) -> list[Example]:
        """Return each example once: one of each tag, the least sure, then the others in turn."""
        by_tag = [some for _, _, some in self.frequent()]
        first, *others = [
            [some[turn] for some in by_tag if turn < len(some)] for turn in range(PER_TAG)
        ]
        return list(dict.fromkeys(chain(first, self.least_sure(), *others)))

    def _start(self, scores: VideoScores, tag: str) -> float:
        if len(scores) == 1:
            return float(scores.starts[0])
        rolled = roll_up(scores, self._labels, self._activation, self._options.groups)
        column = list(rolled.names).index(tag)
        return float(scores.starts[rolled.probabilities[:, column].argmax()])
