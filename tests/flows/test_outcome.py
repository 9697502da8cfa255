"""The final state of a run: what counts as a failure of this run, and how it is said."""

import json
from pathlib import Path

import pytest

from flows.outcome import RunFailed, TooManyFailures, final_state
from flows.summary import Summary


def said(summary: Summary) -> tuple[str, str]:
    """The state of a run with these counts, and its message without the seconds."""
    state = final_state(summary, 0.1)
    return str(state.name), str(state.message).replace(str(summary), "COUNTS")


@pytest.mark.parametrize("kind", RunFailed.__subclasses__())
def test_readers_and_programs_are_told_of_every_failure(kind: type[RunFailed]) -> None:
    root = Path(__file__).parents[2]
    schema = json.loads((root / "flows" / "summary.schema.json").read_text())
    assert kind.__name__ in schema["properties"]["state"]["enum"]
    assert f'"{kind.__name__}"' in (root / "deployments" / "alerts.py").read_text()
    assert f"| `{kind.__name__}` |" in (root / "README.md").read_text()


@pytest.mark.parametrize(
    ("summary", "name", "message"),
    [
        (Summary(tagged=5), "Completed", "COUNTS"),
        (
            Summary(tagged=30, failed=2),
            "Partial",
            "COUNTS. 2 of 32 samples to tag failed (6%); 10% may fail",
        ),
        (
            Summary(tagged=0, failed=32, known=32),
            "Partial",
            "COUNTS. 0 of 0 samples to tag failed (0%), not counting 32 known failures;"
            " 10% may fail",
        ),
        (
            Summary(tagged=10, failed=32, known=30),
            "TooManyFailures",
            "2 of 12 samples to tag failed (17%), not counting 30 known failures;"
            " 10% may fail. COUNTS",
        ),
        (
            Summary(manifests=2, tagged=5, problems=["refused"]),
            "TooManyFailures",
            "1 of 2 manifests failed (50%); 10% may fail. COUNTS",
        ),
    ],
)
def test_the_rate_counts_new_failures_and_is_said(
    summary: Summary, name: str, message: str
) -> None:
    assert said(summary) == (name, message)


def test_known_and_new_failures_are_told_apart() -> None:
    summary = Summary(tagged=1, skipped=30, failed=32, known=30)
    assert "1 sample tagged, 30 skipped, 32 failed (30 known, 2 new); " in str(summary)
    assert "3 failed; " in str(Summary(failed=3))
    failed = final_state(summary, 0.0).result(raise_on_failure=False)
    assert isinstance(failed, TooManyFailures)
    assert (failed.facts["failed"], failed.facts["known"]) == (32, 30)
