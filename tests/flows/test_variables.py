"""What stands in the server's variables, and who reads them."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.variables import Variable

from flows.variables import named_manifests, text_variable
from tasks.errors import ConfigurationError


@pytest.fixture
def of_deployment(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a run of a deployment."""
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "4f5e0d0c-8b5d-4a4e-9e5b-0d8c6d1f2a3b")
    yield
    for name in ("tag_videos_manifests", "tag_videos_hf_ast"):
        Variable.unset(name)


@pytest.mark.parametrize(
    ("value", "manifests"), [("s3://b/m.jsonl", ["s3://b/m.jsonl"]), (["a", "b"], ["a", "b"])]
)
def test_a_variable_names_manifests(of_deployment: None, value: Any, manifests: list[str]) -> None:
    Variable.set("tag_videos_manifests", value)
    assert named_manifests([]) == manifests
    assert named_manifests(["parameter"]) == ["parameter"]


@pytest.mark.parametrize("value", [7, [1], {}, [], ""])
def test_a_variable_that_names_no_manifests_is_told(of_deployment: None, value: Any) -> None:
    Variable.set("tag_videos_manifests", value)
    with pytest.raises(ConfigurationError, match="variable set --overwrite tag_videos_manifests"):
        named_manifests([])


def test_a_variable_that_is_no_text_is_told(of_deployment: None) -> None:
    assert text_variable("tag_videos_hf_ast") is None
    Variable.set("tag_videos_hf_ast", ["model"])
    with pytest.raises(ConfigurationError, match="tag_videos_hf_ast must be a string"):
        text_variable("tag_videos_hf_ast")


def test_runs_of_no_deployment_read_no_variable(of_deployment: None, monkeypatch: Any) -> None:
    Variable.set("tag_videos_manifests", "m.jsonl")
    monkeypatch.delenv("PREFECT__RUNTIME__DEPLOYMENT__ID")
    with pytest.raises(ConfigurationError, match="No manifest is named"):
        named_manifests([])
