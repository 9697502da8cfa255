"""What runs on the machines of a cluster: plain functions and actors, by Ray's leave alone.

They know nothing of Prefect's server. What they need to know of the run comes with each call, and
not with the creation of a process: Ray keeps, and its dashboard shows, what that was given.
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
    """What every process of a run needs to know.

    Attributes:
        cache: URL of what is kept between runs; None keeps nothing.
        keep: what is kept there.
        cores: that the extraction of a unit uses.
        stores: environment variables of the stores, keys among them.
        index: the actor that looks scores up.
    """

    cache: str | None
    keep: Keep
    cores: float
    stores: Mapping[str, str] = field(repr=False)
    index: Any = None

    def open_cache(self) -> Cache | None:
        """Use the run's stores; return its cache, the same for every call in a process."""
        os.environ.update(self.stores)
        return None if self.cache is None else _cache(self.cache, self.keep)


@functools.cache
def _cache(url: str, keep: Keep) -> Cache:
    return Cache(url, keep)


class _LookedUpElsewhere(Cache):
    """A cache whose packs are known to an actor: reading the index of all of them takes minutes
    and memory when they are many, so one process of the run does it, not each."""

    def __init__(self, work: Work) -> None:
        super().__init__(str(work.cache), work.keep)
        self._work = work

    def find_packed(self, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = get(self._work.index.find.remote(self._work, keys))
        return found


class ScoreIndex:
    """Knows what is in the packs of the cache; one in a run."""

    def find(self, work: Work, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of those keys that are known."""
        cache = work.open_cache()
        return cache.find_packed(keys) if cache else {}


def extract(
    work: Work, urls: Sequence[str], tagger: Tagger
) -> tuple[tuple[ExtractedUnit, float], ExtractedUnit]:
    """Extract a unit. Returns the driver's copy (no clips; the seconds it took), and the unit."""
    started = time.monotonic()
    use_cores(work.cores)
    work.open_cache()
    cache = None if work.cache is None else _LookedUpElsewhere(work)
    unit = extract_unit(urls, tagger, cache)
    told = replace(unit, extracted=[replace(one, clips=Clips()) for one in unit.extracted])
    return (told, time.monotonic() - started), unit


class ModelActor:
    """A process with the model; Ray gives it a GPU, or cores, of its own."""

    def find(self, work: Work, request: TaggerRequest) -> Tagger:
        """Find the model and the device that it computes on."""
        work.open_cache()
        return Tagger.find(request)

    def load(self, work: Work, tagger: Tagger) -> str:
        """Load the model, and make sure that it is the run's.

        Returns:
            What came of compiling it, and on which machine; "" where nobody asked for it.

        Raises:
            ConfigurationError: it is another one, or none.
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
        """Tag a unit, which several tries may have extracted; and the seconds that it took."""
        started = time.monotonic()
        unit, *earlier = units
        for part in earlier:
            unit.add(part)
        tagged = tag_unit(unit, tagger, work.open_cache())
        # Of a unit that was extracted again since its clips were lost with a machine.
        tagged.failed += unit.failed
        return tagged, time.monotonic() - started


@dataclass(frozen=True)
class Inspected:
    """What a machine says of itself.

    Attributes:
        code: fingerprint of this package's code there.
        sees_cache: whether it finds in the cache what the driver wrote there.
        model: fingerprint of the model's folder; None where there is no such folder.
    """

    code: str
    sees_cache: bool
    model: str | None


def inspect(work: Work, probe: str, folder: str) -> Inspected:
    """Look at the machine that this runs on."""
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
