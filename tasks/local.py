"""The executor that does the work in this process."""

import time
from collections.abc import Sequence

from tasks.busy import Busy
from tasks.cache import Cache
from tasks.extract import extract_unit
from tasks.tag import tag_unit
from tasks.tagger import Tagger, TaggerRequest
from tasks.units import UNITS_IN_FLIGHT, ExtractedUnit, TaggedUnit, unit_size

MOSTLY_BUSY = 0.9
"""A model that was busy for more than this share of a run waited for nothing worth reporting."""


class LocalExecutor:
    """Does the work in this process, with its decoder processes and one model.

    Args:
        cache: keeps results between runs; None keeps nothing.
    """

    units_in_flight = UNITS_IN_FLIGHT

    def __init__(self, cache: Cache | None) -> None:
        self._cache, self._computes_on, self._loads = cache, "", "its weights"
        self._started, self._loading, self._tagging = 0.0, Busy(), Busy()

    def find(self, request: TaggerRequest) -> Tagger:
        return Tagger.find(request)

    def start(self, tagger: Tagger) -> None:
        self._started, self._computes_on = time.monotonic(), tagger.computes_on
        if tagger.compile_model:
            self._loads = "its weights and compilation"
        tagger.start_loading()  # while the first unit is extracted

    def unit_size(self, tagger: Tagger, videos: int) -> int:
        return unit_size(tagger.device, tagger.windows)

    def extract(self, urls: Sequence[str], tagger: Tagger) -> ExtractedUnit:
        return extract_unit(urls, tagger, self._cache)

    def tag(self, unit: ExtractedUnit, tagger: Tagger) -> TaggedUnit:
        if not unit.extracted:  # known scores need no model
            return TaggedUnit(dict(unit.cached_scores))
        with self._loading.inside():
            tagger.load()
        with self._tagging.inside():
            return tag_unit(unit, tagger, self._cache)

    def describe(self) -> str:
        if not self._tagging.ended:
            return self._computes_on
        elapsed = max(self._tagging.ended - self._started, 1e-9)
        busy = min(1.0, self._tagging.seconds / elapsed)
        waited = ""
        if busy < MOSTLY_BUSY:
            loading = self._loading.seconds > (elapsed - self._tagging.seconds) / 2
            waited = f", waiting for {self._loads if loading else 'reading and decoding'}"
        return f"{self._computes_on}; busy {busy:.0%}{waited}"

    def close(self) -> None:
        """Do nothing: the decoder processes end with this one."""
