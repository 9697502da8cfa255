"""Compressed text is the same text; what is cut off is refused, never half read."""

import bz2
import gzip
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard

from tasks.errors import ConfigurationError, ManifestError
from tasks.manifests import csv_text, extensions, format_of, is_manifest, json_array, lines
from tests.manifests.strategies import read, rewritten

pytestmark = pytest.mark.long

CONTENT = b"".join(b'{"videos": ["%d.mp4"], "n": %d}\n' % (n, n * n) for n in range(5000))


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(data).read()


Packer = Callable[[bytes], bytes]
PACKERS: dict[str, tuple[Packer, Packer]] = {
    ".gz": (gzip.compress, gzip.decompress),
    ".bz2": (bz2.compress, bz2.decompress),
    ".zst": (zstd, unzstd),
}


@pytest.fixture(params=sorted(PACKERS))
def packing(request: pytest.FixtureRequest) -> tuple[str, Packer, Packer]:
    return (request.param, *PACKERS[request.param])


def test_the_text_inside_is_rewritten(packing: tuple[str, Packer, Packer]) -> None:
    suffix, pack, unpack = packing
    plain = rewritten("m.jsonl", CONTENT, {7: ["T"]})
    assert unpack(rewritten(f"m.jsonl{suffix}", pack(CONTENT), {7: ["T"]})) == plain
    assert read(f"m.jsonl{suffix}", pack(CONTENT)) == read("m.jsonl", CONTENT)


def test_the_same_samples_give_the_same_bytes(packing: tuple[str, Packer, Packer]) -> None:
    suffix, pack, _ = packing
    once = rewritten(f"m.jsonl{suffix}", pack(CONTENT), {1: ["T"]})
    assert rewritten(f"m.jsonl{suffix}", pack(CONTENT), {1: ["T"]}) == once


def test_parts_one_after_another_are_all_read(packing: tuple[str, Packer, Packer]) -> None:
    suffix, pack, _ = packing
    half = CONTENT.index(b"\n", len(CONTENT) // 2) + 1
    content = pack(CONTENT[:half]) + pack(CONTENT[half:])
    assert len(read(f"m.jsonl{suffix}", content)) == 5000


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_what_is_cut_off_is_refused(packing: tuple[str, Packer, Packer], kept: float) -> None:
    suffix, pack, _ = packing
    content = pack(CONTENT)
    with pytest.raises(ManifestError):
        read(f"m.jsonl{suffix}", content[: int(len(content) * kept)])


def test_a_damaged_part_behind_a_whole_one_is_refused(packing: tuple[str, Packer, Packer]) -> None:
    """The libraries take it for padding, and what it holds would be lost in silence."""
    suffix, pack, _ = packing
    first, second = pack(CONTENT), bytearray(pack(CONTENT))
    second[0] ^= 1
    with pytest.raises(ManifestError, match=f"is cut off, or not {suffix} data"):
        read(f"m.jsonl{suffix}", first + bytes(second))


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "m.json"])
def test_a_line_without_end_takes_no_more_memory_than_the_limit(
    packing: tuple[str, Packer, Packer], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes hold any number of them."""
    limit = 8 << 20
    for module in (lines, csv_text, json_array):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", limit)
    suffix, pack, _ = packing
    start = b'[{"videos": ["' if name == "m.json" else b""
    content = pack(start + b"x" * (16 * limit))
    tracemalloc.start()
    try:
        with pytest.raises(ManifestError, match="is longer than 8 MiB"):
            read(name + suffix, content)
        assert tracemalloc.get_traced_memory()[1] < 5 * limit
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "m.json"])
def test_blank_lines_without_end_are_refused(
    packing: tuple[str, Packer, Packer], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take no memory, but time: a megabyte of Zstandard holds 30 GB of them."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1 << 20)
    suffix, pack, _ = packing
    head = b"videos\na.mp4\n" if name == "m.csv" else b'{"videos": ["a.mp4"]}\n'
    few, many = b"\n" * (1 << 19) + b"\r\n", b" \n" * ((1 << 19) + 1)
    assert len(read(name + suffix, pack(head + few))) == 1
    blank = r"line \d+: has more than 1 MiB of blank lines one after another"
    with pytest.raises(ManifestError, match=blank):
        read(name + suffix, pack(head + many + (b"b.mp4\n" if name == "m.csv" else b"{}\n")))


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_what_is_not_compressed_is_refused(suffix: str) -> None:
    with pytest.raises(ManifestError, match=f"is cut off, or not {suffix} data"):
        read(f"m.jsonl{suffix}", CONTENT)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.jsonl", (".jsonl", "")),
        ("a/B.JSONL.GZ", (".jsonl", ".gz")),
        ("s3://b/x.csv.zst", (".csv", ".zst")),
        ("x.parquet.gz", ("", ".gz")),
        ("x.tar.gz", ("", ".gz")),
        ("jsonl", ("", "")),
        ("x.jsonl.failures", ("", "")),
        ("dir.jsonl/readme", ("", "")),
    ],
)
def test_a_format_is_chosen_by_the_name(name: str, expected: tuple[str, str]) -> None:
    assert extensions(name) == expected
    assert is_manifest(name) == bool(expected[0])
    if not expected[0]:
        with pytest.raises(ConfigurationError, match="its name must end in"):
            format_of(name)
