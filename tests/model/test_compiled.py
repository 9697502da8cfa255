"""A compiled model: the same answers, in batches of one size, and a word before each minute."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.model import Dtype
from tasks.model.classifier import Classifier
from tasks.model.features import samples_for
from tasks.model.loading import load_classifier
from tests import needs
from tests.model.conftest import MakeCheckpoint, find, noises
from tests.model.test_classifier import BFLOAT16_TOLERANCE, tops

pytestmark = pytest.mark.long

CLIPS = (samples_for(128), 9_000, 400, 5_000, 16_000)


class Watched(torch.nn.Module):
    """A model that notes how many clips it gets, and has memory for so many."""

    def __init__(self, model: torch.nn.Module, memory: int) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.memory, self.sizes = memory, list[int]()

    def forward(self, input_values: torch.Tensor) -> Any:
        self.sizes.append(len(input_values))
        if len(input_values) > self.memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.model(input_values)


@pytest.fixture
def uncompiled() -> Iterator[None]:
    """torch.compile makes no code: what is around it is what is tested, and takes no minute."""
    with torch.compiler.set_stance("force_eager"):
        yield


def watched(folder: Path, memory: int) -> tuple[Classifier, Watched]:
    whole = load_classifier(find(folder), "cpu", "float32")
    model = Watched(whole.model, memory)
    return Classifier(model, whole.checkpoint, whole.device, whole.dtype), model


@pytest.mark.usefixtures("uncompiled")
def test_every_batch_has_the_same_size(checkpoint_folder: Path) -> None:
    classifier, model = watched(checkpoint_folder, memory=100)
    clips = noises(*CLIPS)
    expected = classifier.logits(clips)
    model.sizes.clear()
    classifier.compile(4)
    torch.testing.assert_close(classifier.logits(clips), expected, atol=1e-5, rtol=0)
    assert [len(list(classifier.predict(clips, size))) for size in (None, 1, 3, 100)] == [5] * 4
    assert set(model.sizes) == {4}


@pytest.mark.usefixtures("uncompiled")
def test_halves_of_a_batch_that_does_not_fit_have_the_same_size(
    checkpoint_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classifier, model = watched(checkpoint_folder, memory=100)
    clips = noises(*CLIPS)
    expected = classifier.logits(clips)
    classifier.compile(8)
    model.memory = 3
    model.sizes.clear()
    with caplog.at_level(logging.INFO, "tasks"):
        torch.testing.assert_close(classifier.logits(clips), expected, atol=1e-5, rtol=0)
    # Each of these sizes would take its minute, and is told.
    assert model.sizes == [8, 4, 2, 2, 2, 2]
    told = [line.partition(":")[0] for line in caplog.messages if line.startswith("compiling")]
    assert told == [f"compiling the model for batches of {size}" for size in (4, 2)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compiled_answers_are_the_same(
    make_checkpoint: MakeCheckpoint,
    dtype: Dtype,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    needs.program("g++")
    shared = tmp_path / "shared"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(shared))
    labels = tuple(f"label {row}" for row in range(50))
    folder = make_checkpoint(labels=labels, num_hidden_layers=1)
    clips = noises(*CLIPS)
    exact = load_classifier(find(folder), "cpu", dtype).logits(clips)
    with caplog.at_level(logging.INFO, "tasks"):
        classifier = load_classifier(find(folder), "cpu", dtype, compile_for=4)
    begun, done = (line for line in caplog.messages if "compil" in line)
    assert begun.startswith("compiling the model for batches of 4")
    assert done.startswith("compiled the model in ")
    assert classifier.compilation == done
    assert not [*shared.rglob("*")], "nor are pickles of others loaded from there"
    with torch.compiler.set_stance("fail_on_recompile"):
        compiled = classifier.logits(clips)
        alone = torch.cat([classifier.logits([clip]) for clip in clips])
    # Of a deviation of 0.5, and this model's logits lie farther apart.
    tolerance = {"float32": 1e-5, "bfloat16": BFLOAT16_TOLERANCE}[dtype] * float(exact.std()) / 0.5
    torch.testing.assert_close(compiled, exact, atol=tolerance, rtol=0)
    assert torch.equal(compiled.argmax(-1), exact.argmax(-1))
    # Whichever clips a batch has beside it.
    torch.testing.assert_close(compiled, alone, atol=1e-5, rtol=0)


def test_without_a_compiler_it_says_so_and_answers(checkpoint_folder: Path) -> None:
    program = """
import sys
from tasks.model.loading import load_classifier
from tests.model.conftest import find, noises
from pathlib import Path
classifier = load_classifier(find(Path(sys.argv[1])), "cpu", "float32", compile_for=4)
print(classifier.compilation)
print([int(logits.argmax()) for logits in classifier.predict(noises(9_000, 400, 5_000))])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, checkpoint_folder],
        env=os.environ | {"CXX": "no-such-compiler"},
        capture_output=True,
        text=True,
        check=True,
    )
    said, labels = done.stdout.splitlines()
    assert said.startswith("the model cannot be compiled, so it runs as it is: ")
    assert "No working C++ compiler" in said
    whole = load_classifier(find(checkpoint_folder), "cpu", "float32")
    assert labels == str(tops(whole, noises(9_000, 400, 5_000)))
