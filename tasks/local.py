"""The executor that does the work in this process."""

from collections.abc import Sequence

from tasks.cache import Cache
from tasks.extract import extract_unit
from tasks.tag import tag_unit
from tasks.tagger import Tagger, TaggerRequest
from tasks.units import UNITS_IN_FLIGHT, ExtractedUnit, TaggedUnit, unit_size


class LocalExecutor:
    """Does the work in this process, with its decoder processes and one model.

    Args:
        cache: what is kept between runs; None keeps nothing.
    """

    units_in_flight = UNITS_IN_FLIGHT

    def __init__(self, cache: Cache | None) -> None:
        self._cache, self._computes_on = cache, ""

    def load(self, request: TaggerRequest) -> Tagger:
        tagger = Tagger.find(request)
        self._computes_on = tagger.computes_on
        tagger.start_loading()  # the first unit is extracted meanwhile
        return tagger

    def unit_size(self, tagger: Tagger, videos: int) -> int:
        return unit_size(tagger.device, tagger.windows)

    def extract(self, urls: Sequence[str], tagger: Tagger) -> ExtractedUnit:
        return extract_unit(urls, tagger, self._cache)

    def tag(self, unit: ExtractedUnit, tagger: Tagger) -> TaggedUnit:
        return tag_unit(unit, tagger, self._cache)

    def describe(self) -> str:
        return self._computes_on

    def close(self) -> None:
        """Nothing: the decoder processes end with this one."""
