"""The functions and actors that run on the machines of a cluster.

They do not use Prefect's server. They get the settings of the run with each call, and not when a
process is created: Ray keeps the arguments of its creation, and its dashboard shows them.
"""

import functools
import hashlib
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tasks.audio.clips import Clips
from tasks.cache import Cache, Keep
from tasks.errors import ConfigurationError, TransientError
from tasks.extract import extract_unit, use_cores
from tasks.model.fingerprint import folder_fingerprint
from tasks.on_ray.waiting import get
from tasks.tag import tag_unit
from tasks.tagger import Tagger, TaggerRequest
from tasks.units import ExtractedUnit, TaggedUnit

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Work:
    """The settings that every process of a run needs.

    Attributes:
        cache: URL of the cache; None keeps nothing between runs.
        keep: what is kept in it.
        stores: environment variables for the stores, some of them secret keys.
        cores: cores that the extraction of a unit uses.
        index: the actor that looks up scores.
    """

    cache: str | None
    keep: Keep
    stores: Mapping[str, str] = field(repr=False)
    cores: float = 1.0
    index: Any = None

    def open_cache(self) -> Cache | None:
        """Set the variables of the stores; return the cache, one object for each process."""
        os.environ.update(self.stores)
        return None if self.cache is None else _cache(self.cache, self.keep)


@functools.cache
def _cache(url: str, keep: Keep) -> Cache:
    return Cache(url, keep)


class _CacheWithIndex(Cache):
    """A cache that asks an actor for the contents of packs: if there are many packs, reading their
    index takes minutes and memory, so only one process of the run does it."""

    def __init__(self, work: Work) -> None:
        super().__init__(str(work.cache), work.keep)
        self._work = work

    def find_packed(self, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = get(self._work.index.find.remote(self._work, keys))
        return found


class ScoreIndex:
    """Looks up what is in the packs of the cache; one actor for each run."""

    def find(self, work: Work, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of those keys that are known."""
        cache = work.open_cache()
        return cache.find_packed(keys) if cache else {}


def extract(
    work: Work, urls: Sequence[str], tagger: Tagger
) -> tuple[tuple[ExtractedUnit, float], ExtractedUnit]:
    """Extract a unit; return a copy for the driver (without clips, with seconds), and the unit."""
    started = time.monotonic()
    use_cores(work.cores)
    work.open_cache()
    cache = None if work.cache is None else _CacheWithIndex(work)
    unit = extract_unit(urls, tagger, cache)
    for_driver = replace(unit, extracted=[replace(one, clips=Clips()) for one in unit.extracted])
    return (for_driver, time.monotonic() - started), unit


class ModelActor:
    """A process with the model; Ray gives it a GPU, or cores, of its own."""

    def find(self, work: Work, request: TaggerRequest) -> Tagger:
        """Find the model and the device that it computes on."""
        work.open_cache()
        return Tagger.find(request)

    def load(self, work: Work, tagger: Tagger) -> str:
        """Load the model, if it is the one of the run.

        Returns:
            How compiling it ended, with the name of the machine; "" if it is not compiled.

        Raises:
            ConfigurationError: the machine has another model, or none.
        """
        work.open_cache()
        request = TaggerRequest(tagger.checkpoint.named, device=tagger.device, dtype=tagger.dtype)
        if Tagger.find(request).checkpoint.fingerprint != tagger.checkpoint.fingerprint:
            raise ConfigurationError(
                f"{tagger.checkpoint.named.hf_ast} is another model on the machine"
                f" {socket.gethostname()} than elsewhere in the Ray cluster."
            )
        said = tagger.load()
        return said and f"{socket.gethostname()}: {said}"

    def tag(self, work: Work, tagger: Tagger, *units: ExtractedUnit) -> tuple[TaggedUnit, float]:
        """Tag a unit, which several tries may have extracted; return also the seconds it took."""
        started = time.monotonic()
        unit, *earlier = units
        for part in earlier:
            unit.add(part)
        tagged = tag_unit(unit, tagger, work.open_cache())
        # Ray may have repeated an extraction whose clips were lost with a machine.
        tagged.failed += unit.failed
        return tagged, time.monotonic() - started


@dataclass(frozen=True)
class Inspected:
    """What a machine reports about itself.

    Attributes:
        code: fingerprint of this package's code there.
        sees_cache: whether it finds in the cache what the driver wrote there.
        model: fingerprint of the model's folder; None where there is no such folder.
    """

    code: str
    sees_cache: bool
    model: str | None


def inspect(work: Work, probe: str, folder: str) -> Inspected:
    """Inspect the machine that this runs on."""
    cache = work.open_cache()
    try:
        sees_cache = cache is None or cache.get(probe) is not None
    except TransientError:
        sees_cache = False
    return Inspected(code_fingerprint(), sees_cache, folder_fingerprint(Path(folder)))


def code_fingerprint() -> str:
    """Hash the code that does the work."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
