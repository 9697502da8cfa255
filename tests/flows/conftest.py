"""A real Prefect server for the flow tests, and manifests to run on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).parents[2] / "demo"
DEMO_MODEL = str(DEMO / "model")


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server with a database of its own, for the whole session."""
    # Seconds to import, which tests without a server need not pay.
    from prefect.testing.utilities import prefect_test_harness

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        with prefect_test_harness(server_startup_timeout=300):
            yield


def write_manifest(path: Path, samples: Sequence[Mapping[str, Any]]) -> Path:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return path


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """The samples of a JSONL manifest, or the entries of a ledger."""
    return [json.loads(line) for line in path.read_text().splitlines()]
