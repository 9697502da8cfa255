"""Tagging: from the clips of a unit to one label a video."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import tee
from typing import TYPE_CHECKING, Any, Self

from prefect import State, task

from tasks.audio.clip import Clip
from tasks.audio.window import Channels, Window
from tasks.cache import Cache, entry_key
from tasks.errors import Failure, FailureKind, TransientError, VideoError
from tasks.extract import ClipHandle, ExtractedUnit, Video, clip_key, load_clip
from tasks.model import Checkpoint, CheckpointId, Dtype
from tasks.units import UNIT_TASK, finish_unit

if TYPE_CHECKING:
    from tasks.model.classifier import Classifier

EMPTY = "EMPTY"
"""The tag of a video without sound, as in the reference operator."""

# Reading from the cache is waiting for the storage, not work.
_READERS = 8

_NOT_FINITE = "the model answers with NaN or infinity"


@dataclass(frozen=True)
class Tagger:
    """What decides a tag, and how it is computed.

    Attributes:
        checkpoint: the model.
        window: what it hears of a video.
        device: where it runs (``cpu``, ``cuda``, ``cuda:1``); changes no tag.
        dtype: what it computes in.
        batch_size: clips at a time; changes no tag.
    """

    checkpoint: Checkpoint
    window: Window
    device: str
    dtype: Dtype
    batch_size: int

    @classmethod
    def load(
        cls, id: CheckpointId, channels: Channels, device: str, dtype: Dtype, batch_size: int | None
    ) -> Self:
        """Find the checkpoint and load its weights: what is wrong with it fails here, not after
        hours of extraction.

        Without a batch size, the one that fills the device.

        Raises:
            ConfigurationError: no such model or device.
        """
        from tasks.model.checkpoint import find_checkpoint
        from tasks.model.classifier import load_classifier

        checkpoint = find_checkpoint(id)
        loaded = load_classifier(checkpoint, device, dtype)
        window = Window(checkpoint.sampling_rate, checkpoint.num_samples, channels)
        batch_size = batch_size or loaded.batch_size
        return cls(checkpoint, window, str(loaded.device), loaded.dtype_name, batch_size)

    def tag_key(self, video: Video) -> str:
        """The cache entry of a video's tag: its clip, the model, and what that computes in."""
        fingerprint = self.checkpoint.fingerprint
        return entry_key("tags-1", clip_key(video, self.window), fingerprint, self.dtype)

    def predict(self, clips: Iterable[Clip]) -> Iterator[str | None]:
        """Yield the label of each clip, in order; None where the model's answer is no number."""
        return self._classifier().predict(clips, self.batch_size)

    def describe(self) -> str:
        """Say what computes, and in what: ``CPU, bfloat16``."""
        return self._classifier().describe()

    def _classifier(self) -> "Classifier":
        from tasks.model.classifier import load_classifier

        return load_classifier(self.checkpoint, self.device, self.dtype)


@dataclass
class TaggedUnit:
    """What came of the videos of one unit.

    Attributes:
        labels: video URL to label.
        failed: the videos that have none.
        computed: how many labels the model was asked for; the others were known.
    """

    labels: dict[str, str] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    computed: int = 0


def tag_unit(unit: ExtractedUnit, tagger: Tagger, cache: Cache) -> TaggedUnit:
    """Label every extracted video of a unit.

    A label is in the cache as soon as its batch is computed: a run that is killed loses at most two
    batches.
    """
    tagged = TaggedUnit()
    with ThreadPoolExecutor(_READERS, thread_name_prefix="tag") as readers:
        known = readers.map(lambda handle: _known_label(handle, tagger, cache), unit.extracted)
        unknown: list[Video] = []
        for handle, label in zip(unit.extracted, known, strict=True):
            if label is None:
                unknown.append(handle.video)
            else:
                tagged.labels[handle.video.url] = label
        found = readers.map(lambda video: _find_clip(video, tagger.window, cache), unknown)
        videos, clips = tee(_keep_failures(found, tagged))
        labels = tagger.predict(clip for _, clip in clips)
        for (video, _), label in zip(videos, labels, strict=True):
            if label is None:
                tagged.failed.append(Failure(video.url, FailureKind.INTERNAL, _NOT_FINITE))
                continue
            tagged.labels[video.url] = label
            tagged.computed += 1
            cache.put(tagger.tag_key(video), json.dumps(label).encode())
    return tagged


def _known_label(handle: ClipHandle, tagger: Tagger, cache: Cache) -> str | None:
    if handle.empty:
        return EMPTY
    content = cache.get(tagger.tag_key(handle.video))
    return None if content is None else str(json.loads(content))


def _find_clip(video: Video, window: Window, cache: Cache) -> tuple[Video, Clip] | Failure:
    try:
        return video, load_clip(video, window, cache)[0]
    except (VideoError, TransientError) as error:
        return Failure(video.url, error.kind, error.reason)


def _keep_failures(
    found: Iterator[tuple[Video, Clip] | Failure], tagged: TaggedUnit
) -> Iterator[tuple[Video, Clip]]:
    for clip in found:
        if isinstance(clip, Failure):
            tagged.failed.append(clip)
        else:
            yield clip


@task(name="tag-audio", task_run_name="tag unit {number}", **UNIT_TASK)
def tag_audio(number: int, unit: ExtractedUnit, tagger: Tagger, cache: str) -> State[Any]:
    """Tag a unit, as a :class:`TaggedUnit`: see :func:`tag_unit`."""
    tagged = tag_unit(unit, tagger, Cache(cache))
    return finish_unit(tagged, tagged.failed, cached=tagged.computed == 0)
