"""The provenance: one string that changes with whatever decides the tags."""

from typing import Any

import pytest

from tasks.labels import LabelMap, TagOptions, parse_provenance, provenance
from tasks.model import Checkpoint, CheckpointId

HUB = "MIT/ast-finetuned-audioset-10-10-0.4593"
LOCAL = f"sha256:{'0123456789abcdef' * 4}"


def checkpoint(name: str = HUB, fingerprint: str = f"{HUB}@f826b80") -> Checkpoint:
    return Checkpoint(CheckpointId(name), fingerprint, 16_000, 164_080, (), "sigmoid", None)


def of(**changed: Any) -> str:
    usual: dict[str, Any] = {
        "checkpoint": checkpoint(),
        "dtype": "float32",
        "windows": "start",
        "channels": "mix",
        "options": TagOptions(),
        "version": "0.1.0",
    }
    return provenance(**usual | changed)


def test_it_is_short_and_can_be_read() -> None:
    assert of() == (
        f"model={HUB}@f826b80; dtype=float32; windows=start; channels=mix; version=0.1.0"
    )
    groups = LabelMap("audioset", {"a": "b"})
    assert of(windows=6, options=TagOptions("max", groups=groups, scores=True)).split("; ")[2:] == [
        "windows=6",
        "channels=mix",
        "aggregate=max",
        f"label_map=audioset@{groups.fingerprint}",
        "scores=top 5 from 0.1",
        "version=0.1.0",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"checkpoint": checkpoint(HUB, f"{HUB}@0000000")},
        {"dtype": "bfloat16"},
        {"windows": "all"},
        {"channels": "first"},
        {"options": TagOptions(groups=LabelMap("m", {"a": "b"}))},
        {"options": TagOptions(scores=True)},
        {"version": "0.2.0"},
    ],
)
def test_it_changes_with_what_decides_the_tags(changed: dict[str, Any]) -> None:
    assert of(**changed) != of()


def test_what_was_not_asked_for_is_left_out() -> None:
    assert of(options=TagOptions("max", top_k=9)) == of()


@pytest.mark.parametrize("folder", ["models/mine", "/home/a/models/mine/", "../mine"])
def test_a_local_model_is_the_same_wherever_it_lies(folder: str) -> None:
    parts = parse_provenance(of(checkpoint=checkpoint(folder, LOCAL)))
    assert parts["model"] == "mine@0123456789ab"


@pytest.mark.parametrize("name", ["a;b", "a; dtype=x", "100%", "ü=1", "a b"])
def test_odd_names_come_back(name: str) -> None:
    written = of(checkpoint=checkpoint(f"/{name}", LOCAL))
    parts = parse_provenance(written)
    assert parts["model"] == f"{name}@0123456789ab"
    assert parts["dtype"] == "float32"
