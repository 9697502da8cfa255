"""The section of the page with examples: their scores, spectrograms and players."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from typing import Self

from flows.show.examples import Example, Examples
from flows.show.render import breakable, data_uri
from tasks.audio.clip import Clip
from tasks.errors import TaggingError
from tasks.shown import counted, shown_url

_READERS = 4


@dataclass(frozen=True)
class Sound:
    """A clip as a page shows it.

    Attributes:
        opus: WebM, mono.
        spectrogram: PNG.
        seconds: how long it is.
    """

    opus: bytes
    spectrogram: bytes
    seconds: float

    @classmethod
    def of(cls, clip: Clip) -> Self:
        """Encode a clip that is not empty."""
        # They load librosa and PyAV, which no other page needs.
        from flows.show.sound import encode, spectrogram

        return cls(encode(clip), spectrogram(clip), clip.samples.size / clip.sampling_rate)


SoundOrReason = Sound | str
"""The sound of an example, or why there is none."""


def extract_sounds(
    examples: Examples, extract: Callable[[Example], bytes | None], max_bytes: int
) -> Mapping[Example, SoundOrReason]:
    """Extract the sound of the examples, as far as a page may hold it.

    Args:
        examples: the examples of the run.
        extract: returns the clip of an example as the model gets it, None if it has no sound.
            Called from several threads. A TaggingError costs one example.
        max_bytes: limit for all sounds together, as the page encodes them.
    """

    def get(example: Example) -> SoundOrReason:
        try:
            clip = extract(example)
        except TaggingError as error:
            return f"It could not be read again: {error}."
        return "It no longer has sound." if clip is None else Sound.of(Clip.from_bytes(clip))

    sounds: dict[Example, SoundOrReason] = {}
    chosen = examples.all()
    with ThreadPoolExecutor(_READERS, thread_name_prefix="report") as readers:
        for example, sound in zip(chosen, readers.map(get, chosen), strict=True):
            sounds[example] = sound
            if isinstance(sound, Sound):
                size = len(_player(example, sound))
                if size > max_bytes:
                    sounds[example] = "The page has reached its size limit."
                else:
                    max_bytes -= size
    return sounds


def section(examples: Examples, sounds: Mapping[Example, SoundOrReason] | None) -> str:
    """Return the examples as HTML; without sound if ``sounds`` is None."""
    cards = _Cards(sounds)
    parts = ["<h2>Examples of the most frequent tags</h2>"]
    for tag, count, some in examples.frequent():
        parts.append(
            f"<h3>{escape(tag)} <span class=soft>{counted(count, 'video')}</span></h3>"
            f"{cards.of(some)}"
        )
    parts += ["<h2>How sure the model was</h2>", _histogram(examples.histogram)]
    parts += ["<h3>The least sure</h3>", cards.of(examples.least_sure())]
    return "".join(parts)


class _Cards:
    """Shows examples with their players; for one that was shown before, a link to its player."""

    def __init__(self, sounds: Mapping[Example, SoundOrReason] | None) -> None:
        self._sounds = sounds
        self._numbers: dict[Example, int] = {}

    def of(self, examples: Sequence[Example]) -> str:
        return f"<div class=cards>{''.join(map(self._card, examples))}</div>"

    def _card(self, example: Example) -> str:
        shown_before = example in self._numbers
        number = self._numbers.setdefault(example, len(self._numbers) + 1)
        sound = "" if self._sounds is None else _player(example, self._sounds[example])
        if shown_before and sound:
            sound = f"<p><a href='#example-{number}'>listen above</a></p>"
        anchor = "" if shown_before else f" id=example-{number}"
        scores = "".join(
            f"<li style='--share:{100 * score['score']:.1f}%'><span>{escape(score['label'])}"
            f"</span> <b>{score['score']:.2f}</b></li>"
            for score in example.scores
        )
        return (
            f"<article{anchor}><p class=path>{breakable(shown_url(example.url))}</p>{sound}"
            f"<ol class=scores>{scores}</ol></article>"
        )


def _player(example: Example, sound: SoundOrReason) -> str:
    if isinstance(sound, str):
        return f"<p class=soft>{escape(sound)}</p>"
    minutes, seconds = divmod(round(example.start), 60)
    hours, minutes = divmod(minutes, 60)
    at = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return (
        f"<img alt='mel spectrogram, {sound.seconds:.1f} s from {at}'"
        f" src='{data_uri('image/png', sound.spectrogram)}'>"
        f"<audio controls preload=metadata src='{data_uri('audio/webm', sound.opus)}'></audio>"
        + (f"<p class=soft>from {at} on</p>" if example.start else "")
    )


def _histogram(counts: Sequence[int]) -> str:
    most, step = max([1, *counts]), 1 / len(counts)
    bars = "".join(
        f"<i style='height:{100 * count / most:.1f}%' title='{row * step:.2f} to"
        f" {(row + 1) * step:.2f}: {counted(count, 'video')}'></i>"
        for row, count in enumerate(counts)
    )
    return (
        "<p class=soft>Videos by the score of their tag</p>"
        f"<div class=histogram role=img aria-label='histogram of scores'>{bars}</div>"
        "<p class='axis soft'><span>0</span><span>0.5</span><span>1</span></p>"
    )
