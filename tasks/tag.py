"""Tagging: from the clips of a unit to one label a video."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self

from prefect import State, task

from tasks.audio.clip import Clip
from tasks.audio.window import Channels, Window
from tasks.cache import Cache, entry_key
from tasks.errors import ConfigurationError, Failure, FailureKind
from tasks.extract import ClipHandle, ExtractedUnit, Video, cached_clip, clip_key, extract_clip
from tasks.model import Checkpoint, CheckpointId, Dtype
from tasks.units import UNIT_TASK, attempt, finish_unit

if TYPE_CHECKING:
    from tasks.model.classifier import Classifier

EMPTY = "EMPTY"
"""The tag of a video without sound, as in the reference operator."""

# Reading from the cache is waiting for the storage, not work.
_READERS = 8


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
        return entry_key("tags-2", clip_key(video, self.window), fingerprint, self.dtype)

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
        unkept: why labels could not be written to the cache, if some could not.
    """

    labels: dict[str, str] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    computed: int = 0
    unkept: str | None = None


def tag_unit(unit: ExtractedUnit, tagger: Tagger, cache: Cache) -> TaggedUnit:
    """Label every extracted video of a unit; one that fails costs none of the others.

    A label is in the cache as soon as its batch is computed: a run that is killed loses at most two
    batches.

    Raises:
        ConfigurationError: the model cannot tag at all.
    """
    tagged = TaggedUnit()

    def find(handle: ClipHandle) -> tuple[Video, str | Clip | Failure]:
        video = handle.video
        return video, attempt(video.url, lambda: _label_or_clip(handle, tagger, cache))

    with ThreadPoolExecutor(_READERS, thread_name_prefix="tag") as readers:
        clips = _take_known(readers.map(find, unit.extracted), tagged)
        for video, label in _label(clips, tagger):
            if isinstance(label, Failure):
                tagged.failed.append(label)
                continue
            tagged.labels[video.url] = label
            tagged.computed += 1
            cache.put(tagger.tag_key(video), json.dumps(label).encode())
    tagged.unkept = cache.trouble
    return tagged


def _label_or_clip(handle: ClipHandle, tagger: Tagger, cache: Cache) -> str | Clip:
    if handle.empty:
        return EMPTY
    label = _cached_label(tagger.tag_key(handle.video), cache)
    if label is not None:
        return label
    clip = cached_clip(handle.video, tagger.window, cache)
    if clip is None:
        clip = Clip.from_bytes(extract_clip(handle.video, tagger.window, cache)[1])
    return clip


def _cached_label(key: str, cache: Cache) -> str | None:
    content = cache.get(key)
    try:
        label = None if content is None else json.loads(content)
    except ValueError:
        return None
    return label if isinstance(label, str) else None


def _take_known(
    found: Iterable[tuple[Video, str | Clip | Failure]], tagged: TaggedUnit
) -> Iterator[tuple[Video, Clip]]:
    """Record labels and failures; pass on the clips that the model is to label."""
    for video, what in found:
        if isinstance(what, Clip):
            yield video, what
        elif isinstance(what, Failure):
            tagged.failed.append(what)
        else:
            tagged.labels[video.url] = what


def _label(
    clips: Iterator[tuple[Video, Clip]], tagger: Tagger
) -> Iterator[tuple[Video, str | Failure]]:
    """Yield the label of each clip. When the model fails on a batch, the clips that it has taken
    are tried alone: one of them may be odd."""
    taken: deque[tuple[Video, Clip]] = deque()

    def take() -> Iterator[Clip]:
        for video, clip in clips:
            taken.append((video, clip))
            yield clip

    while True:
        try:
            for label in tagger.predict(take()):
                video, _ = taken.popleft()
                yield video, label or _not_finite(video)
            return
        except ConfigurationError:
            raise
        except Exception:  # noqa: BLE001 - it is raised again by the clip that is at fault
            alone = list(taken)
        taken.clear()
        for video, clip in alone:
            step = partial(next, tagger.predict([clip]))
            yield video, attempt(video.url, step) or _not_finite(video)


def _not_finite(video: Video) -> Failure:
    return Failure(video.url, FailureKind.INTERNAL, "the model answers with NaN or infinity")


@task(name="tag-audio", task_run_name="tag unit {number}", **UNIT_TASK)
def tag_audio(number: int, unit: ExtractedUnit, tagger: Tagger, cache: str) -> State[TaggedUnit]:
    """Tag a unit: see :func:`tag_unit`."""
    tagged = tag_unit(unit, tagger, Cache(cache))
    cached = bool(tagged.labels) and tagged.computed == 0
    return finish_unit(tagged, tagged.failed, cached)
