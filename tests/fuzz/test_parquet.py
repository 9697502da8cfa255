"""Damaged Parquet is refused or tagged; it never ends the process.

``FUZZ=10000 python -m pytest tests/fuzz/test_parquet.py`` for a long run.
"""

import io
import multiprocessing
import os
import random
import resource
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import ManifestError
from tasks.manifests import Fields, Sample, format_of

pytestmark = pytest.mark.long

MUTANTS = int(os.environ.get("FUZZ", "300"))
MAX_SECONDS = 20
MAX_EXTRA_BYTES = 1 << 30
PARQUET = format_of("m.parquet")


def table(rows: int, seed: random.Random) -> pa.Table:
    """Columns of the shapes that manifests have; tags and scores at the top and in a struct."""
    videos = [[f"v/{seed.randrange(99)}.mp4"] * seed.randrange(3) for _ in range(rows)]
    return pa.table(
        {
            "id": pa.array(range(rows), pa.uint32()),
            "videos": videos,
            "text": [None if n % 5 == 0 else f"text {n}" * 3 for n in range(rows)],
            "tags": [None if n % 3 else ["Music"] for n in range(rows)],
            "scores": [None if n % 5 else [[score(n)], []] for n in range(rows)],
            "model": [None if n % 7 else "model" for n in range(rows)],
            "meta": [
                {"n": n, "tags": None if n % 2 else ["Speech"], "scores": [[score(n)]]}
                for n in range(rows)
            ],
        }
    )


def score(number: int) -> dict[str, str | float]:
    return {"label": f"L{number % 3}", "score": number / 8, "peak": 1.0}


def originals() -> list[bytes]:
    """Files by every codec, page version and encoding that readers treat differently."""
    seed, found = random.Random(0), []
    for codec in ("none", "snappy", "zstd", "gzip", "brotli", "lz4"):
        for version in ("1.0", "2.0"):
            for dictionary in (True, False):
                sink = io.BytesIO()
                pq.write_table(
                    table(60, seed), sink, compression=codec, data_page_version=version,
                    use_dictionary=dictionary, row_group_size=25, data_page_size=256,
                    write_page_index=dictionary, store_schema=version == "1.0",
                )  # fmt: skip
                found.append(sink.getvalue())
    sink = io.BytesIO()
    pl.DataFrame(table(60, seed)).write_parquet(sink, row_group_size=25)
    return [*found, sink.getvalue(), by_duckdb(table(60, seed))]


def by_duckdb(rows: pa.Table) -> bytes:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.register("rows", rows)
        connection.execute(f"COPY rows TO '{folder}/m.parquet' (PARQUET_VERSION v2)")
        return Path(folder, "m.parquet").read_bytes()


def flip_bits(data: bytearray, seed: random.Random) -> None:
    for _ in range(seed.randint(1, 4)):
        data[position(data, seed)] ^= 1 << seed.randrange(8)


def set_bytes(data: bytearray, seed: random.Random) -> None:
    for _ in range(seed.randint(1, 3)):
        data[position(data, seed)] = seed.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))


def blank(data: bytearray, seed: random.Random) -> None:
    start = position(data, seed)
    size = min(seed.randint(1, 64), len(data) - start)
    data[start : start + size] = bytes(size) if seed.random() < 0.5 else seed.randbytes(size)


def cut(data: bytearray, seed: random.Random) -> None:
    start = position(data, seed)
    del data[start : start + seed.randint(1, 40)]


def splice(data: bytearray, seed: random.Random) -> None:
    start, other = position(data, seed), position(data, seed)
    data[start:start] = data[other : other + seed.randint(1, 40)]


def end_early(data: bytearray, seed: random.Random) -> None:
    del data[position(data, seed) :]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip_bits, flip_bits, flip_bits, set_bytes, set_bytes, set_bytes, blank, blank, cut, splice,
    end_early,
)  # fmt: skip


def position(data: bytearray, seed: random.Random) -> int:
    """Half of them in the footer, which would be a small part of a real file."""
    size = int.from_bytes(data[-8:-4], "little")
    if seed.random() < 0.5 and 12 < size < len(data):
        return len(data) - 8 - seed.randrange(size)
    return seed.randrange(len(data))


def mutant(number: int, files: list[bytes]) -> bytes:
    seed = random.Random(number)
    data = bytearray(seed.choice(files))
    seed.choice(MUTATIONS)(data, seed)
    return bytes(data)


def values(sample: Sample) -> dict[str, Any]:
    """For the fields that are missing; for all of some samples."""
    own: dict[str, Any] = {
        "tags": ["Label"] * len(sample.videos),
        "scores": [[score(sample.line)] for _ in sample.videos],
        "model": "another",
    }
    return {name: own[name] for name in own if name in sample.missing or sample.line % 4 == 0}


def outcome(data: bytes, fields: Fields) -> str:
    """What comes of a damaged manifest: refused or tagged. Anything else is an exception."""
    try:
        planned = list(PARQUET.read(io.BytesIO(data), fields))
    except ManifestError:
        return "refused"
    new = io.BytesIO()
    # What was planned is written too: nothing is decoded in vain.
    PARQUET.rewrite(io.BytesIO(data), new, fields, values)
    again = list(PARQUET.read(io.BytesIO(new.getvalue()), fields))
    assert [sample.videos for sample in again] == [sample.videos for sample in planned]
    assert all(not sample.missing or sample.fault for sample in again)
    return "tagged"


def work(numbers: range, answers: Connection) -> None:
    files = originals()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for number in numbers:
        meta = "meta" if number % 2 else None
        fields = Fields(tags="tags", meta=meta)
        if number % 3:
            fields = Fields(tags="tags", meta=meta, scores="scores", provenance="model")
        try:
            answer = outcome(mutant(number, files), fields)
        except Exception as error:  # noqa: BLE001 - that none comes is what is tested
            answer = f"mutant {number}: {type(error).__name__}: {error}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if peak - used > MAX_EXTRA_BYTES:
            answer = f"mutant {number}: took {peak - used:,} bytes"
            used = peak
        answers.send(answer)


def answers(numbers: range) -> Iterator[str]:
    """Of a process that may die: then the mutant that did it is named, and the next ones follow."""
    context = multiprocessing.get_context("spawn")
    while numbers:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=work, args=(numbers, theirs))
        child.start()
        theirs.close()
        done = 0
        try:
            while done < len(numbers):
                if not ours.poll(MAX_SECONDS + 60 * (done == 0)):
                    child.kill()
                    raise EOFError
                yield ours.recv()
                done += 1
        except EOFError:
            child.join()
            yield f"mutant {numbers[done]}: the process ended ({child.exitcode})"
            done += 1
        child.join()
        numbers = numbers[done:]


def test_a_damaged_file_is_refused_or_tagged_and_never_ends_the_process() -> None:
    found = Counter(answers(range(MUTANTS)))
    assert set(found) == {"refused", "tagged"}, found
