"""The executor that the flow calls, in the process of the flow."""

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import ObjectRef

from tasks.cache import Cache
from tasks.errors import ConfigurationError
from tasks.on_ray.cluster import share_out
from tasks.on_ray.connecting import connect
from tasks.on_ray.inspection import inspect_machines
from tasks.on_ray.pool import ModelPool
from tasks.on_ray.remote import ModelActor, ScoreIndex, Work, extract
from tasks.on_ray.starting import first_answer
from tasks.on_ray.waiting import Lifeline, Slots, ray_errors
from tasks.on_ray.watching import Watch
from tasks.tagger import Tagger, TaggerRequest
from tasks.units import MIN_UNIT, ExtractedUnit, TaggedUnit, windows_each

GPU_UNIT = 1_024
"""Videos in a unit on GPUs: one driver and one Prefect server then serve 12,000 videos/s."""

CPU_UNIT = 64
# Windows in a video of ten minutes.
_WINDOWS_OF_ALL = 60
# Units for each tagger, at least: a small run, too, has work for all taggers.
_UNITS_EACH = 4

_LEAVE_SECONDS = 10.0
MAX_SHORT_SECONDS = 1_800.0
"""How long a run waits for a machine that it cannot do without."""

# A spot machine may be taken away again and again.
_RETRIES = 10

# Variables of the driver's environment with the stores' addresses and keys. Not the ones that name
# a file or a profile: these differ between machines.
_STORES = (
    "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN",
)  # fmt: skip

_remote: Any = ray.remote  # its types do not allow the options of a class


@dataclass
class StoredUnit(ExtractedUnit):
    """An extracted unit whose clips are in Ray's object store; here is everything else.

    Attributes:
        stored: Ray's references to the unit with its clips; several if it took several tries.
    """

    stored: list["ObjectRef[ExtractedUnit]"] = field(default_factory=list)

    def add(self, earlier: ExtractedUnit) -> None:
        super().add(earlier)
        if isinstance(earlier, StoredUnit):
            self.stored += earlier.stored

    def drop_clips(self) -> None:
        self.stored.clear()


class RayExecutor:
    """Extracts on the cores of a cluster and tags on its GPUs, or on cores where it has none.

    Args:
        address: ``local``, ``auto`` or ``HOST:PORT``.
        cache: the cache; None keeps nothing between runs.
        say: is called with each message about the cluster.

    Raises:
        ConfigurationError: there is no such cluster.
    """

    def __init__(self, address: str, cache: Cache | None, say: Callable[[str], None]) -> None:
        connect(address)
        self._cache, self._say = cache, say
        self._lifeline = Lifeline()
        self._watch = Watch(self._lifeline)
        self._short, self._short_since = "", 0.0  # what the cluster lacks, and since when
        self._extracting = self._tagging = 0.0  # seconds of work

    def find(self, request: TaggerRequest) -> Tagger:
        folder = Path(request.checkpoint.hf_ast)
        if folder.is_dir():  # a relative path means nothing elsewhere
            named = replace(request.checkpoint, hf_ast=str(folder.absolute()))
            request = replace(request, checkpoint=named)
        cache = self._cache
        self._work = Work(
            cache=cache.url if cache else None,
            keep=cache.keep if cache else "tags",
            stores={name: os.environ[name] for name in _STORES if name in os.environ},
        )
        if cache:
            # Its calls only read, so that any of them may be repeated.
            index = _remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, max_concurrency=8)
            self._work = replace(self._work, index=index(ScoreIndex).remote())
        while True:
            self._machines = self._watch.machines
            self._shares = share_out(self._machines, request.device)
            self._work = replace(self._work, cores=self._shares.unit_cores)
            shared = self._shares.in_words(len(self._machines))
            self._say(f"{shared}: starting processes, and checking each machine")
            model = request.checkpoint.hf_ast
            inspect_machines(self._machines, self._work, cache, model, self._lifeline)
            self._actors = [self._start_actor() for _ in range(self._shares.taggers)]
            if tagger := self._ask_model(request):
                self._device = "cuda" if self._shares.tagger_gpus else "cpu"
                return tagger
            for one in self._actors:
                self._lifeline.ask(partial(ray.kill, one))

    def _start_actor(self) -> Any:
        # Restarts are not limited: a machine may come back again and again. The pool repeats a call
        # that dies with its actor on another one; Ray would wait for the lost GPU.
        size = {"num_gpus": self._shares.tagger_gpus, "num_cpus": self._shares.tagger_cores}
        return _remote(**size, max_restarts=-1, max_task_retries=0)(ModelActor).remote()

    def _ask_model(self, request: TaggerRequest) -> Tagger | None:
        """Ask the first actor that is up for the model; None if the cluster needs other actors."""
        return first_answer(
            self._actors,
            lambda one: one.find.remote(self._work, request).future(),
            lambda: not self._shares.fit(share_out(self._watch.machines, request.device)),
            self._lifeline,
            self._say,
        )

    def start(self, tagger: Tagger) -> None:
        self._tagger, self._stored_tagger = tagger, ray.put(tagger)
        # Extraction does not need the feature extractor, which is large.
        self._settings = replace(tagger, checkpoint=replace(tagger.checkpoint, extractor=None))
        self._extract = _remote(
            num_cpus=self._shares.unit_cores,
            num_returns=2,
            max_retries=_RETRIES,
            scheduling_strategy="SPREAD",
        )(extract)
        self._slots = Slots(self._shares.extractors, self._lifeline)
        self._pool = ModelPool(
            self._start_actor,
            lambda one: one.load.remote(self._work, self._stored_tagger),
            self._lifeline,
            self._say,
        )
        if tagger.compile_model:
            self._say("each process with the model compiles it first, which takes a minute or two")
        for one in self._actors:
            self._pool.add(one)
        self._started = time.monotonic()
        self._watch.adapt = self._adapt

    def _adapt(self) -> None:
        """Use machines that have joined, and do without those that are lost."""
        there, before = self._watch.machines, self._shares
        if {one.node for one in there} == {one.node for one in self._machines}:
            if self._short_since and time.monotonic() - self._short_since > MAX_SHORT_SECONDS:
                self._lifeline.lose(self._short)
            return
        self._machines = there
        try:
            now = share_out(there, self._device, before.unit_cores)
        except ConfigurationError as error:
            self._short, self._short_since = str(error), self._short_since or time.monotonic()
            limit = f"at most {MAX_SHORT_SECONDS / 60:g} minutes"
            self._say(f"the cluster changed: {error} The run waits for a machine, {limit}.")
            return
        self._short_since = 0.0
        suited = before.fit(now)
        self._shares = replace(now, tagger_cores=before.tagger_cores) if suited else now
        self._say(f"the cluster changed: {now.in_words(len(there))}")
        self._slots.limit = now.extractors
        self._pool.resize(now.taggers, anew=not suited)

    @property
    def units_in_flight(self) -> int:
        return self._shares.units_in_flight

    def unit_size(self, tagger: Tagger, videos: int) -> int:
        share = math.ceil(videos / (_UNITS_EACH * self._shares.taggers))
        largest = GPU_UNIT if self._shares.tagger_gpus else CPU_UNIT
        # Each window of a video is a clip in the store.
        each = windows_each(tagger.windows, _WINDOWS_OF_ALL)
        return max(MIN_UNIT, min(largest // each, share))

    def extract(self, urls: Sequence[str], tagger: Tagger) -> ExtractedUnit:
        with self._slots, ray_errors("extracts", self._lifeline, self._say):
            extract = partial(self._extract.remote, self._work, urls, self._settings)
            for_driver, stored = self._lifeline.ask(extract)
            unit, seconds = self._lifeline.wait(for_driver)
        self._extracting += seconds
        return StoredUnit(unit.cached_scores, unit.extracted, unit.failed, unit.unkept, [stored])

    def tag(self, unit: ExtractedUnit, tagger: Tagger) -> TaggedUnit:
        assert isinstance(unit, StoredUnit)
        if not unit.extracted:
            return TaggedUnit(dict(unit.cached_scores))
        with ray_errors("tags", self._lifeline, self._say):
            tagged, seconds = self._pool.call(
                lambda actor: actor.tag.remote(self._work, self._stored_tagger, *unit.stored)
            )
        self._tagging += seconds
        reported = {one.url for one in unit.failed}
        failed = [one for one in tagged.failed if one.url not in reported]
        return TaggedUnit(tagged.scores, failed, tagged.unkept)

    def describe(self) -> str:
        computes_on = f"{self._shares.in_words(len(self._machines))}: {self._tagger.computes_on}"
        if not self._tagging:
            return computes_on
        elapsed = time.monotonic() - self._started
        tagging = self._tagging / max(self._pool.ready_seconds(), 1e-9)
        extracting = self._extracting / (elapsed * self._shares.extractors)
        return f"{computes_on}; {busy(min(1, tagging), min(1, extracting))}"

    def close(self) -> None:
        """Refuse further calls, and leave the cluster: Ray ends the run's tasks and actors."""
        self._lifeline.close()
        # On a thread, since it would wait for a head that has died.
        leaving = threading.Thread(target=ray.shutdown, name="leave cluster", daemon=True)
        leaving.start()
        leaving.join(_LEAVE_SECONDS)


def busy(tagging: float, extracting: float) -> str:
    """Say how busy both stages were, as shares of their time, and what the run waited for."""
    waited_for = "tagging" if tagging > extracting else "extraction"
    if max(tagging, extracting) <= 0.5:  # units come more slowly than they could be worked on
        waited_for = "the run's own process"
    return f"tagging {tagging:.0%} busy, extraction {extracting:.0%}, waited for {waited_for}"
