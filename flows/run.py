"""The steps of a run: list and plan, tag while manifests are merged, prune, report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from prefect import State, get_run_logger
from prefect.states import Completed

from flows.merging import Merging
from flows.outcome import DRY_RUN, Facts
from flows.pipeline import tag_units
from flows.show.artifacts import ProgressArtifact
from flows.show.background import background
from flows.show.examples import Examples
from flows.show.progress import on_terminal, track
from flows.show.report import write_report
from flows.summary import Summary
from tasks.cache import Cache
from tasks.errors import ConfigurationError, StorageError, TransientError
from tasks.executor import ManagedExecutor
from tasks.labels import TagOptions, provenance
from tasks.manifests import Fields, Retag
from tasks.plan import ManifestPlan, find_manifests, manifest_problem, plan
from tasks.pruning import prune_if_due
from tasks.shown import counted, shown_url
from tasks.storage import resolve
from tasks.tagger import Tagger, TaggerRequest
from tasks.videos import Videos


@dataclass
class Run:
    """A run: its settings, the parts that do the work, and its results so far.

    Attributes:
        request: the model, and how audio is prepared for it.
        fields: the fields of samples that are read and written.
        options: how scores become tags.
        retag: which tagged samples are tagged again.
        executor: extracts and tags.
        cache: the cache; None keeps nothing between runs.
        videos: the videos to tag; none before :meth:`plan`.
        summary: the counts.
        progress: shows the step of the run, then its pace.
        at_work: returns what the lines of progress say about the executor; by default nothing.
        tagger: the model that was found; None until it is needed.
        made_by: the provenance of new tags, if a field holds it.
        examples: the tagged videos that the report shows.
    """

    request: TaggerRequest
    fields: Fields
    options: TagOptions
    retag: Retag
    executor: ManagedExecutor
    cache: Cache | None
    videos: Videos
    summary: Summary
    progress: ProgressArtifact
    at_work: Callable[[], str] = str
    tagger: Tagger | None = None
    made_by: str | None = None
    examples: Examples | None = None

    def plan(
        self, manifests: Sequence[str], output: str | None, video_root: str | None
    ) -> list[ManifestPlan]:
        """List the manifests, and read from each which of its videos are to be tagged."""
        log = get_run_logger()
        self.progress.say("listing the manifests")
        with self.summary.timed("list and plan"):
            found = find_manifests(manifests, output, video_root)
        if self.fields.provenance:
            tagger, channels = self._find_model(), self.request.channels
            self.made_by = provenance(
                tagger.checkpoint, tagger.dtype, tagger.windows, channels, self.options, _version()
            )
        self.progress.say(f"reading {counted(len(found), 'manifest')}")
        with self.summary.timed("list and plan"):
            plans = plan(found, self.fields, self.videos, self.retag, self.made_by)
        self.summary.count_plans(plans, videos=len(self.videos))
        log.info("%s; to tag: %s", counted(len(plans), "manifest"), _to_tag(plans, self.summary))
        for one in plans:
            if one.error is not None:
                log.error("refused: %s", manifest_problem(one.manifest, one.error))
        return plans

    def tag(self, plans: Sequence[ManifestPlan], with_examples: bool) -> None:
        """Extract and tag the videos; merge each manifest as soon as its videos are settled."""
        merging = Merging(plans, self.fields, self.videos, self.retag, self.made_by)
        if self.summary.videos:
            if self.cache:
                self.cache.check()
            self._tag_videos(self._start_model(), merging, with_examples)
        else:
            self.progress.say("nothing to tag", percent=100.0)
        with self.summary.timed("finish the manifests"):
            for merged in merging.finish():
                self.summary.count_merged(merged)

    def _find_model(self) -> Tagger:
        if self.tagger is None:
            self.progress.say(f"finding the model {shown_url(self.request.checkpoint.hf_ast)}")
            with self.summary.timed("find the model"):
                self.tagger = self.executor.find(self.request)
        return self.tagger

    def _start_model(self) -> Tagger:
        tagger, log = self._find_model(), get_run_logger()
        how = "loading and compiling" if tagger.compile_model else "loading"
        self.progress.say(f"{how} the model for {counted(self.summary.videos, 'video')}")
        self.executor.start(tagger)
        self.summary.computed_on = self.executor.describe()
        log.info("the model computes on %s", self.summary.computed_on)
        if self.options.groups and (note := self.options.groups.check(tagger.labels)):
            log.warning(note)
        return tagger

    def _tag_videos(self, tagger: Tagger, merging: Merging, with_examples: bool) -> None:
        log = get_run_logger()
        activation, seconds = tagger.checkpoint.activation, tagger.window.seconds
        self.examples = Examples(tagger.labels, activation, seconds, self.options)
        with on_terminal(log.info) as shown:
            units = tag_units(self.videos, tagger, self.executor, self.options)
            for unit in track(units, self.summary.videos, [shown, self.progress], self.at_work):
                self.videos.settle(unit.settled())
                self.summary.count_unit(unit)
                if with_examples:
                    self.examples.add_all(unit.scores)
                merging.start_outside(unit.unsettled)
                for note in unit.notes():
                    log.warning(note)
        self.summary.computed_on = self.executor.describe()

    def prune(self, days: int) -> None:
        """Remove cache entries unused for ``days``; a refusal of the store is only logged."""
        log = get_run_logger()
        try:
            pruned = prune_if_due(self.cache, days) if self.cache else None
        except TransientError as error:
            log.warning("%s; a later run will remove old entries", error)
            return
        if pruned and pruned.entries:
            log.info("removed %s from the cache, unused for %d days", pruned, days)

    def report(self, target: str, state: State[Facts], with_sound: bool) -> None:
        """Write the page that shows the run; a refusal of the store is only logged."""
        log = get_run_logger()
        beside = background(self.tagger, self.examples, with_sound)
        try:
            url = write_report(self.summary, str(state.name), target, beside)
        except StorageError as error:
            log.warning("the report cannot be written to %s: %s", shown_url(target), error)
            return
        self.summary.report = shown_url(url)
        log.info("report: %s", self.summary.report)


def require_stores(*urls: str | None) -> None:
    """Refuse URLs of unknown stores now, and not after hours.

    Raises:
        ConfigurationError: no installed package can open one of the URLs.
    """
    for url in filter(None, urls):
        try:
            resolve(url)
        except StorageError as error:
            said = f"{shown_url(url)} cannot be opened: {error.reason}."
            raise ConfigurationError(said) from error


def would_tag(plans: Sequence[ManifestPlan], summary: Summary) -> State[Facts]:
    """Log what a run would tag, and return the final state of a dry run."""
    log = get_run_logger()
    for one in plans:
        if one.untagged:
            samples, where = counted(one.samples, "sample"), shown_url(one.manifest.url)
            log.info("would tag %d of %s in %s", one.untagged, samples, where)
    summary.problems = [
        manifest_problem(one.manifest, one.error) for one in plans if one.error is not None
    ]
    refused = f", and refuse {counted(len(summary.problems), 'manifest')}"
    would = f"would tag {_to_tag(plans, summary)}{refused if summary.problems else ''}"
    return Completed(name=DRY_RUN, message=would, data=summary.as_dict())


def _to_tag(plans: Sequence[ManifestPlan], summary: Summary) -> str:
    to_tag = sum(plan.untagged for plan in plans)
    of_all = f"{to_tag:,} of {counted(summary.samples, 'sample')}"
    return f"{of_all}, with {counted(summary.videos, 'video')}"


def _version() -> str:
    """Return the project's version; it is not known for a checkout that is not installed."""
    try:
        return version("video-audio-tags")
    except PackageNotFoundError:
        return "unknown"
