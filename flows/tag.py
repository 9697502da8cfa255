"""The flow: list manifests, plan, extract audio, tag it, merge the tags.

``python flows/tag.py MANIFEST ...`` runs it here; deployments run ``flows/tag.py:tag_videos``.
"""

if __name__ == "__main__":  # before Prefect is imported: the first line is there at once
    import sys

    from flows.cli import main

    sys.exit(main())

import time
from contextlib import ExitStack, closing
from typing import Annotated, Literal

from prefect import State, flow, get_run_logger
from prefect.context import FlowRunContext
from prefect.runtime import deployment, flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.executors import start_executor
from flows.logs import forward_logs
from flows.outcome import Facts, Misconfigured, Unfinished, final_state
from flows.run import Run, require_stores, would_tag
from flows.show.artifacts import ProgressArtifact, publish
from flows.stopping import prompt_stop
from flows.summary import Summary
from flows.temporary import allow_time_to_start
from flows.variables import named_manifests, text_variable
from tasks.audio.window import parse_windows
from tasks.cache import Cache, Keep, default_cache
from tasks.errors import ClusterLost, ConfigurationError
from tasks.labels import LabelMap, TagOptions
from tasks.labels.tagging import Aggregate
from tasks.manifests import Fields, Retag
from tasks.model import DEFAULT_CHECKPOINT, CheckpointId, Dtype
from tasks.shown import shown_url, some
from tasks.storage import absolute
from tasks.tagger import TaggerRequest
from tasks.videos import Videos

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
    return some(list(map(shown_url, manifests)), 1)


@flow(
    name="tag-videos",
    flow_run_name=_run_name,
    # For merging, which goes on beside the units: these have a runner of their own.
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
    compile_model: bool = False,
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
) -> State[Facts]:
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
        trust_remote_code: Run Python code that comes with the model. Only for models you trust.
        tag_field_name: The field that the tags are written to.
        meta_field: Keep the tags inside this dict field of the sample (data-juicer's is
            `__dj__meta__`) instead of the top level.
        video_key: The field that holds the video paths.
        video_root: Base of relative video paths; by default the manifest's own folder.
        output: Folder for tagged copies; by default the manifests are replaced in place.
        channels: Use a mix of all channels, or only the first as data-juicer does.
        windows: What is classified: start is one window (as much as the model takes at a time) at
            the start of a video, a number N is N windows spread over it, all is all of it.
        label_map: A JSON or CSV file, path or URL, that names a group for each label of the model,
            or audioset for the map that comes with the project. Tags, scores and timelines then
            name groups.
        scores_field: A field for the best labels of each video with their scores, 0 to 1.
        top_k: How many labels the scores field holds at most.
        min_score: The lowest score in the scores field; the tag is there at any score.
        timeline_field: A field for the top label over time.
        provenance_field: A field for the model, its revision, and all else that decides the tags.
        aggregate: How the windows of a video become one score for each label: mean tells how much
            of the video has the label, max whether any window has it.
        batch_size: Clips that the model takes at a time; by default what fills the device.
        device: auto, cpu, cuda or cuda:N.
        dtype: What the model computes in; auto is bfloat16 where the device has
            instructions for it (a GPU, a CPU with AMX or AVX512-BF16), else float32.
        compile_model: Compile it when it is loaded, which takes a minute or two and a C++
            compiler; may gain in long runs.
        cache: Where scores and extracted audio are kept between runs; by default the deployment's
            variable tag_videos_cache, else a folder in the user's cache directory.
        keep: What the cache keeps of a video: tags is the scores, clips is all extracted audio too;
            auto is the scores, and in a local folder, without Ray, also the audio of the start.
        cache_days: Days after which unused entries are removed from the cache.
        no_cache: Keep nothing between runs.
        retag: Tag samples again that have tags; stale is only the samples that were tagged with
            other settings, as their provenance field tells.
        retry_failed: Decode again what failed before: by default a file that has not
            changed since the same decoder failed on it is not decoded.
        dry_run: Say what would be done, write nothing, load no model.
        max_failure_rate: Share of the samples to tag above which the run counts as failed; those
            that failed in the same way before do not count.
        report: Folder (or name ending with .html) for a page with the summary, and examples to
            listen to; a path or URL.
        report_sound: Whether the page holds the sound of its examples, at most 8 MB; off if the
            sound may not be copied.
        ray: Work on a Ray cluster: auto for the one that this machine is part of, HOST:PORT for
            another's head, local for all GPUs and cores of this machine.
    """
    started, summary, log = time.monotonic(), Summary(), get_run_logger()
    progress = ProgressArtifact()
    try:
        with prompt_stop(), forward_logs(log), ExitStack() as closed:
            progress.say("checking the parameters")
            manifests = named_manifests(manifests)
            hf_ast = hf_ast or text_variable("tag_videos_hf_ast") or DEFAULT_CHECKPOINT
            request = TaggerRequest(
                CheckpointId(hf_ast, revision, trust_remote_code),
                channels=channels,
                device=device,
                dtype=dtype,
                batch_size=batch_size,
                windows=parse_windows(windows),
                retry_failed=retry_failed,
                compile_model=compile_model,
            )
            fields = Fields(
                videos=video_key,
                tags=tag_field_name,
                meta=meta_field,
                scores=scores_field,
                timeline=timeline_field,
                provenance=provenance_field,
            )
            groups = LabelMap.load(label_map) if label_map else None
            asked = scores_field is not None, timeline_field is not None
            options = TagOptions(aggregate, top_k, min_score, groups, *asked)
            cache = cache or text_variable("tag_videos_cache")
            if ray and keep == "auto":
                keep = "tags"  # clips reach the model without a file
            kept = None if no_cache else Cache(absolute(cache or default_cache()), keep)
            require_stores(output, report, video_root)
            videos = closed.enter_context(closing(Videos()))
            if ray and not dry_run:
                progress.say("connecting to the Ray cluster")
            executor = start_executor(None if dry_run else ray, kept, log.info)
            closed.callback(executor.close)
            run = Run(request, fields, options, retag, executor, kept, videos, summary, progress)
            if ray:
                run.at_work = executor.describe

            plans = run.plan(manifests, output, video_root)
            if dry_run:
                return would_tag(plans, summary)
            run.tag(plans, with_examples=bool(report))
            run.prune(cache_days)
    except ConfigurationError as error:
        return Misconfigured(str(error), summary.as_dict()).state()
    except ClusterLost as error:
        summary.seconds = round(time.monotonic() - started, 3)
        return Unfinished(str(error), summary.as_dict()).state()
    summary.seconds = round(time.monotonic() - started, 3)
    if report:
        run.report(report, final_state(summary, max_failure_rate), with_sound=report_sound == "on")
    publish(summary)
    return final_state(summary, max_failure_rate)
