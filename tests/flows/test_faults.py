"""A store that is slow, fails and lies changes nothing in what a run gives."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import State

from flows.tag import tag_videos
from tests.conftest import S3Server
from tests.flows.conftest import DEMO, DEMO_MODEL, write_manifest
from tests.web import serving

pytestmark = pytest.mark.usefixtures("s3", "prefect_server")

MANIFESTS, SAMPLES = 4, 12


def fill(s3: S3Server) -> str:
    """A bucket with distinct copies of the demo videos, and manifests of them."""
    bucket = s3.bucket()
    videos = sorted((DEMO / "videos").iterdir())
    for number in range(MANIFESTS):
        lines = []
        for row in range(SAMPLES):
            video = videos[row % len(videos)]
            s3.put(f"{bucket}/data/{number}/{row}-{video.name}", video.read_bytes())
            lines.append(json.dumps({"videos": [f"{number}/{row}-{video.name}"]}))
        lines.append(json.dumps({"videos": ["gone.mp4"]}))
        s3.put(f"{bucket}/data/{number}.jsonl", "\n".join(lines).encode())
    return bucket


def run(bucket: str, cache: Path) -> dict[str, Any]:
    state: State[Any] = tag_videos(
        manifests=[f"{bucket}/data"],
        hf_ast=DEMO_MODEL,
        cache=str(cache),
        max_failure_rate=0.5,
        return_state=True,
    )
    summary = state.result(raise_on_failure=False)
    assert isinstance(summary, dict)
    return summary


def results(s3: S3Server, bucket: str) -> dict[str, bytes]:
    return {n: s3.get(f"{bucket}/data/{n}.jsonl") for n in map(str, range(MANIFESTS))}


def failures(s3: S3Server, bucket: str) -> list[tuple[str, int, str]]:
    found = []
    for number in range(MANIFESTS):
        for line in s3.get(f"{bucket}/data/{number}.jsonl.failures").splitlines():
            entry = json.loads(line)
            found.append((entry["video"].rpartition("/")[2], entry["line"], entry["error"]))
    return found


def test_faults_change_nothing(s3: S3Server, tmp_path: Path) -> None:
    healthy = fill(s3)
    run(healthy, tmp_path / "healthy")
    faulty = fill(s3)
    chances = random.Random(0)
    met = Counter[str]()

    def faults() -> Iterator[str]:
        while True:
            fault = chances.choices(["500", "503", "cut", "slow", ""], [2.5, 2.5, 5, 1, 89])[0]
            met[fault] += 1
            yield fault

    s3.faults = faults()
    try:
        summary = run(faulty, tmp_path / "faulty")
    finally:
        s3.faults = None
    assert min(met[fault] for fault in ("500", "503", "cut", "slow")) > 0
    assert results(s3, faulty) == results(s3, healthy)
    assert summary["tagged"] == MANIFESTS * SAMPLES
    # What is not there is so at once, and for good.
    gone = [("gone.mp4", SAMPLES + 1, "missing")] * MANIFESTS
    assert failures(s3, faulty) == failures(s3, healthy) == gone


def test_a_store_that_is_away_is_not_remembered(s3: S3Server, tmp_path: Path) -> None:
    """Its videos fail in this run, are not cached as such, and are tagged by the next."""
    bucket = fill(s3)
    s3.sealed.add(bucket.removeprefix("s3://"))
    try:
        state = tag_videos(
            manifests=[f"{bucket}/data"], hf_ast=DEMO_MODEL, cache=str(tmp_path), return_state=True
        )
    finally:
        s3.sealed.clear()
    assert state.name == "Misconfigured"
    assert "access is refused" in str(state.message)
    assert run(bucket, tmp_path)["tagged"] == MANIFESTS * SAMPLES


def test_a_store_that_comes_back_is_waited_for_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video, away = (DEMO / "videos" / "speech.mp4").read_bytes(), iter(range(1))

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        away_now = environ["REQUEST_METHOD"] == "GET" and next(away, None) is not None
        start_response("503 Service Unavailable" if away_now else "200 OK", [])
        return [b"" if away_now else video]

    with serving(app) as url:
        manifest = write_manifest(tmp_path / "m.jsonl", [{"videos": [f"{url}/a.mp4"]}])
        state = tag_videos(
            manifests=[str(manifest)], hf_ast=DEMO_MODEL, no_cache=True, return_state=True
        )
    assert state.name == "Completed"
    said = [record.getMessage() for record in caplog.records if "retry" in record.getMessage()]
    assert said[0].startswith("extract unit 1, retry 1 of 3: 1 video could not be reached:")
