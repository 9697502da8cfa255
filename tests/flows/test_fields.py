"""Scores, groups, timelines and provenance of a run, each in a field of its own."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from flows import cli
from flows.tag import tag_videos
from tasks.labels import parse_provenance
from tasks.model import loading
from tests.audio.media import tone, write_media
from tests.flows.conftest import DEMO, DEMO_MODEL, read_manifest, write_manifest

# S3 first: the decoder processes take over the environment that they are started in.
pytestmark = pytest.mark.usefixtures("s3", "prefect_server")

FIELDS = {"scores_field": "scores", "timeline_field": "times", "provenance_field": "made_by"}


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    shutil.copytree(DEMO / "videos", tmp_path / "videos")
    return Path(shutil.copy(DEMO / "manifest.jsonl", tmp_path))


def run(manifest: Path, **parameters: Any) -> dict[str, dict[str, Any]]:
    """Tag a manifest; return its samples by their ids."""
    settings = {"hf_ast": DEMO_MODEL, "cache": str(manifest.parent / "cache")} | parameters
    state = tag_videos([str(manifest)], **settings, return_state=True)
    assert state.name == "Completed", state.message
    return {sample["id"]: sample for sample in read_manifest(manifest)}


def test_tag_scores_and_timeline_agree(demo: Path) -> None:
    samples = run(demo, **FIELDS)
    assert len(samples) > 8
    for sample in samples.values():
        lists = zip(sample["video_audio_tags"], sample["scores"], sample["times"], strict=True)
        for tag, scores, times in lists:
            assert (tag == "EMPTY") == (scores == []) == (times == [])
            if scores:
                assert tag == scores[0]["label"] == times[0]["label"]
                assert 0 < scores[0]["score"] == scores[0]["peak"] <= 1
                assert times[0]["start"] == 0
                assert 3 < times[0]["end"] <= 10.26


def test_groups_take_the_place_of_labels(demo: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.json"
    groups.write_text(json.dumps({"Speech": "Voice", "Music": "Band", "*": "Other"}))
    samples = run(demo, label_map=str(groups), retag=True, **FIELDS)
    assert samples["speech"]["video_audio_tags"] == ["Voice"]
    assert samples["music"]["scores"][0][0]["label"] == "Band"
    assert samples["tone"]["times"][0][0]["label"] == "Other"


def test_only_the_fields_that_are_missing_are_written(demo: Path) -> None:
    before = run(demo)
    before["speech"]["video_audio_tags"] = ["mine"]
    demo.write_text("".join(json.dumps(sample) + "\n" for sample in before.values()))
    after = run(demo, **FIELDS)
    assert after["speech"]["video_audio_tags"] == ["mine"]
    assert after["speech"]["scores"][0][0]["label"] == "Speech"
    for name, sample in after.items():
        assert before[name].items() <= sample.items()


def test_stale_is_what_was_tagged_in_another_way(demo: Path) -> None:
    first = run(demo, **FIELDS, retag="stale")
    assert parse_provenance(first["speech"]["made_by"])["channels"] == "mix"
    content = demo.read_bytes()
    run(demo, **FIELDS, retag="stale")
    assert demo.read_bytes() == content
    again = run(demo, **FIELDS, retag="stale", channels="first")
    assert parse_provenance(again["speech"]["made_by"])["channels"] == "first"


def test_no_model_is_loaded_where_nothing_is_to_be_tagged(demo: Path) -> None:
    """What made the tags is compared with the model's files."""
    run(demo, **FIELDS, retag="stale")  # also what had tags of which nothing is known
    loading._load.cache_clear()
    run(demo, **FIELDS, retag="stale")
    assert [one.name for one in threading.enumerate() if one.name == "load model"] == []
    assert loading._load.cache_info().misses == 0


def test_a_map_of_another_model_is_refused(demo: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("angry,Mood\n")
    state = tag_videos(
        [str(demo)],
        hf_ast=DEMO_MODEL,
        cache=str(tmp_path / "cache"),
        label_map=str(groups),
        return_state=True,
    )
    assert state.name == "Misconfigured"
    assert "names none of the model's labels" in str(state.message)


@pytest.mark.parametrize(
    ("arguments", "retag", "manifests"),
    [
        (["--retag", "m.jsonl"], True, ["m.jsonl"]),
        (["--retag", "stale", "m.jsonl"], "stale", ["m.jsonl"]),
        (["--retag=stale", "m.jsonl"], "stale", ["m.jsonl"]),
        (["m.jsonl", "--retag", "stale"], "stale", ["m.jsonl"]),
        (["m.jsonl", "stale", "--retag"], True, ["m.jsonl", "stale"]),
    ],
)
def test_retag_takes_no_manifest_for_its_value(
    arguments: list[str], retag: bool | str, manifests: list[str]
) -> None:
    options = vars(cli._parser().parse_args(cli._joined(arguments)))
    assert (options["retag"], options["manifests"]) == (retag, manifests)


@pytest.mark.parametrize(
    ("windows", "tag", "spans"),
    [
        ("start", "Silence", [(0, "Silence")]),
        ("2", "Silence", [(0, "Silence"), (20, "Sine wave")]),
        ("all", "Silence", [(0, "Silence"), (20, "Sine wave")]),
    ],
)
def test_windows_beyond_the_start_are_heard(
    tmp_path: Path, windows: str, tag: str, spans: list[tuple[float, str]]
) -> None:
    """Two windows of silence, then one of a tone."""
    sound = np.concatenate([np.zeros((1, 21 * 16_000), np.float32), tone(9.7, 16_000)], 1)
    write_media(tmp_path / "a.mkv", sound, 16_000, "pcm_s16le")
    manifest = write_manifest(tmp_path / "m.jsonl", [{"id": "a", "videos": ["a.mkv"]}])
    for _ in ("computed", "known"):
        sample = run(manifest, windows=windows, retag=True, report=str(tmp_path), **FIELDS)["a"]
        assert sample["video_audio_tags"] == [tag]
        found = [(span["start"], span["label"]) for span in sample["times"][0]]
        assert found == [(pytest.approx(start, abs=1), label) for start, label in spans]
        assert parse_provenance(sample["made_by"])["windows"] == windows
    if windows != "start":
        scores = {score["label"]: score for score in sample["scores"][0]}
        assert scores["Sine wave"]["score"] < 0.6 < scores["Sine wave"]["peak"]
    assert len(list(tmp_path.glob("tag-videos-*.html"))) >= 1


def test_duckdb_and_pandas_read_the_fields_of_every_format(tmp_path: Path) -> None:
    samples = [
        {"id": "one", "videos": ["speech.mp4"]},
        {"id": "several", "videos": ["music.webm", "no-audio.mp4", "tone.mkv"]},
        {"id": "none", "videos": []},
    ]
    cells = [sample | {"videos": json.dumps(sample["videos"])} for sample in samples]
    write_manifest(tmp_path / "m.jsonl", samples)
    (tmp_path / "m.json").write_text(json.dumps(samples))
    pd.DataFrame(cells).to_csv(tmp_path / "m.csv", index=False)
    pd.DataFrame(samples).to_parquet(tmp_path / "m.parquet")
    names = ["m.jsonl", "m.json", "m.csv", "m.parquet"]
    state = tag_videos(
        [str(tmp_path / name) for name in names],
        hf_ast=DEMO_MODEL,
        cache=str(tmp_path / "cache"),
        video_root=str(DEMO / "videos"),
        windows="all",
        return_state=True,
        **FIELDS,
    )
    assert state.name == "Completed", state.message
    columns = ["id", "video_audio_tags", *FIELDS.values()]
    expected = [[sample[key] for key in columns] for sample in read_manifest(tmp_path / "m.jsonl")]
    assert [len(row[2]) for row in expected] == [1, 3, 0]
    assert [scores == [] for scores in expected[1][2]] == [False, True, False]
    frames = {
        "m.jsonl": pd.read_json(tmp_path / "m.jsonl", lines=True, precise_float=True),
        "m.json": pd.read_json(tmp_path / "m.json", precise_float=True),
        "m.csv": pd.read_csv(tmp_path / "m.csv"),
        "m.parquet": pd.read_parquet(tmp_path / "m.parquet"),
    }
    for name, frame in frames.items():
        assert [plain(row) for row in frame[columns].to_numpy().tolist()] == expected, name
        query = f"SELECT {', '.join(columns)} FROM '{tmp_path / name}'"
        rows = duckdb.execute(query).fetchall()
        assert [plain(row) for row in rows] == expected, name


def plain(value: Any) -> Any:
    """Lists for arrays and tuples, values for the JSON of a cell."""
    if isinstance(value, str) and value.startswith("["):
        return json.loads(value)
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(one) for one in value]
    return value
