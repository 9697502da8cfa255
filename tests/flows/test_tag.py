"""The flow as a whole: right tags, nothing lost, nothing done twice."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterFlowRunId

from flows.outcome import RunFailed
from flows.tag import tag_videos
from tasks.audio.pool import DecoderPool
from tests.audio.media import melody, tone, write_media
from tests.conftest import S3Server
from tests.flows.conftest import DEMO, DEMO_MODEL, read_manifest, write_manifest

# S3 first: the decoder processes take over the environment that they are started in.
pytestmark = pytest.mark.usefixtures("s3", "prefect_server")


def run(*manifests: Path | str, cache: Path | str, **parameters: Any) -> State[Any]:
    settings = {"hf_ast": DEMO_MODEL, "cache": str(cache)} | parameters
    state: State[Any] = tag_videos(
        manifests=[str(manifest) for manifest in manifests], **settings, return_state=True
    )
    return state


def counts(state: State[Any]) -> dict[str, Any]:
    result = state.result(raise_on_failure=False)
    facts = result.facts if isinstance(result, RunFailed) else result
    assert isinstance(facts, dict), state
    return facts


def task_runs(state: State[Any]) -> Counter[tuple[str, str]]:
    """How many runs of each task ended in which state."""
    flow_run_id = state.state_details.flow_run_id
    assert isinstance(flow_run_id, UUID)
    of_flow = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(task_run_filter=of_flow)
    return Counter(
        (run.name.split(" ")[0], run.state.name or "") for run in runs if run.state is not None
    )


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A copy of the demo."""
    shutil.copytree(DEMO / "videos", tmp_path / "videos")
    return Path(shutil.copy(DEMO / "manifest.jsonl", tmp_path))


EXPECTED = {
    "speech": ["Speech"],
    "telephone": ["Speech"],
    "music": ["Music"],
    "tone": ["Sine wave"],
    "beeps": ["Beep, bleep"],
    "noise": ["Noise"],
    "silence": ["Silence"],
    "no-audio": ["EMPTY"],
    "several": ["Music", "EMPTY", "Speech"],
    "already-tagged": ["Music"],
    "no-videos": [],
}


def test_the_demo_is_tagged_right_and_a_second_run_does_nothing(demo: Path, tmp_path: Path) -> None:
    before = read_manifest(demo)
    state = run(demo, cache=tmp_path / "cache")
    after = read_manifest(demo)
    assert {sample["id"]: sample["video_audio_tags"] for sample in after} == EXPECTED
    assert [sample | {"video_audio_tags": 0} for sample in before] == [
        sample | {"video_audio_tags": 0} for sample in after
    ]
    assert state.name == "Completed"
    first = counts(state)
    assert (first["samples"], first["tagged"], first["skipped"], first["failed"]) == (11, 10, 1, 0)
    assert (first["videos"], first["empty"], first["cached"]) == (8, 1, 0)
    assert first["bytes_read"] > 0

    content, changed = demo.read_bytes(), demo.stat().st_mtime_ns
    state = run(demo, cache=tmp_path / "cache")
    assert state.name == "Completed"
    assert (counts(state)["skipped"], counts(state)["videos"]) == (11, 0)
    assert (demo.read_bytes(), demo.stat().st_mtime_ns) == (content, changed)
    assert not task_runs(state)


def test_tagging_again_reads_no_video(demo: Path, tmp_path: Path) -> None:
    run(demo, cache=tmp_path / "cache")
    tagged = demo.read_bytes()
    state = run(demo, cache=tmp_path / "cache", retag=True, batch_size=3)
    assert demo.read_bytes() == tagged
    assert (counts(state)["cached"], counts(state)["bytes_read"]) == (8, 0)
    assert task_runs(state) == {
        ("extract", "Cached"): 1,
        ("tag", "Cached"): 1,
        ("merge", "Completed"): 1,
    }


def test_a_bad_video_costs_its_own_sample(tmp_path: Path) -> None:
    write_media(tmp_path / "good.mp4", tone(11, 44_100))
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video")
    manifest = write_manifest(
        tmp_path / "m.jsonl",
        [
            {"videos": ["good.mp4"]},
            {"videos": ["good.mp4", "gone.mp4"]},
            {"videos": ["zero.mp4"]},
            {"videos": ["text.mp4"]},
            {"videos": 5},
            {"videos": ["good.mp4"]},
        ],
    )
    state = run(manifest, cache=tmp_path / "cache")
    tags = [sample.get("video_audio_tags") for sample in read_manifest(manifest)]
    assert tags == [["Sine wave"], None, None, None, None, ["Sine wave"]]
    assert state.name == "TooManyFailures"
    assert state.is_failed()
    assert (counts(state)["tagged"], counts(state)["failed"]) == (2, 4)
    failures = counts(state)["failures"]
    assert {error: group["videos"] for error, group in failures.items()} == dict.fromkeys(
        ("missing", "empty-file", "not-media", "malformed"), 1
    )
    assert failures["malformed"]["examples"][0].startswith(f"{manifest}, line 5: ")
    ledger = read_manifest(tmp_path / "m.jsonl.failures")
    assert [(entry["line"], entry["error"]) for entry in ledger] == [
        (2, "missing"),
        (3, "empty-file"),
        (4, "not-media"),
        (5, "malformed"),
    ]
    assert ledger[0]["video"] == str(tmp_path / "gone.mp4")
    assert [str(entry["content"]).split(",")[0] for entry in ledger] == [
        "None", "0 bytes", "11 bytes", "None"]  # fmt: skip
    assert all(entry["manifest"] == str(manifest) and entry["reason"] for entry in ledger)

    # The next run tries again, and only those.
    for name in ("gone.mp4", "zero.mp4", "text.mp4"):
        shutil.copy(tmp_path / "good.mp4", tmp_path / name)
    state = run(tmp_path, cache=tmp_path / "cache", max_failure_rate=0.5)
    assert state.name == "Partial"
    assert (counts(state)["tagged"], counts(state)["skipped"], counts(state)["failed"]) == (3, 2, 1)
    assert [entry["line"] for entry in read_manifest(tmp_path / "m.jsonl.failures")] == [5]


def test_known_failures_do_not_turn_every_later_night_red(tmp_path: Path) -> None:
    write_media(tmp_path / "good.mp4", tone(11, 44_100))
    (tmp_path / "text.mp4").write_text("not a video")
    samples = [{"videos": ["good.mp4"]}] * 18 + [{"videos": ["text.mp4"]}, {"videos": ["gone.mp4"]}]
    manifest = write_manifest(tmp_path / "m.jsonl", samples)

    def night() -> tuple[str | None, int, int, int]:
        state = run(manifest, cache=tmp_path / "cache")
        facts = counts(state)
        return state.name, facts["tagged"], facts["failed"], facts["known"]

    assert night() == ("Partial", 18, 2, 0)
    assert night() == ("Partial", 0, 2, 2)
    write_manifest(manifest, [*read_manifest(manifest), {"videos": ["good.mp4", "new.mp4"]}])
    assert night() == ("TooManyFailures", 0, 3, 2)
    assert night() == ("Partial", 0, 3, 3)
    (tmp_path / "text.mp4").write_text("still no video")
    assert night() == ("TooManyFailures", 0, 3, 2), "other content that fails is news"
    shutil.copy(tmp_path / "good.mp4", tmp_path / "text.mp4")
    shutil.copy(tmp_path / "good.mp4", tmp_path / "gone.mp4")
    assert night() == ("Partial", 2, 1, 1)


def test_a_known_failure_is_decoded_again_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["text.mp4"]}])
    decoded: list[str] = []
    extract = DecoderPool.extract

    def spied(self: DecoderPool, url: str, *options: Any) -> Any:
        decoded.append(url)
        return extract(self, url, *options)

    monkeypatch.setattr(DecoderPool, "extract", spied)
    for options, times in (({}, 1), ({}, 1), ({"retry_failed": True}, 2)):
        state = run(manifest, cache=tmp_path / "cache", **options)
        assert (counts(state)["failed"], len(decoded)) == (1, times)
    assert counts(state)["known"] == 1, "asked again, it has failed as before"


def test_a_refused_manifest_is_left_and_the_others_go_on(tmp_path: Path) -> None:
    write_media(tmp_path / "good.mp4", tone(11, 44_100))
    good = write_manifest(tmp_path / "good.jsonl", [{"videos": ["good.mp4"]}])
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"videos": ["good.mp4"]}\n["not an object"]\n')
    state = run(tmp_path, cache=tmp_path / "cache", max_failure_rate=0.9)
    assert state.name == "Partial"
    assert read_manifest(good)[0]["video_audio_tags"] == ["Sine wave"]
    assert bad.read_text() == '{"videos": ["good.mp4"]}\n["not an object"]\n'
    [entry] = read_manifest(tmp_path / "bad.jsonl.failures")
    assert (entry["line"], entry["error"]) == (2, "manifest")


def test_many_small_manifests_fill_units(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for number in range(70):
        write_media(tmp_path / "videos" / f"{number}.wav", tone(0.5, 8_000, 300 + number), 8_000,
                    "pcm_s16le")  # fmt: skip
        write_manifest(tmp_path / f"{number}.jsonl", [{"videos": [f"videos/{number}.wav"]}])
    state = run(tmp_path, cache=tmp_path / "cache")
    assert (counts(state)["manifests"], counts(state)["tagged"]) == (70, 70)
    assert task_runs(state)["extract", "Completed"] == 3


def test_a_video_of_many_samples_is_read_once(tmp_path: Path) -> None:
    video = write_media(tmp_path / "a.wav", melody(2, 16_000), 16_000, "pcm_s16le")
    for name in ("1", "2"):
        write_manifest(tmp_path / f"{name}.jsonl", [{"videos": ["a.wav", "a.wav"]}] * 3)
    state = run(tmp_path, cache=tmp_path / "cache")
    assert (counts(state)["videos"], counts(state)["tagged"]) == (1, 6)
    # FFmpeg reads the start twice, to find out what it is; twelve videos would be six times more.
    assert counts(state)["bytes_read"] <= 2 * video.stat().st_size
    assert all(len(s["video_audio_tags"]) == 2 for s in read_manifest(tmp_path / "1.jsonl"))


def test_s3_from_end_to_end(demo: Path, s3: S3Server) -> None:
    bucket = s3.bucket()
    for video in (demo.parent / "videos").iterdir():
        s3.put(f"{bucket}/data/videos/{video.name}", video.read_bytes())
    s3.put(f"{bucket}/data/m.jsonl", demo.read_bytes())
    state = run(f"{bucket}/data/*.jsonl", cache=f"{bucket}/cache")
    tagged = [json.loads(line) for line in s3.get(f"{bucket}/data/m.jsonl").splitlines()]
    assert {sample["id"]: sample["video_audio_tags"] for sample in tagged} == EXPECTED
    assert state.name == "Completed"
    state = run(f"{bucket}/data", cache=f"{bucket}/cache", retag=True)
    assert (counts(state)["cached"], counts(state)["bytes_read"]) == (8, 0)


def test_copies_into_an_output_folder(demo: Path, tmp_path: Path) -> None:
    before = demo.read_bytes()
    run(demo, cache=tmp_path / "cache", output=str(tmp_path / "out"))
    assert demo.read_bytes() == before
    copy = tmp_path / "out" / "manifest.jsonl"
    assert {s["id"]: s["video_audio_tags"] for s in read_manifest(copy)} == EXPECTED
    written = copy.stat().st_mtime_ns
    state = run(demo, cache=tmp_path / "cache", output=str(tmp_path / "out"))
    assert counts(state)["bytes_read"] == 0
    assert copy.stat().st_mtime_ns == written


def test_tags_of_data_juicer_lie_in_its_meta_field(tmp_path: Path) -> None:
    write_media(tmp_path / "a.mp4", tone(11, 44_100))
    sample = {"text": "<__dj__video> hello", "videos": ["a.mp4"], "__dj__meta__": {"lang": "en"}}
    manifest = write_manifest(tmp_path / "m.jsonl", [sample])
    run(manifest, cache=tmp_path / "cache", meta_field="__dj__meta__")
    sample["__dj__meta__"] = {"lang": "en", "video_audio_tags": ["Sine wave"]}
    assert read_manifest(manifest) == [sample]


def test_a_dry_run_touches_nothing(demo: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo.parent.rglob("*")}
    state = run(demo, cache=tmp_path / "cache", dry_run=True, hf_ast="no-such-model")
    assert (state.name, state.message) == ("DryRun", "would tag 10 of 11 samples, with 8 videos")
    assert (counts(state)["samples"], counts(state)["skipped"], counts(state)["videos"]) == (
        11,
        1,
        8,
    )
    assert {path: path.stat().st_mtime_ns for path in demo.parent.rglob("*")} == before


def test_a_dry_run_tells_what_would_be_refused(demo: Path, tmp_path: Path) -> None:
    (demo.parent / "bad.jsonl").write_text("{oops\n")
    state = run(demo.parent, cache=tmp_path / "cache", dry_run=True)
    assert state.message == "would tag 10 of 11 samples, with 8 videos, and refuse 1 manifest"
    [problem] = counts(state)["problems"]
    assert "bad.jsonl, line 1: is not JSON" in problem


def test_no_cache_keeps_nothing(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    state = run(demo, cache="", no_cache=True)
    assert counts(state)["tagged"] == 10
    assert not (tmp_path / "home").exists()
    assert not list(tmp_path.glob("video-audio-tags-*"))


def test_a_run_that_cannot_start_says_why(tmp_path: Path) -> None:
    state = run(tmp_path / "*.jsonl", cache=tmp_path / "cache")
    assert (state.name, state.is_failed()) == ("Misconfigured", True)
    assert str(tmp_path) in str(state.message)
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["a.mp4"]}])
    state = run(manifest, cache=tmp_path / "cache", hf_ast=str(tmp_path))
    assert state.name == "Misconfigured"
    assert "could not be loaded" in str(state.message)


def test_a_video_that_changed_is_extracted_again(tmp_path: Path) -> None:
    write_media(tmp_path / "a.mp4", tone(11, 44_100))
    manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": ["a.mp4"]}])
    run(manifest, cache=tmp_path / "cache")
    write_media(tmp_path / "a.mp4", None, seconds=1)
    state = run(manifest, cache=tmp_path / "cache", retag=True)
    assert counts(state)["cached"] == 0
    assert read_manifest(manifest)[0]["video_audio_tags"] == ["EMPTY"]


def test_a_damaged_cache_changes_no_tag(demo: Path, tmp_path: Path) -> None:
    run(demo, cache=tmp_path / "cache")
    for number, entry in enumerate(
        sorted(p for p in (tmp_path / "cache").rglob("*") if p.is_file())
    ):
        content = bytearray(entry.read_bytes())
        content[len(content) // 2] ^= 0xFF
        entry.write_bytes(content if number % 2 else content[: len(content) // 2])
    state = run(demo, cache=tmp_path / "cache", retag=True)
    assert {s["id"]: s["video_audio_tags"] for s in read_manifest(demo)} == EXPECTED
    assert (state.name, counts(state)["cached"]) == ("Completed", 0)
