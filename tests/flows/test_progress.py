"""What a run says of itself before there is anything to count: in its log, and in Prefect's UI."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
)
from prefect.client.schemas.objects import Artifact

from flows.tag import tag_videos
from tests.audio.media import tone, write_media
from tests.flows.conftest import DEMO_MODEL, write_manifest

pytestmark = pytest.mark.usefixtures("prefect_server")


def flow_run(state: State[Any]) -> UUID:
    assert state.state_details.flow_run_id is not None
    return state.state_details.flow_run_id


def progress(state: State[Any]) -> Artifact:
    """The one progress artifact of a run, as Prefect's server has it."""
    of_run = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run(state)]),
        key=ArtifactFilterKey(any_=["tag-videos-progress"]),
    )
    with get_client(sync_client=True) as client:
        [found] = client.read_artifacts(artifact_filter=of_run)
    return found


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"label_map": "no-such.json"}, "checking the parameters"),
        ({"manifests": ["no-such.jsonl"]}, "listing the manifests"),
        ({"hf_ast": "empty"}, "finding the model empty"),
        ({"ray": "no-such-address"}, "connecting to the Ray cluster"),
    ],
)
def test_what_a_run_does_is_said_before_it_is_done(
    wrong: dict[str, Any],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where a run cannot go on, what it was at stands there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_manifest(tmp_path / "m.jsonl", [{"videos": ["a.mp4"]}])
    parameters: dict[str, Any] = {"manifests": ["m.jsonl"], "no_cache": True}
    state: State[Any] = tag_videos(**parameters | wrong, return_state=True)
    assert state.name == "Misconfigured"
    assert progress(state).description == said
    lines = [record.message for record in caplog.records if record.levelname == "INFO"]
    assert lines.index("checking the parameters") <= lines.index(said)


def test_the_progress_is_there_before_the_first_task(tmp_path: Path) -> None:
    write_media(tmp_path / "a.wav", tone(1, 16_000), 16_000, "pcm_s16le")
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["a.wav"]}])
    state: State[Any] = tag_videos([str(manifest)], DEMO_MODEL, no_cache=True, return_state=True)
    shown = progress(state)
    assert shown.data == 100
    assert str(shown.description).startswith("1 of 1 videos")
    of_run = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[flow_run(state)]))
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run(state))
        tasks = client.read_task_runs(task_run_filter=of_run)
    begun = [task.start_time for task in tasks if task.start_time]
    assert len(begun) == 3
    assert run.start_time is not None
    assert shown.created is not None
    assert run.start_time < shown.created < min(begun)
