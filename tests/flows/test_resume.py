"""kill -9 at any moment, then again: nothing lost, nothing damaged, nothing done twice."""

import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import fsspec
import pytest
from prefect.settings import PREFECT_API_URL

from tasks.cache import Cache
from tasks.pruning import entries
from tests.audio.media import melody, write_media
from tests.conftest import S3Server
from tests.flows.conftest import DEMO, DEMO_MODEL

# Every run is a process of its own, forked from one that has torch in memory already.
_processes = multiprocessing.get_context("forkserver")
_MODEL = "transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer"

MANIFESTS, SAMPLES = 3, 12


@dataclass
class Place:
    """Manifests of untagged samples, in a folder or a bucket, and what they must become.

    Attributes:
        manifests: their URLs.
        cache: of the runs.
        tagged: what each is in the end.
        untagged: what each was.
        asked: other parameters of the runs.
    """

    manifests: list[str]
    cache: str
    untagged: list[bytes]
    tagged: list[bytes]
    asked: dict[str, Any] = field(default_factory=dict)

    def contents(self) -> list[bytes]:
        return [fsspec.open(url, "rb").open().read() for url in self.manifests]

    def known(self) -> int:
        """How many videos the cache knows: by a clip on a disk, by scores in a bucket."""
        found = list(entries(Cache(self.cache)))
        clips = [entry for entry in found if entry.kind == "clips-3"]
        packs = [entry for entry in found if entry.path.endswith(".pack")]
        fs, _ = fsspec.url_to_fs(self.cache)
        heads = [fs.cat_file(pack.path, start=0, end=8) for pack in packs]
        return len(clips) or sum(int.from_bytes(head[4:], "little") for head in heads)

    def is_whole(self) -> bool:
        """Whether each manifest is either as it was or as it must become."""
        versions = zip(self.contents(), self.untagged, self.tagged, strict=True)
        return all(now in (untagged, tagged) for now, untagged, tagged in versions)


def _lines(tagged: bool) -> Iterator[tuple[int, int, str, str]]:
    kinds = [("beeps.mp4", "Beep, bleep"), ("no-audio.mp4", "EMPTY"), ("silence.mp4", "Silence")]
    for manifest in range(MANIFESTS):
        for sample in range(SAMPLES):
            video, tag = kinds[(manifest + sample) % len(kinds)]
            yield manifest, sample, video, tag if tagged else ""


def make_place(root: str, cache: str) -> Place:
    """Write the manifests and the videos, each its own, so that none is known by its URL."""
    fs, folder = fsspec.url_to_fs(root)
    contents: dict[bool, list[bytes]] = {}
    for tagged in (False, True):
        manifests = [b""] * MANIFESTS
        for manifest, number, video, tag in _lines(tagged):
            name = f"{manifest}-{number}-{video}"
            sample: dict[str, Any] = {"videos": [name]}
            if tagged:
                sample["video_audio_tags"] = [tag]
            else:
                fs.pipe_file(f"{folder}/{name}", (DEMO / "videos" / video).read_bytes())
            manifests[manifest] += json.dumps(sample).encode() + b"\n"
        contents[tagged] = manifests
    for number, content in enumerate(contents[False]):
        fs.pipe_file(f"{folder}/{number}.jsonl", content)
    urls = [f"{root}/{number}.jsonl" for number in range(MANIFESTS)]
    return Place(urls, cache, contents[False], contents[True])


@pytest.fixture(params=["local", "s3"])
def make(
    request: pytest.FixtureRequest,
    s3: S3Server,
    prefect_server: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], Place]:
    """Makes places, all of one kind."""
    # The processes take over the environment of the first of them.
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "ERROR")
    _processes.set_forkserver_preload(["flows.tag", _MODEL])

    def place() -> Place:
        if request.param == "s3":
            bucket = s3.bucket()
            return make_place(f"{bucket}/data", f"{bucket}/cache")
        folder = tmp_path / str(time.monotonic_ns())
        folder.mkdir()
        return make_place(str(folder), f"{folder}/cache")

    return place


def _work(parameters: dict[str, Any], answer: Connection) -> None:
    from flows.tag import tag_videos

    state = tag_videos(**parameters, return_state=True)
    answer.send((state.name, state.result(raise_on_failure=False)))


def start(place: Place) -> tuple[ForkServerProcess, Connection]:
    """A run in a process of its own, and where its state's name and summary will arrive."""
    parameters = {"manifests": place.manifests, "hf_ast": DEMO_MODEL, "cache": place.cache}
    parameters |= place.asked
    here, there = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_work, args=(parameters, there))
    process.start()
    there.close()
    return process, here


def finish(place: Place) -> dict[str, Any]:
    """A run that is left in peace; its summary."""
    process, answer = start(place)
    name, summary = answer.recv()
    process.join()
    assert name == "Completed"
    return dict(summary)


def kill_at(moment: float, place: Place) -> bool:
    """Whether the run was still going on when it was killed."""
    process, _ = start(place)
    process.join(moment)
    killed = process.exitcode is None
    process.kill()
    process.join()
    return killed


def kill_and_resume(make: Callable[[], Place], kills: int) -> None:
    untroubled = make()
    started = time.monotonic()
    finish(untroubled)
    duration = time.monotonic() - started
    assert untroubled.contents() == untroubled.tagged

    chance = random.Random(0)
    place, done = make(), 0
    while done < kills:
        before = place.known()
        if kill_at(chance.uniform(0, duration), place):
            done += 1
            assert place.is_whole()
            assert place.known() >= before
            continue
        assert place.contents() == place.tagged  # it was faster than its end
        place = make()
    known = place.known()
    left = sum(
        SAMPLES for now, tagged in zip(place.contents(), place.tagged, strict=True) if now != tagged
    )
    summary = finish(place)
    assert place.contents() == place.tagged
    # All that was known was used: a video of an untagged manifest is read only without a clip.
    assert summary["videos"] == left
    assert summary["cached"] == known - (MANIFESTS * SAMPLES - left)


def test_killed_and_run_again(make: Callable[[], Place]) -> None:
    kill_and_resume(make, kills=3)


@pytest.mark.slow
def test_killed_thirty_times(make: Callable[[], Place]) -> None:
    kill_and_resume(make, kills=30)


@pytest.mark.usefixtures("make")
@pytest.mark.parametrize("make", ["local"], indirect=True)
def test_killed_in_the_middle_of_long_videos(tmp_path: Path) -> None:
    """Five minutes each, all of which is heard."""
    for name in ("a.mkv", "b.mkv"):
        write_media(tmp_path / name, melody(300, 16_000), 16_000, "pcm_s16le", pictures=None)
    samples = [json.dumps({"videos": [name]}).encode() + b"\n" for name in ("a.mkv", "b.mkv")]
    asked = {"windows": "all", "scores_field": "scores", "timeline_field": "times"}

    def place(name: str) -> Place:
        manifest = tmp_path / f"{name}.jsonl"
        manifest.write_bytes(b"".join(samples))
        return Place([str(manifest)], f"{tmp_path}/cache-{name}", [b"".join(samples)], [], asked)

    untroubled, killed = place("untroubled"), place("killed")
    started = time.monotonic()
    assert finish(untroubled)["videos"] == 2
    duration = time.monotonic() - started
    killed.tagged = untroubled.contents()
    for share in (0.4, 0.8):
        kill_at(share * duration, killed)
        assert killed.is_whole()
    finish(killed)
    assert killed.contents() == untroubled.contents()


@pytest.mark.parametrize("make", ["s3"], indirect=True)
def test_two_runs_at_once(make: Callable[[], Place]) -> None:
    place = make()
    runs = [start(place) for _ in range(2)]
    names = [answer.recv()[0] for _, answer in runs]
    for process, _ in runs:
        process.join()
    assert names == ["Completed", "Completed"]
    assert place.contents() == place.tagged


@pytest.mark.parametrize("make", ["local"], indirect=True)
def test_a_damaged_cache_costs_only_time(make: Callable[[], Place]) -> None:
    place = make()
    finish(place)
    fs, root = fsspec.url_to_fs(place.cache)
    entries = sorted(path for path in fs.find(root) if "/clips-3/" in path or "/scores-1/" in path)
    for number, path in enumerate(entries):
        whole = fs.cat_file(path)
        damaged = [b"", whole[:-1], whole + b"x", whole[::-1]][number % 4]
        # What follows a pack harms nobody.
        fs.pipe_file(path, whole[::-1] if "/scores-1/" in path else damaged)
    for url, content in zip(place.manifests, place.untagged, strict=True):
        target, path = fsspec.url_to_fs(url)
        target.pipe_file(path, content)
    assert finish(place)["cached"] == 0
    assert place.contents() == place.tagged
