"""Merging while others write the manifest, or after a run was killed: no one's work gets lost."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tasks import storage
from tasks.errors import ManifestChanged, TransientError
from tasks.manifests import Fields
from tasks.manifests.listing import list_manifests
from tasks.merge import ATTEMPTS, merge, merge_manifest
from tasks.tags import VideoTags
from tests.conftest import S3Server
from tests.merging import MUSIC, SPEECH, Meddling, ledger, lines, plan_of, tags


@pytest.mark.parametrize("error", [TransientError("no answer"), ManifestChanged("changed")])
def test_what_may_pass_is_tried_again_and_nothing_waits_after_the_last_try(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(lines({"videos": ["a.mp4"]}))
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)

    def fail() -> None:
        raise error

    known = Meddling({f"{tmp_path}/a.mp4": MUSIC}, fail, ATTEMPTS - 1)
    assert merge_manifest(plan_of(path), Fields(), known, retag=False).problem is None
    assert tags(path) == [["Music"]]
    assert len(pauses) == ATTEMPTS - 1

    path.write_bytes(lines({"videos": ["a.mp4"]}))
    known.times = ATTEMPTS
    assert merge_manifest(plan_of(path), Fields(), known, retag=False).result is None
    assert known.times == 0
    assert len(pauses) == 2 * (ATTEMPTS - 1)
    assert len(ledger(path)) == 1


def test_a_line_added_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(lines({"videos": ["a.mp4"]}))
    added = lines({"videos": ["later.mp4"]})
    known = Meddling(
        {f"{tmp_path}/a.mp4": MUSIC}, lambda: path.write_bytes(path.read_bytes() + added), 1
    )
    result = merge(str(path), str(path), Fields(), known)
    assert (result.tagged, result.pending) == (1, 1)
    assert tags(path) == [["Music"], "none"]


def test_it_gives_up_when_others_never_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    path = tmp_path / "m.jsonl"
    path.write_bytes(lines({"videos": ["a.mp4"]}))
    known = Meddling(
        {f"{tmp_path}/a.mp4": MUSIC}, lambda: path.write_bytes(path.read_bytes() + b"\n"), 99
    )
    with pytest.raises(ManifestChanged):
        merge(str(path), str(path), Fields(), known)
    assert b"Music" not in path.read_bytes()


def test_a_manifest_read_while_it_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    whole = lines({"videos": ["a.mp4"]}, {"videos": ["b.mp4"], "text": "long"})
    path.write_bytes(whole[:-9])
    known = {f"{tmp_path}/a.mp4": MUSIC, f"{tmp_path}/b.mp4": SPEECH}
    result = merge(
        str(path), str(path), Fields(), Meddling(known, lambda: path.write_bytes(whole), 1)
    )
    assert result.tagged == 2
    assert tags(path) == [["Music"], ["Speech"]]


def killed_half_way(url: str) -> None:
    known = Meddling({}, lambda: os.kill(os.getpid(), signal.SIGKILL), 1)
    merge(url, url, Fields(), known)


@pytest.mark.long
def test_a_killed_run_leaves_the_manifest_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    content = lines({"videos": ["a.mp4"]})
    path.write_bytes(content)
    run = multiprocessing.get_context("spawn").Process(target=killed_half_way, args=(str(path),))
    run.start()
    run.join()
    assert run.exitcode == -signal.SIGKILL
    assert path.read_bytes() == content
    assert [found.url for found in list_manifests(str(tmp_path))] == [str(path)]
    merge(str(path), str(path), Fields(), {f"{tmp_path}/a.mp4": MUSIC})
    assert tags(path) == [["Music"]]


def test_on_s3_a_change_meanwhile_is_kept(s3: S3Server) -> None:
    url = f"{s3.bucket()}/m.jsonl"
    content = lines({"videos": ["v.mp4"]})
    s3.put(url, content)
    known = Meddling(
        {url.replace("m.jsonl", "v.mp4"): MUSIC}, lambda: s3.put(url, content + content), 1
    )
    assert merge(url, url, Fields(), known).tagged == 2


ROUNDS = 50
SAMPLES = 20


def tag_half(urls: list[str], half: int, barrier: Any) -> None:
    for url in urls:
        base = storage.parent(url)
        known = {
            f"{base}/{number}.mp4": VideoTags(f"L{number}") for number in range(half, SAMPLES, 2)
        }
        barrier.wait()
        merge(url, url, Fields(), known)


@pytest.mark.parametrize("place", ["local", "s3"])
def test_two_runs_on_one_manifest_lose_no_tag(place: str, tmp_path: Path, s3: S3Server) -> None:
    base = str(tmp_path) if place == "local" else s3.bucket()
    urls = [f"{base}/{number}.jsonl" for number in range(ROUNDS)]
    content = lines(*({"videos": [f"{number}.mp4"]} for number in range(SAMPLES)))
    for url in urls:
        s3.put(url, content) if place == "s3" else Path(url).write_bytes(content)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    runs = [context.Process(target=tag_half, args=(urls, half, barrier)) for half in (0, 1)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    expected = [[f"L{number}"] for number in range(SAMPLES)]
    for url in urls:
        text = s3.get(url) if place == "s3" else Path(url).read_bytes()
        found = [json.loads(line).get("video_audio_tags") for line in text.splitlines()]
        assert found == expected, url
