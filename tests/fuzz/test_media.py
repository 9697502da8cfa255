"""Mutated media, through the real pool. FFmpeg's command line is the judge."""

import resource
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tasks.audio.mp4 import audio_tracks
from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tasks.errors import TransientError, VideoError
from tests.audio.hearing import ffmpeg_hears, libraries_hear, product_hears
from tests.audio.making import CONTAINERS, make, sound_for
from tests.fuzz.frame import hunt
from tests.fuzz.mutations import mutated
from tests.fuzz.structures import mutations_for

pytestmark = pytest.mark.long

# Each container with its first codec, then all with their others: a short run sees all containers.
BASES = sorted(
    ((container, codec) for container in CONTAINERS for codec in container.codecs),
    key=lambda base: base[0].codecs.index(base[1]) > 0,
)
VARIANTS: list[dict[str, Any]] = [{}, {"pictures": False}, {"sound_starts": 1.0}]
WINDOW = Window(sampling_rate=16_000, num_samples=164_080)
BASE_SECONDS = 2.0

MUTANTS = 60
TIME_LIMIT_S = 60.0
MAX_GROWTH_BYTES = 100 * 2**20


def test_a_mutant_costs_itself_and_is_heard_as_ffmpeg_hears_it(tmp_path: Path) -> None:
    path, growth, outcomes = tmp_path / "mutant", 0, Counter[str]()
    with DecoderPool(1, time_limit_s=TIME_LIMIT_S) as pool:

        def check(seed: int) -> str | None:
            nonlocal growth
            path.write_bytes(mutant(seed))
            peak = _peak_bytes()
            outcome = _outcome(pool, path)
            growth += _peak_bytes() - peak
            outcomes[outcome] += 1
            return _fault(outcome, path)

        hunt(check, MUTANTS)
    print(dict(outcomes))  # noqa: T201 - shown by `make fuzz`
    assert growth < MAX_GROWTH_BYTES


def _outcome(pool: DecoderPool, path: Path) -> str:
    """``sound``, ``EMPTY``, or the kind of the failure; whatever else is raised is a fault."""
    try:
        return "sound" if product_hears(pool, path, WINDOW).size else "EMPTY"
    except (VideoError, TransientError) as error:
        return str(error.kind)


def _fault(outcome: str, path: Path) -> str | None:
    if outcome in ("timeout", "crashed"):
        return outcome
    if outcome == "EMPTY" and (heard := ffmpeg_hears(path, WINDOW).size) >= WINDOW.sampling_rate:
        return f"EMPTY, where FFmpeg hears {heard / WINDOW.sampling_rate:.1f} seconds"
    if outcome == "sound" and not ffmpeg_hears(path, WINDOW).size and not _others_hear(path):
        return "sound, where FFmpeg hears none"
    return None


def _others_hear(path: Path) -> bool:
    return libraries_hear(path, edits=not _plays_on(path))


def _plays_on(path: Path) -> bool:
    """Whether an edit has no length: players play to the end, FFmpeg nothing (ExoPlayer#1102)."""
    with path.open("rb") as file:
        return any(not edit.seconds for track in audio_tracks(file) for edit in track.edits)


def mutant(seed: int) -> bytes:
    chance = Random(seed)
    around, number = divmod(seed, len(BASES))
    data = _base(number, around % len(VARIANTS))
    return mutated(data, chance, [data, _base(number - 1, 0)], mutations_for(data))


@cache
def _base(number: int, variant: int) -> bytes:
    """A whole file. Sound formats know no variants."""
    container, codec = BASES[number]
    options = VARIANTS[variant] if container.pictures and container.sound_alone else {}
    sound = sound_for(container, codec, BASE_SECONDS)
    with TemporaryDirectory() as folder:
        path = make(Path(folder) / "base", container, sound, codec, **options)
        return path.read_bytes()


def _peak_bytes() -> int:
    """The most memory that this process, the parent of the decoder, has had so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
