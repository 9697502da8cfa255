"""The flow: list manifests, plan, extract audio, tag it, merge the tags.

``python flows/tag.py MANIFEST ...`` runs it here; deployments run ``flows/tag.py:tag_videos``.
"""

if __name__ == "__main__":  # before Prefect is imported: the first line is there at once
    import sys

    from flows.cli import main

    sys.exit(main())

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from prefect import State, flow, get_run_logger
from prefect.context import FlowRunContext
from prefect.runtime import deployment, flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.executors import start_executor
from flows.logs import heard
from flows.merging import Merging
from flows.outcome import DRY_RUN, Misconfigured, final_state, is_news
from flows.pipeline import tag_units
from flows.show.artifacts import ProgressArtifact, publish
from flows.show.background import background
from flows.show.examples import Examples
from flows.show.progress import on_terminal, track
from flows.show.report import Background, write_report
from flows.stopping import prompt_stop
from flows.summary import Summary, counted
from flows.temporary import allow_time_to_start
from flows.variables import named_manifests, text_variable
from tasks.audio.window import Windows
from tasks.cache import Cache, Keep, default_cache
from tasks.errors import ConfigurationError, StorageError, TransientError
from tasks.labels import Answer, LabelMap, provenance
from tasks.labels.answer import Aggregate
from tasks.manifests import Fields, Retag
from tasks.model import DEFAULT_CHECKPOINT, CheckpointId, Dtype
from tasks.plan import ManifestPlan, Videos, explain, find_manifests, plan
from tasks.shown import shown_url
from tasks.storage import absolute, resolve
from tasks.tagger import Tagger, TaggerRequest

allow_time_to_start()


def _run_name() -> str:
    """Name a run after its manifests, unless a person has named it in the form or by command."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is not None and run.deployment_id and not run.auto_scheduled:
        return run.name
    manifests: list[str] = flow_run.parameters.get("manifests", [])
    if not manifests:  # the deployment's variable names them
        return f"{deployment.name} {flow_run.scheduled_start_time:%Y-%m-%d}"
    more = f" and {len(manifests) - 1} more" if len(manifests) > 1 else ""
    return f"{shown_url(manifests[0])}{more}"


@flow(
    name="tag-videos",
    flow_run_name=_run_name,
    # Of the merging, which goes on beside the units: those have a runner of their own.
    task_runner=ThreadPoolTaskRunner(max_workers=2),  # type: ignore[arg-type]
    persist_result=False,
    result_serializer="json",
)
def tag_videos(
    manifests: list[str] = [],  # noqa: B006 - never changed; the UI's form shows a list
    hf_ast: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    tag_field_name: Annotated[str, Field(min_length=1)] = "video_audio_tags",
    meta_field: str | None = None,
    video_key: Annotated[str, Field(min_length=1)] = "videos",
    video_root: str | None = None,
    output: str | None = None,
    channels: Literal["mix", "first"] = "mix",
    windows: Annotated[str, Field(pattern=r"^(start|all|[1-9]\d{0,3})$")] = "start",
    label_map: str | None = None,
    scores_field: str | None = None,
    top_k: Annotated[int, Field(ge=1)] = 5,
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.1,
    timeline_field: str | None = None,
    provenance_field: str | None = None,
    aggregate: Aggregate = "mean",
    batch_size: Annotated[int, Field(ge=1, le=1024)] | None = None,
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto",
    dtype: Dtype = "auto",
    cache: str | None = None,
    keep: Keep = "auto",
    cache_days: Annotated[int, Field(ge=1)] = 30,
    no_cache: bool = False,
    retag: Retag = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    max_failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.1,
    report: str | None = None,
    report_sound: Literal["on", "off"] = "on",
    ray: str | None = None,
) -> State[Any]:
    """Tag the videos of manifests by their sound.

    Every sample without tags gains one label a video, the top label of an audio classifier; a video
    without sound is tagged EMPTY. Samples that are tagged already are left as they are.

    Args:
        manifests: Manifest files, folders or globs; local paths or URLs such as
            s3://bucket/manifests/*.jsonl. A deployment's runs take those of the server's variable
            tag_videos_manifests when none are named here.
        hf_ast: The model: an id on the Hugging Face hub or a local folder; by default the
            deployment's variable tag_videos_hf_ast, else MIT/ast-finetuned-audioset-10-10-0.4593.
        revision: Branch, tag or commit of a hub model.
        trust_remote_code: Run Python code that the model brings along. Only for models you trust.
        tag_field_name: The field that the tags are written to.
        meta_field: Keep the tags inside this dict field of the sample (data-juicer's is
            `__dj__meta__`) instead of the top level.
        video_key: The field that holds the video paths.
        video_root: Base of relative video paths; by default the manifest's own folder.
        output: Folder for tagged copies; by default the manifests are replaced in place.
        channels: Hear a mix of all channels, or only the first as data-juicer does.
        windows: How much of a video is heard: its start, as much as the model takes at a time; that
            many such windows spread over it; or all of it.
        label_map: A JSON or CSV file, path or URL, that names a group for each label of the model,
            or audioset, which ships: tags, scores and timelines are of groups then.
        scores_field: A field for the best labels of each video with their scores, 0 to 1.
        top_k: The most labels among the scores.
        min_score: The least score of a label among them; the tag is there in any case.
        timeline_field: A field for which label comes first when.
        provenance_field: A field for the model, its revision, and all else that decides the tags.
        aggregate: How windows become one score a label: mean is how much of the video it is, max
            whether it is in there at all.
        batch_size: Clips that the model takes at a time; by default what fills the device.
        device: auto, cpu, cuda or cuda:N.
        dtype: What the model computes in; auto is bfloat16 where the device has
            instructions for it (a GPU, a CPU with AMX or AVX512-BF16), else float32.
        cache: Where scores and extracted audio are kept between runs; by default the deployment's
            variable tag_videos_cache, else a folder in the user's cache directory.
        keep: What a video leaves in the cache: tags is what the model said of it, clips its
            extracted audio too; auto is clips where the cache is a local folder.
        cache_days: Days after which what nobody used is removed from the cache.
        no_cache: Keep nothing between runs.
        retag: Tag again what is tagged already; stale is what the provenance field says was tagged
            in another way.
        retry_failed: Decode again what failed before: by default a file that has not
            changed since the same decoder failed on it is not decoded.
        dry_run: Say what would be done, write nothing, load no model.
        max_failure_rate: Share of the samples to tag above which the run counts as failed; those
            that failed in the same way before do not count.
        report: Folder (or name ending with .html) for a page with the summary, and examples to
            listen to; a path or URL.
        report_sound: Whether the page holds sound of the examples, at most 8 MB; off is for those
            who may not copy sound.
        ray: Work on a Ray cluster: auto for the one that this machine is part of, HOST:PORT for
            another's head, local for all GPUs and cores of this machine.
    """
    started, log = time.monotonic(), get_run_logger()
    # A line for each of thousands of task runs tells nobody anything.
    logging.getLogger("prefect.task_runs").setLevel(logging.WARNING)
    logging.getLogger("prefect.flow_runs").addFilter(is_news)
    summary, progress = Summary(), ProgressArtifact()
    tagger: Tagger | None = None
    examples: Examples | None = None
    try:
        manifests = named_manifests(manifests)
        hf_ast = hf_ast or text_variable("tag_videos_hf_ast") or DEFAULT_CHECKPOINT
        cache = cache or text_variable("tag_videos_cache")
        with (
            prompt_stop(),
            heard(log),
            closing(Videos()) as videos,
            ExitStack() as closed,
        ):
            log.info("listing the manifests")
            progress.say("listing the manifests")
            fields = Fields(
                video_key,
                tag_field_name,
                meta_field,
                scores_field,
                timeline_field,
                provenance_field,
            )
            answer = _answer(fields, label_map, aggregate, top_k, min_score)
            if ray and keep == "auto":
                keep = "tags"  # clips reach the model without a file
            kept = None if no_cache else Cache(absolute(cache or default_cache()), keep)
            # What no store speaks is refused now, not after hours.
            for url in filter(None, (output, report, video_root)):
                _require_store(url)
            executor = start_executor(None if dry_run else ray, kept, log.info)
            closed.callback(executor.close)
            # List and plan.
            found = find_manifests(manifests, output, video_root)
            checkpoint = CheckpointId(hf_ast, revision, trust_remote_code)
            request = TaggerRequest(
                checkpoint, channels, device, dtype, batch_size, _windows(windows), retry_failed
            )
            made_by = None
            if provenance_field:
                tagger = Tagger.find(request) if dry_run else executor.load(request)
                made_by = provenance(
                    tagger.checkpoint, tagger.dtype, tagger.windows, channels, answer, _version()
                )
            log.info("reading %s", counted(len(found), "manifest"))
            plans = plan(found, fields, videos, retag, made_by)
            summary.count_plans(plans, videos=len(videos))
            summary.spent("list and plan", time.monotonic() - started)
            _announce(plans, summary, dry_run)
            if dry_run:
                return _dry_run(plans, summary)
            merging = Merging(plans, fields, videos, retag, made_by)
            if summary.videos:
                if kept:
                    kept.check()
                # Extract and tag, a few units at a time; merge the manifests that are ready.
                log.info("loading the model %s", shown_url(hf_ast))
                progress.say("loading the model")
                with summary.timed("find the model"):
                    tagger = tagger or executor.load(request)
                summary.computed_on = executor.describe()
                log.info("the model computes on %s", summary.computed_on)
                if answer.groups and (note := answer.groups.check(tagger.labels)):
                    log.warning(note)
                examples = Examples(
                    tagger.labels, tagger.checkpoint.activation, tagger.window.seconds, answer
                )
                with on_terminal(log.info) as shown:
                    units = tag_units(videos, tagger, executor, answer)
                    at_work = executor.describe if ray else str
                    for unit in track(units, summary.videos, [shown, progress], at_work):
                        videos.settle(unit.settled())
                        summary.count_unit(unit)
                        if report:
                            examples.add_all(unit.scores)
                        merging.start_outside(unit.unsettled)
                        for note in unit.notes():
                            log.warning(note)
                summary.computed_on = executor.describe()
            else:
                progress.say("nothing to tag", percent=100.0)
            with summary.timed("finish the manifests"):
                for merged in merging.finish():
                    summary.count_merged(merged)
            if kept:
                _prune(kept, cache_days)
    except ConfigurationError as error:
        return Misconfigured(str(error), summary.as_dict()).state()
    summary.seconds = round(time.monotonic() - started, 3)
    if report:
        shown_beside = background(tagger, examples, with_sound=report_sound == "on")
        _report(summary, max_failure_rate, report, shown_beside)
    publish(summary)
    return final_state(summary, max_failure_rate)


def _answer(
    fields: Fields, label_map: str | None, aggregate: Aggregate, top_k: int, min_score: float
) -> Answer:
    return Answer(
        aggregate,
        top_k,
        min_score,
        groups=LabelMap.load(label_map) if label_map else None,
        scores=fields.scores is not None,
        timeline=fields.timeline is not None,
    )


def _windows(text: str) -> Windows:
    """Return what ``windows`` means; one window is the start."""
    if text in ("start", "1"):
        return "start"
    return "all" if text == "all" else int(text)


def _version() -> str:
    """Return the project's version; of a checkout that is not installed nobody knows it."""
    try:
        return version("video-audio-tags")
    except PackageNotFoundError:
        return "unknown"


def _require_store(url: str) -> None:
    try:
        resolve(url)
    except StorageError as error:
        raise ConfigurationError(f"{shown_url(url)} cannot be opened: {error.reason}.") from error


def _prune(cache: Cache, days: int) -> None:
    log = get_run_logger()
    try:
        pruned = cache.prune_if_due(days)
    except TransientError as error:
        log.warning("%s; it is pruned another time", error)
        return
    if pruned.entries:
        log.info("removed %s from the cache, unused for %d days", pruned, days)


def _report(
    summary: Summary, max_failure_rate: float, target: str, shown_beside: Background
) -> None:
    log = get_run_logger()
    try:
        state = final_state(summary, max_failure_rate).name
        summary.report = shown_url(write_report(summary, str(state), target, shown_beside))
        log.info("report: %s", summary.report)
    except StorageError as error:
        log.warning("the report cannot be written: %s", error)


def _announce(plans: Sequence[ManifestPlan], summary: Summary, dry_run: bool) -> None:
    log = get_run_logger()
    log.info("%s; to tag: %s", counted(len(plans), "manifest"), _todo(plans, summary))
    for one in plans:
        if one.error is not None:
            log.error("refused: %s", explain(one.manifest, one.error))
        elif dry_run and one.untagged:
            where = shown_url(one.manifest.url)
            log.info(
                "would tag %d of %s in %s", one.untagged, counted(one.samples, "sample"), where
            )


def _dry_run(plans: Sequence[ManifestPlan], summary: Summary) -> State[Any]:
    """Return the state that says what would be done, and how much would be refused."""
    summary.problems = [explain(one.manifest, one.error) for one in plans if one.error is not None]
    refused = f", and refuse {counted(len(summary.problems), 'manifest')}"
    would = f"would tag {_todo(plans, summary)}{refused if summary.problems else ''}"
    return Completed(name=DRY_RUN, message=would, data=summary.as_dict())


def _todo(plans: Sequence[ManifestPlan], summary: Summary) -> str:
    to_tag = sum(plan.untagged for plan in plans)
    of_all = f"{to_tag:,} of {counted(summary.samples, 'sample')}"
    return f"{of_all}, with {counted(summary.videos, 'video')}"
