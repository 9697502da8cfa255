"""Where a model computes, and in what."""

from dataclasses import replace

import pytest
import torch

from tasks.errors import ConfigurationError
from tasks.model import CheckpointId, Dtype
from tasks.model.device import choose_batch_size, choose_device, choose_dtype
from tasks.tagger import Tagger, TaggerRequest
from tests.flows.conftest import DEMO_MODEL

CPU = torch.device("cpu")


def test_devices() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(ConfigurationError, match="cuda:99"):
        choose_device("cuda:99")
    with pytest.raises(ConfigurationError, match="toaster"):
        choose_device("toaster")


def test_a_dtype_that_is_named_is_taken() -> None:
    assert choose_dtype("float32", CPU) == "float32"
    assert choose_dtype("bfloat16", CPU) == "bfloat16"


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx2": True, "avx512_f": True, "avx512_vnni": True}, "float32"),
        ({"avx512_f": True, "avx512_bf16": True}, "bfloat16"),  # AMD from Zen 4 on
        ({"avx512_bf16": True, "amx_tile": True, "amx_bf16": True}, "bfloat16"),
        ({"neon": True}, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_cpu_computes_in_it(
    capabilities: dict[str, bool], dtype: Dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_dtype("auto", CPU) == dtype


def test_the_batch_size_is_that_of_the_device() -> None:
    assert choose_batch_size(torch.device("cuda:1")) >= 64
    assert choose_batch_size(CPU) < 64
    request = TaggerRequest(CheckpointId(DEMO_MODEL), device="cpu")
    assert Tagger.find(request).batch_size == choose_batch_size(CPU)
    assert Tagger.find(replace(request, batch_size=3)).batch_size == 3
