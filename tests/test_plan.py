"""The plan: every distinct video once, in an order that does not depend on how it was read."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import ConfigurationError
from tasks.manifests import Fields
from tasks.manifests.json_array import JsonArray
from tasks.plan import find_manifests, plan
from tasks.videos import Videos
from tests import needs
from tests.conftest import S3Server
from tests.storage.conftest import put
from tests.web import serving


def write(path: Path, *samples: Mapping[str, object] | str) -> Path:
    lines = (s if isinstance(s, str) else json.dumps(s) for s in samples)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def planned(videos: Videos, size: int = 100) -> list[tuple[int, list[str]]]:
    return [(unit.last_manifest, unit.urls) for unit in videos.units(size)]


def test_untagged_samples_give_their_videos(tmp_path: Path, videos: Videos) -> None:
    manifest = write(
        tmp_path / "m.jsonl",
        {"videos": ["a.mp4", "/data/b.mp4"]},
        {"videos": ["c.mp4"], "video_audio_tags": ["Speech"]},
        {"videos": "s3://bucket/d.mp4", "video_audio_tags": None},
        {"videos": []},
        {"text": "none"},
    )
    [plan_] = plan(find_manifests([str(manifest)], None, None), Fields(), videos, retag=False)
    assert (plan_.samples, plan_.untagged, plan_.error) == (5, 4, None)
    assert planned(videos) == [(0, [f"{tmp_path}/a.mp4", "/data/b.mp4", "s3://bucket/d.mp4"])]


def test_retag_plans_what_is_tagged(tmp_path: Path, videos: Videos) -> None:
    manifest = write(tmp_path / "m.jsonl", {"videos": ["c.mp4"], "video_audio_tags": ["Speech"]})
    [plan_] = plan(find_manifests([str(manifest)], None, None), Fields(), videos, retag=True)
    assert plan_.untagged == 1
    assert len(videos) == 1


def test_a_video_of_many_samples_is_one(tmp_path: Path, videos: Videos) -> None:
    for name in ("1", "2", "3"):
        write(tmp_path / f"{name}.jsonl", *[{"videos": ["same.mp4", f"{name}.mp4"]}] * 5)
    plan(find_manifests([str(tmp_path)], None, None), Fields(), videos, retag=False)
    names = [Path(url).name for _, urls in planned(videos) for url in urls]
    assert names == ["same.mp4", "1.mp4", "2.mp4", "3.mp4"]


def test_units_are_full_across_manifests_and_tell_how_far_they_reach(
    tmp_path: Path, videos: Videos
) -> None:
    for number in range(10):
        write(tmp_path / f"{number}.jsonl", {"videos": [f"{number}.mp4"]})
    plan(find_manifests([str(tmp_path)], None, None), Fields(), videos, retag=False)
    assert [(last, len(urls)) for last, urls in planned(videos, 4)] == [(3, 4), (7, 4), (9, 2)]


def test_a_refused_manifest_does_not_stop_the_others(tmp_path: Path, videos: Videos) -> None:
    write(tmp_path / "bad.jsonl", {"videos": ["a.mp4"]}, "{oops")
    write(tmp_path / "good.jsonl", {"videos": ["b.mp4"]})
    bad, good = plan(find_manifests([str(tmp_path)], None, None), Fields(), videos, retag=False)
    assert bad.error is not None
    assert f"{tmp_path}/bad.jsonl, line 2" in str(bad.error)
    assert not bad.needs_merge
    assert good.untagged == 1


def test_video_root_and_output(tmp_path: Path, videos: Videos) -> None:
    manifest = write(tmp_path / "m.jsonl", {"videos": ["a.mp4"]})
    output, root = str(tmp_path / "out"), "s3://bucket/videos"
    [plan_] = plan(find_manifests([str(manifest)], output, root), Fields(), videos, retag=False)
    assert plan_.manifest.target == f"{output}/m.jsonl"
    assert planned(videos) == [(0, ["s3://bucket/videos/a.mp4"])]


def test_a_manifest_named_twice_is_one(tmp_path: Path) -> None:
    manifest = write(tmp_path / "m.jsonl", {"videos": []})
    assert len(find_manifests([str(manifest), str(tmp_path), f"{tmp_path}/*"], None, None)) == 1


def test_copies_keep_their_path_below_what_was_named(tmp_path: Path) -> None:
    for folder in ("day=1", "day=2", "more/day=1"):
        write(tmp_path / "in" / folder / "m.jsonl", {"videos": []})
    patterns = [f"{tmp_path}/in/day=*/m.jsonl", f"{tmp_path}/in/more/day=1/m.jsonl"]
    for given in ([f"{tmp_path}/in"], patterns[:1]):
        found = find_manifests(given, str(tmp_path / "out"), None)
        assert [one.target for one in found] == [
            one.url.replace(f"{tmp_path}/in", f"{tmp_path}/out") for one in found
        ]
    with pytest.raises(
        ConfigurationError, match=r"both become \S*/out/day=1/m.jsonl: name a folder"
    ):
        find_manifests(patterns, str(tmp_path / "out"), None)


@pytest.mark.parametrize(
    ("pattern", "output"),
    [
        ("data", "data/out"),
        ("data", "data/deep/down/out"),
        ("data", "link/out"),
        ("link", "data/out"),
        ("data/**/*.jsonl", "data/out"),
        ("data/**/n*/*", "data/out"),
        ("link/**", "data/out"),
        ("**/m.jsonl", "other"),
    ],
)
def test_copies_that_the_next_run_would_find_are_refused(
    pattern: str, output: str, tmp_path: Path
) -> None:
    write(tmp_path / "data" / "night" / "m.jsonl", {"videos": []})
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(ConfigurationError, match="the next run would tag the copies"):
        find_manifests([str(tmp_path / pattern)], str(tmp_path / output), None)


@pytest.mark.parametrize(
    ("pattern", "output", "path"),
    [
        ("data", "out", "night/m.jsonl"),
        ("data", "data-tagged", "night/m.jsonl"),
        ("data", "data/.out", "night/m.jsonl"),
        ("data", "data", "night/m.jsonl"),  # in place
        ("data/night", "data/out", "m.jsonl"),
        ("data/night/m.jsonl", "data/night/out", "m.jsonl"),
        ("data/night/m.jsonl", "data/night", "m.jsonl"),  # in place
        ("data/night", "data/night", "m.jsonl"),
        ("data/*/*.jsonl", "data/out", "night/m.jsonl"),
        ("data/n*/*.jsonl", "data/out", "night/m.jsonl"),
    ],
)
def test_copies_that_no_run_finds_are_made(
    pattern: str, output: str, path: str, tmp_path: Path
) -> None:
    write(tmp_path / "data" / "night" / "m.jsonl", {"videos": []})
    [manifest] = find_manifests([str(tmp_path / pattern)], str(tmp_path / output), None)
    assert manifest.target == f"{tmp_path / output}/{path}"


def test_a_key_of_others_chooses_no_target_outside_the_output_folder(
    s3: S3Server, tmp_path: Path
) -> None:
    """A key may hold anything: ``s3://bucket/data//etc/m.jsonl`` is below ``s3://bucket/data``."""
    base, output = f"{s3.bucket()}/data", f"{tmp_path}/out"
    for key in ("/etc/1.jsonl", "s3://other/2.jsonl", "file:///etc/3.jsonl", "a/../../../4.jsonl"):
        s3.put(f"{base}/{key}", b"")
    found = find_manifests([base], output, None)
    targets = {Path(manifest.target).name: manifest.target for manifest in found}
    assert targets == {
        "1.jsonl": f"{output}/etc/1.jsonl",
        "2.jsonl": f"{output}/s3:/other/2.jsonl",
        "3.jsonl": f"{output}/file:/etc/3.jsonl",
    }


def test_copies_on_s3_that_the_next_run_would_find_are_refused(s3: S3Server) -> None:
    bucket = s3.bucket()
    s3.put(f"{bucket}/data/night/m.jsonl", b'{"videos": []}\n')
    for pattern, output in [("data", "data/out"), ("data/**", "data/out"), ("", "out")]:
        with pytest.raises(ConfigurationError, match="the next run would tag the copies"):
            find_manifests([f"{bucket}/{pattern}"], f"{bucket}/{output}", None)
    for pattern, output in [("data", "data-tagged"), ("data/night/*", "data/out")]:
        assert find_manifests([f"{bucket}/{pattern}"], f"{bucket}/{output}", None)


def test_whatever_a_format_raises_is_that_manifests_trouble(
    tmp_path: Path, videos: Videos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A format that fails as no format should: the plan goes on."""

    def read(*_: object) -> Iterator[object]:
        raise KeyError("a fault of ours")
        yield

    write(tmp_path / "bad.json", "[]")
    write(tmp_path / "good.jsonl", {"videos": ["b.mp4"]})
    monkeypatch.setattr(JsonArray, "read", read)
    bad, good = plan(find_manifests([str(tmp_path)], None, None), Fields(), videos, retag=False)
    assert isinstance(bad.error, KeyError)
    assert good.untagged == 1


@pytest.mark.long
def test_a_run_with_more_videos_than_fit_in_a_chunk(tmp_path: Path, videos: Videos) -> None:
    samples = [{"videos": [f"{number}.mp4"]} for number in range(25_000)]
    manifest = write(tmp_path / "m.jsonl", *samples)
    plan(find_manifests([str(manifest)], None, None), Fields(), videos, retag=False)
    names = [Path(url).stem for _, urls in planned(videos, 999) for url in urls]
    assert names == [str(number) for number in range(25_000)]


def test_no_permission_is_told_before_anything_is_done(tmp_path: Path, videos: Videos) -> None:
    needs.root()
    manifest = write(tmp_path / "m.jsonl", {"videos": ["a.mp4"]})
    for folder in [tmp_path, *tmp_path.parents][:-2]:  # of pytest, for root only
        folder.chmod(folder.stat().st_mode | 0o055)
    os.seteuid(65_534)
    try:
        with pytest.raises(ConfigurationError, match="Permission denied"):
            plan(find_manifests([str(manifest)], None, None), Fields(), videos, retag=False)
        copies = find_manifests([str(manifest)], str(tmp_path / "new" / "folder"), None)
        with pytest.raises(ConfigurationError, match="Permission denied"):
            plan(copies, Fields(), videos, retag=False)
    finally:
        os.seteuid(0)


@pytest.fixture
def web() -> Iterator[str]:
    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "18")])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [b'{"videos": ["a"]}\n']

    with serving(answer) as address:
        yield address


def test_a_manifest_on_the_web_cannot_be_replaced(videos: Videos, web: str) -> None:
    (manifest,) = find_manifests([f"{web}/m.jsonl"], None, None)
    with pytest.raises(ConfigurationError, match=r"only read; name another folder by --output\.$"):
        plan([manifest], Fields(), videos, retag=False)


def test_and_is_read_for_a_copy(videos: Videos, web: str, tmp_path: Path) -> None:
    (manifest,) = find_manifests([f"{web}/m.jsonl"], str(tmp_path), None)
    (planned,) = plan([manifest], Fields(), videos, retag=False)
    assert planned.untagged == 1


def test_a_folder_whose_name_is_not_utf_8_costs_its_manifests_only(
    videos: Videos, tmp_path: Path
) -> None:
    write(tmp_path / "a.jsonl", {"videos": ["a.mp4"]})
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    write(odd / "b.jsonl", {"videos": ["b.mp4"]})
    found = find_manifests([str(tmp_path)], None, None)
    good, refused = plan(found, Fields(), videos, retag=False)
    assert good.untagged == len(videos) == 1
    assert "is not UTF-8" in str(refused.error)
    assert str(refused.error).isprintable()


@pytest.mark.parametrize(
    ("log", "part", "kind"),
    [
        ("_delta_log/0.json", "part.parquet", "a Delta"),
        ("_delta_log/0.json", "day=1/hour=2/part.parquet", "a Delta"),
        (".hoodie/hoodie.properties", "day=1/part.parquet", "a Hudi"),
        ("metadata/v1.metadata.json", "data/day=1/part.parquet", "an Iceberg"),
        ("metadata/v1.metadata.json", "data/0110/part.parquet", "an Iceberg"),
        ("metadata/notes.json", "data/part.parquet", None),
        ("_SUCCESS", "day=1/part.parquet", None),
    ],
)
@pytest.mark.parametrize("store", ["local", "s3"])
def test_a_part_of_a_table_is_not_replaced(
    log: str, part: str, kind: str | None, store: str, tmp_path: Path, s3: S3Server, videos: Videos
) -> None:
    """Its log knows the size of each part: with another one, no reader opens the table."""
    base = f"{tmp_path}/t" if store == "local" else f"{s3.bucket()}/t"
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "videos": [["a.mp4"]]}), buffer)
    put(s3, f"{base}/{log}", b"{}")
    put(s3, f"{base}/{part}", buffer.getvalue())
    [plan_] = plan(find_manifests([f"{base}/{part}"], None, None), Fields(), videos, retag=False)
    if kind is None:
        assert plan_.error is None
    else:
        assert f"part.parquet: is a part of {kind} table" in str(plan_.error)
    copies = find_manifests([f"{base}/{part}"], f"{tmp_path}/copies", None)
    assert plan(copies, Fields(), videos, retag=False)[0].error is None


@pytest.mark.parametrize("store", ["local", "s3"])
def test_a_copy_of_all_footers_is_told_of_where_files_gain_tags(
    store: str, tmp_path: Path, s3: S3Server, videos: Videos, caplog: pytest.LogCaptureFixture
) -> None:
    """pyarrow's ``parquet_dataset`` sees no tags through it, and fails when they are replaced."""
    base = f"{tmp_path}/t" if store == "local" else f"{s3.bucket()}/t"
    for hour, tags in enumerate(([None], [["Speech"]])):
        buffer = io.BytesIO()
        tags_ = pa.array(tags, pa.list_(pa.string()))
        pq.write_table(pa.table({"videos": [["a.mp4"]], "video_audio_tags": tags_}), buffer)
        put(s3, f"{base}/hour={hour}/part.parquet", buffer.getvalue())
    put(s3, f"{base}/_metadata", b"PAR1")

    def lines(pattern: str, output: str | None = None) -> list[str]:
        caplog.clear()
        plan(find_manifests([pattern], output, None), Fields(), videos, retag=False)
        return [record.message for record in caplog.records if record.name == "tasks.plan"]

    [line] = lines(base)
    assert line.startswith(f"{base} has a _metadata file with the footers")
    assert len(lines(f"{base}/hour=0/part.parquet")) == 1
    assert lines(f"{base}/hour=1") == [], "nothing is to be tagged there"
    assert lines(base, f"{tmp_path}/copies") == []
