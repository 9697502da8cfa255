"""The executor that the flow calls, in the process of the flow."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import RayError

from tasks.cache import Cache
from tasks.errors import TaggingError, TransientError
from tasks.on_ray.cluster import machines, share_out
from tasks.on_ray.connecting import connect
from tasks.on_ray.inspection import inspect_machines
from tasks.on_ray.pool import ModelPool
from tasks.on_ray.remote import ModelActor, ScoreIndex, Work, extract
from tasks.on_ray.starting import first_answer
from tasks.on_ray.waiting import Lifeline, Slots
from tasks.tagger import Tagger, TaggerRequest
from tasks.units import MIN_UNIT, ExtractedUnit, TaggedUnit, windows_each

GPU_UNIT = 1_024
"""Videos in a unit on GPUs: one driver and one Prefect server then serve 12,000 videos/s."""

CPU_UNIT = 64
# Windows in a video of ten minutes.
_WINDOWS_OF_ALL = 60
# Units for each tagger, at least: a small run, too, has work for all taggers.
_UNITS_EACH = 4

_WATCH_SECONDS = 5.0
_LEAVE_SECONDS = 10.0
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
        self._extracting = self._tagging = 0.0  # seconds of work

    def find(self, request: TaggerRequest) -> Tagger:
        folder = Path(request.checkpoint.hf_ast)
        if folder.is_dir():  # a relative path means nothing elsewhere
            named = replace(request.checkpoint, hf_ast=str(folder.absolute()))
            request = replace(request, checkpoint=named)
        self._device, self._machines = request.device, machines()
        self._lifeline.beat()  # nothing asked the head while manifests were read
        self._shares = share_out(self._machines, request.device)
        stores = {name: os.environ[name] for name in _STORES if name in os.environ}
        cache = self._cache
        self._work = Work(
            cache=cache.url if cache else None,
            keep=cache.keep if cache else "tags",
            cores=self._shares.unit_cores,
            stores=stores,
        )
        model = request.checkpoint.hf_ast
        self._say(f"{self._describe_machines()}: starting processes, and checking each machine")
        inspect_machines(self._machines, self._work, self._cache, model, self._lifeline)
        if self._cache:
            # Its calls only read, so that any of them may be repeated.
            index = _remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, max_concurrency=8)
            self._work = replace(self._work, index=index(ScoreIndex).remote())
        return self._ask_model(request)

    def _ask_model(self, request: TaggerRequest) -> Tagger:
        """Start the actors, and ask the first that is up for the model."""
        shares = self._shares
        # Restarts are not limited: a machine may come back again and again. The pool repeats a call
        # that dies with its actor on another one; Ray would wait for the lost GPU.
        self._actor = _remote(
            num_gpus=shares.tagger_gpus,
            num_cpus=shares.tagger_cores,
            max_restarts=-1,
            max_task_retries=0,
        )(ModelActor)
        self._actors = [self._actor.remote() for _ in range(shares.taggers)]
        return first_answer(
            self._actors,
            lambda one: one.find.remote(self._work, request).future(),
            self._lifeline,
            self._say,
        )

    def start(self, tagger: Tagger) -> None:
        shares = self._shares
        self._lifeline.beat()  # manifests may have been read since find()
        self._tagger, self._stored_tagger = tagger, ray.put(tagger)
        # Extraction does not need the feature extractor, which is large.
        self._settings = replace(tagger, checkpoint=replace(tagger.checkpoint, extractor=None))
        self._extract = _remote(
            num_cpus=shares.unit_cores,
            num_returns=2,
            max_retries=_RETRIES,
            scheduling_strategy="SPREAD",
        )(extract)
        self._slots = Slots(shares.extractors, self._lifeline)
        self._pool = ModelPool(
            self._actor.remote,
            lambda one: one.load.remote(self._work, self._stored_tagger),
            self._lifeline,
            self._say,
        )
        if tagger.compile_model:
            self._say("each process with the model compiles it first, which takes a minute or two")
        for one in self._actors:
            self._pool.add(one)
        self._started = time.monotonic()
        threading.Thread(target=self._watch, name="watch cluster", daemon=True).start()

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
        with self._slots, _ray_errors("extracts"):
            extract = partial(self._extract.remote, self._work, urls, self._settings)
            for_driver, stored = self._lifeline.ask(extract)
            unit, seconds = self._lifeline.wait(for_driver)
        self._extracting += seconds
        return StoredUnit(unit.cached_scores, unit.extracted, unit.failed, unit.unkept, [stored])

    def tag(self, unit: ExtractedUnit, tagger: Tagger) -> TaggedUnit:
        assert isinstance(unit, StoredUnit)
        if not unit.extracted:
            return TaggedUnit(dict(unit.cached_scores))
        with _ray_errors("tags"):
            tagged, seconds = self._pool.call(
                lambda actor: actor.tag.remote(self._work, self._stored_tagger, *unit.stored)
            )
        self._tagging += seconds
        reported = {one.url for one in unit.failed}
        failed = [one for one in tagged.failed if one.url not in reported]
        return TaggedUnit(tagged.scores, failed, tagged.unkept)

    def describe(self) -> str:
        computes_on = f"{self._describe_machines()}: {self._tagger.computes_on}"
        if not self._tagging:
            return computes_on
        elapsed = time.monotonic() - self._started
        tagging = self._tagging / max(self._pool.ready_seconds(), 1e-9)
        extracting = self._extracting / (elapsed * self._shares.extractors)
        return f"{computes_on}; {busy(min(1, tagging), min(1, extracting))}"

    def _describe_machines(self) -> str:
        machines, taggers = len(self._machines), self._shares.taggers
        what = "GPU" if self._shares.tagger_gpus else "tagging process"
        plural = "es" if what.endswith("s") else "s"
        return (
            f"{machines} machine{'s' * (machines != 1)}, {taggers} {what}{plural * (taggers != 1)}"
        )

    def _watch(self) -> None:
        """Poll the cluster: use machines that join, and note that the head answers."""
        while not self._lifeline.closed:
            with suppress(RayError, TaggingError, OSError):
                there = machines()
                self._lifeline.beat()
                shares = share_out(there, self._device)
                if {one.node for one in there} != {one.node for one in self._machines}:
                    self._machines, self._shares = there, shares
                    self._say(f"the cluster changed: {self._describe_machines()}")
                    self._slots.limit = shares.extractors
                    self._pool.resize(shares.taggers)
            time.sleep(_WATCH_SECONDS)

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


@contextmanager
def _ray_errors(what: str) -> Iterator[None]:
    """Translate Ray's errors in the block: a process was lost, the videos are not at fault."""
    try:
        yield
    except RayError as error:
        how = type(error).__name__  # Ray's sentence is about gRPC
        raise TransientError(f"the process that {what} this unit was lost ({how})") from error
