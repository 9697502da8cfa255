"""Which manifests a pattern stands for, and why there are none."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import ConfigurationError
from tasks.manifests.listing import list_manifests
from tests.conftest import S3Server
from tests.storage.conftest import put

TREE = ["a.jsonl", "sub/b.parquet", "sub/deep/c.csv.gz", "readme.md", "a.jsonl.failures",
        ".hidden.jsonl", "_delta_log/0.json", ".cache/d.jsonl", "sub/.a.jsonl.123.tmp",
        "[x].jsonl"]  # fmt: skip


@pytest.fixture(params=["local", "s3"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> str:
    """A folder with manifests and other things."""
    base = f"{tmp_path}/data" if request.param == "local" else f"{s3.bucket()}/data"
    for name in TREE:
        put(s3, f"{base}/{name}", b"{}\n")
    return base


def urls(pattern: str) -> list[str]:
    return [found.url for found in list_manifests(pattern)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["[x].jsonl", "a.jsonl", "sub/b.parquet", "sub/deep/c.csv.gz"]),
        ("/", ["[x].jsonl", "a.jsonl", "sub/b.parquet", "sub/deep/c.csv.gz"]),
        ("/sub", ["sub/b.parquet", "sub/deep/c.csv.gz"]),
        ("/*", ["[x].jsonl", "a.jsonl"]),
        ("/*.jsonl", ["[x].jsonl", "a.jsonl"]),
        ("/**/*.gz", ["sub/deep/c.csv.gz"]),
        ("/**", ["[x].jsonl", "a.jsonl", "sub/b.parquet", "sub/deep/c.csv.gz"]),
        ("/su?/*", ["sub/b.parquet"]),
        ("/a.jsonl", ["a.jsonl"]),
        ("/.hidden.jsonl", [".hidden.jsonl"]),
        ("/[x].jsonl", ["[x].jsonl"]),
        ("/_delta_log", ["_delta_log/0.json"]),
    ],
)
def test_list_manifests(tree: str, pattern: str, expected: list[str]) -> None:
    assert urls(tree + pattern) == [f"{tree}/{name}" for name in expected]


def test_links_are_manifests_and_circles_end(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "m.jsonl").touch()
    (folder / "link.jsonl").symlink_to("m.jsonl")
    (folder / "circle").symlink_to(folder)
    names = ["link.jsonl", "m.jsonl"]
    assert urls(str(folder)) == [f"{folder}/{name}" for name in names]
    assert urls(f"{folder}/*") == [f"{folder}/{name}" for name in names]
    assert urls(f"{folder}/link.jsonl") == [f"{folder}/link.jsonl"]
    (tmp_path / "alias").symlink_to(folder)
    alias = f"{tmp_path}/alias"
    assert urls(alias) == [f"{alias}/{name}" for name in names]


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("", ["day=1/x.csv", "day=2/x.csv", "more/x.csv"]),
        ("/", ["day=1/x.csv", "day=2/x.csv", "more/x.csv"]),
        ("/*/*.csv", ["day=1/x.csv", "day=2/x.csv", "more/x.csv"]),
        ("/day=*/x.csv", ["day=1/x.csv", "day=2/x.csv"]),
        ("/day=1", ["day=1/x.csv"]),
        ("/day=1/x.csv", ["day=1/x.csv"]),
        ("/day=1/*", ["day=1/x.csv"]),
        ("/more", ["x.csv"]),
        ("/more/x.csv", ["x.csv"]),
    ],
)
@pytest.mark.parametrize("store", ["local", "s3"])
def test_a_manifest_has_a_path_below_what_was_named(
    pattern: str, paths: list[str], store: str, tmp_path: Path, s3: S3Server
) -> None:
    base = f"{tmp_path}/data" if store == "local" else f"{s3.bucket()}/data"
    for folder in ("day=1", "day=2", "more"):
        put(s3, f"{base}/{folder}/x.csv", b"videos\n")
    found = list_manifests(base + pattern)
    assert [relative_path.lstrip("/") for _, relative_path in found] == paths


def test_a_folder_of_videos_is_told_what_a_manifest_is(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(ConfigurationError, match=r"README\.md says how to list videos"):
        list_manifests(str(tmp_path))


@pytest.mark.parametrize(
    "name",
    ["a.pq", "a.PARQUET.gz", "a.parquet.zst", "a.jsonl.xz", "a.jsonl.zstd", "a.csv.zip",
     "a.json.lz4", "a.orc", "a.b.arrow", "a.jsonlines.gz", "a.xlsx", "a.csv.bak"],
)  # fmt: skip
def test_a_table_in_another_format_is_told_of(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ConfigurationError, match=r"its name must end in one of \.jsonl"):
        list_manifests(f"{tmp_path}/{name}")
    only = re.escape(
        f"There is no manifest at {tmp_path}, only 1 file in a format that cannot be read"
    )
    with pytest.raises(ConfigurationError, match=only):
        list_manifests(str(tmp_path))
    (tmp_path / "m.jsonl").touch()
    assert urls(f"{tmp_path}/*") == [f"{tmp_path}/m.jsonl"]
    assert caplog.messages == [
        f"passed over at {tmp_path}/*: 1 file in a format that cannot be read ({name})"
    ]


def test_many_of_them_are_one_line_and_other_files_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("m.jsonl", "m.jsonl.failures", "v.mp4", "notes.txt", ".m.pq", "csv", "README"):
        (tmp_path / name).touch()
    assert urls(str(tmp_path)) == [f"{tmp_path}/m.jsonl"]
    assert not caplog.messages
    for number in range(1_003):
        (tmp_path / f"{number:04}.pq").touch()
    assert urls(str(tmp_path)) == [f"{tmp_path}/m.jsonl"]
    [line] = caplog.messages
    assert line.endswith(
        "1,003 files in a format that cannot be read (0000.pq, 0001.pq, 0002.pq and 1,000 more)"
    )


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("/nothing.jsonl", "there is no such file, folder or bucket"),
        ("/*.ndjson", "There is no manifest at"),
        ("/readme.md", "its name must end in one of"),
        ("/a.jsonl.failures", "is a failure ledger"),
    ],
)
def test_what_is_no_manifest_is_one_sentence(tree: str, pattern: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refused:
        list_manifests(tree + pattern)
    assert "\n" not in str(refused.value)


def test_thousands_of_keys_take_a_request_a_thousand(s3: S3Server) -> None:
    base = f"{s3.bucket()}/many"
    for number in range(1100):
        s3.put(f"{base}/{number:04}.jsonl", b"")
    list_manifests(base)  # the client's first requests are its own
    before = len(s3.requests)
    assert len(list_manifests(base)) == 1100
    look, pages = 2, 2  # is it a file or a folder, then what is in it
    assert len(s3.requests) - before <= look + pages


def test_a_missing_bucket_is_one_sentence(s3: S3Server) -> None:
    for pattern in ("/data", "/*.jsonl", "/data/**"):
        with pytest.raises(ConfigurationError, match="there is no such file, folder or bucket"):
            list_manifests("s3://no-such-bucket-here" + pattern)


def in_another_process(environment: dict[str, str], home: Path, pattern: str) -> str:
    """What list_manifests gives, or its error, without the keys of this process."""
    code = (
        "import sys\n"
        "from tasks.manifests.listing import list_manifests\n"
        "from tasks.errors import ConfigurationError\n"
        "try: print([found.url for found in list_manifests(sys.argv[1])])\n"
        "except ConfigurationError as error: print(error)"
    )
    kept = ("PATH", "AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED")
    run = subprocess.run(
        [sys.executable, "-c", code, pattern],
        env={name: os.environ[name] for name in kept} | {"HOME": str(home)} | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert run.stdout.count("\n") == 1
    return run.stdout.strip()


@pytest.mark.parametrize("pattern", ["/x", "/*.jsonl", "/x/*.jsonl", "/**/*.jsonl"])
def test_no_credentials_is_one_sentence(s3: S3Server, tmp_path: Path, pattern: str) -> None:
    said = in_another_process({}, tmp_path, s3.bucket() + pattern)
    assert "access is refused (Unable to locate credentials)" in said


@pytest.mark.parametrize("pattern", ["/m.jsonl", "", "/*.jsonl", "/**/*.jsonl"])
def test_no_permission_is_one_sentence(s3: S3Server, pattern: str) -> None:
    bucket = s3.bucket()
    s3.put(f"{bucket}/m.jsonl", b"{}\n")
    s3.sealed.add(bucket.removeprefix("s3://"))
    with pytest.raises(ConfigurationError, match="access is refused"):
        list_manifests(bucket + pattern)


def test_a_public_bucket_needs_only_the_usual_setting(s3: S3Server, tmp_path: Path) -> None:
    url = f"{s3.bucket()}/m.jsonl"
    s3.put(url, b"{}\n", ACL="public-read")
    assert in_another_process({"FSSPEC_S3_ANON": "true"}, tmp_path, url) == f"['{url}']"


def test_an_aws_profile_is_enough(s3: S3Server, tmp_path: Path) -> None:
    url = f"{s3.bucket()}/m.jsonl"
    s3.put(url, b"{}\n")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[mine]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    assert in_another_process({"AWS_PROFILE": "mine"}, tmp_path, url) == f"['{url}']"
