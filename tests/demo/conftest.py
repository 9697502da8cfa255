"""The scripts under demo/ are no part of the package: tests import them from their folder."""

from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes ``training`` and ``make_videos`` importable; the folder they are in."""
    monkeypatch.syspath_prepend(str(DEMO))
    return DEMO
