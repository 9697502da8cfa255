"""The mutations find their way in real files; else they would only look as if they did."""

from pathlib import Path

import pytest

from tests.audio.making import container_named, make, sound_for
from tests.fuzz.frame import hunt
from tests.fuzz.structures import Parse, boxes, chunks, elements
from tests.fuzz.test_media import BASES, mutant

pytestmark = pytest.mark.long

INNERMOST = [("mp4", boxes, b"stts"), ("mkv", elements, b"\xb5"), ("avi", chunks, b"strf")]


@pytest.mark.parametrize(("name", "parse", "innermost"), INNERMOST)
def test_the_parts_of_a_file_are_found(
    tmp_path: Path, name: str, parse: Parse, innermost: bytes
) -> None:
    container = container_named(name)
    data = bytearray(make(tmp_path / "file", container, sound_for(container)).read_bytes())

    parts = list(parse(data, 0, len(data)))

    assert any(innermost in data[part.start : part.body] for part in parts)
    assert all(0 <= part.start <= part.length_at < part.body <= part.end for part in parts)
    assert parts[-1].end == len(data)


def test_a_seed_gives_the_same_mutant_each_time_and_unlike_its_base() -> None:
    assert mutant(3) == mutant(3)
    assert len({mutant(3 + around * len(BASES)) for around in range(5)}) == 5


def test_faults_are_told_by_their_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZZ", "3")
    monkeypatch.setenv("FUZZ_FIRST", "7")

    def check(seed: int) -> str | None:
        return "odd" if seed == 8 else str(1 // (seed - 9)) and None

    with pytest.raises(pytest.fail.Exception) as failure:
        hunt(check, 100)

    assert "2 of 3 mutants" in str(failure.value)
    assert "FUZZ_FIRST=8  # odd" in str(failure.value)
    assert "FUZZ_FIRST=9  # Traceback" in str(failure.value)
