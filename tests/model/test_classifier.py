"""The classifier: the same answer in every batch, and for every thread."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    ASTForAudioClassification,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
)

from tasks.audio.clip import Clip, make_clip
from tasks.audio.decode import decode
from tasks.audio.window import Window
from tasks.model import Dtype
from tasks.model.batch import Batch, Sound
from tasks.model.classifier import Classifier
from tasks.model.features import samples_for
from tasks.model.loading import load_classifier
from tests import needs
from tests.model.conftest import TINY_WAV2VEC2, MakeCheckpoint, find, load, noises

DEMO = Path(__file__).parents[2] / "demo"

# Of logits, for a model whose logits have a standard deviation of 0.5.
BFLOAT16_TOLERANCE = 0.03


def tops(
    classifier: Classifier, clips: Iterable[Sound], batch_size: int | None = None
) -> list[int | None]:
    """The row of the top label of each clip."""
    answers = classifier.predict(clips, batch_size)
    return [None if logits is None else int(logits.argmax()) for logits in answers]


def test_logits_are_those_of_transformers(checkpoint_folder: Path) -> None:
    clips = noises(400, 9_000, samples_for(128))
    model: Any = ASTForAudioClassification.from_pretrained(checkpoint_folder)
    waveforms = [clip.waveform for clip in clips]
    inputs = find(checkpoint_folder).extractor(waveforms, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**inputs).logits
    classifier = load(checkpoint_folder)
    torch.testing.assert_close(classifier.logits(clips), expected, atol=5e-3, rtol=0)
    assert tops(classifier, clips) == expected.argmax(-1).tolist()


def test_out_of_memory_halves_the_batch_and_goes_on(checkpoint_folder: Path) -> None:
    """The one thing that a CPU cannot do for real is to run out of a GPU's memory."""

    class Crowded(torch.nn.Module):
        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model, self.config, self.sizes = model, model.config, list[int]()

        def forward(self, input_values: torch.Tensor) -> object:
            self.sizes.append(len(input_values))
            if len(input_values) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.model(input_values)

    whole = load(checkpoint_folder)
    crowded = Crowded(whole.model)
    classifier = Classifier(crowded, whole.checkpoint, whole.device, whole.dtype)
    clips = noises(*range(1_000, 9_000, 1_000))
    torch.testing.assert_close(classifier.logits(clips), whole.logits(clips), atol=1e-5, rtol=0)
    assert crowded.sizes == [8, 4, 2, 2, 2, 2]
    classifier.logits(clips)
    assert max(crowded.sizes[6:]) == 2  # learnt for good


@pytest.mark.long
def test_any_other_extractor_is_called_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = Wav2Vec2Config(**TINY_WAV2VEC2, conv_stride=(5, 2), id2label={0: "yes", 1: "no"})
    model: Any = Wav2Vec2ForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    extractor: Any = Wav2Vec2FeatureExtractor(sampling_rate=8_000)
    extractor.save_pretrained(tmp_path)
    checkpoint = find(tmp_path)
    assert (checkpoint.sampling_rate, checkpoint.num_samples) == (8_000, 81_920)
    classifier = load_classifier(checkpoint, "cpu", "float32")
    for clips in (noises(4_000, 4_000), noises(4_000, 6_000)):
        expected = [
            model(**extractor(clip.waveform, sampling_rate=8_000, return_tensors="pt"))
            .logits[0]
            .detach()
            for clip in clips
        ]
        torch.testing.assert_close(
            classifier.logits(clips), torch.stack(expected), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_nan_costs_its_own_clip_alone(checkpoint_folder: Path, batch_size: int) -> None:
    good, other = noises(9_000, 5_000)
    loud = Clip(good.samples, 1e38, good.sampling_rate)
    classifier = load(checkpoint_folder)
    alone = tops(classifier, [good, other])
    assert tops(classifier, [good, loud, other], batch_size) == [alone[0], None, alone[1]]


def test_clips_are_taken_as_they_are_needed(checkpoint_folder: Path) -> None:
    """A unit that is killed has lost two batches, and holds no more of them in memory."""
    taken = []

    def clips() -> Iterator[Clip]:
        for clip in noises(*[1_000] * 12):
            taken.append(clip)
            yield clip

    counts = [len(taken) for _ in load(checkpoint_folder).predict(clips(), batch_size=3)]
    assert counts == [6] * 3 + [9] * 3 + [12] * 6


def test_many_threads_get_their_own_answers(make_checkpoint: MakeCheckpoint) -> None:
    classifier = load(make_checkpoint(labels=tuple(f"label {row}" for row in range(50)), seed=3))
    clips = noises(*range(1_000, 17_000, 1_000))
    alone = [top for clip in clips for top in tops(classifier, [clip])]
    assert len(set(alone)) > 1
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda size: tops(classifier, clips, size), [1, 2, 5, 16]))
    assert answers == [alone] * 4


def test_nothing_waits_for_the_device_but_the_labels(checkpoint_folder: Path) -> None:
    """The meta device holds no values: whatever asks for one there, makes a GPU wait."""
    checkpoint, meta = find(checkpoint_folder), torch.device("meta")
    model: Any = ASTForAudioClassification.from_pretrained(checkpoint_folder)
    classifier = Classifier(model, checkpoint, meta, torch.float32)
    batch = Batch.stack(noises(9_000, 400), checkpoint.num_samples, meta)
    there = Batch(batch.samples.to(meta), batch.scales.to(meta), batch.lengths.to(meta))
    logits = classifier._compute(there)
    assert (logits.device, logits.shape) == (meta, (2, 3))
    with pytest.raises(RuntimeError, match="meta"):
        logits.max().item()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.long
def test_a_batch_changes_no_answer(ast_base_width: Path, dtype: Dtype) -> None:
    classifier = load_classifier(find(ast_base_width), "cpu", dtype)
    clips = noises(samples_for(1024), 30_000, samples_for(1024), 400)
    together = classifier.logits(clips)
    alone = torch.cat([classifier.logits([clip]) for clip in clips])
    tolerance = {"float32": 1e-5, "bfloat16": BFLOAT16_TOLERANCE}[dtype]
    torch.testing.assert_close(together, alone, atol=tolerance, rtol=0)
    assert torch.equal(together.argmax(-1), alone.argmax(-1))


@pytest.mark.long
def test_bfloat16_is_near_float32(ast_base_width: Path) -> None:
    clips = noises(samples_for(1024), 30_000, 400)
    exact = load_classifier(find(ast_base_width), "cpu", "float32").logits(clips)
    assert exact.std() > 10 * BFLOAT16_TOLERANCE
    near = load_classifier(find(ast_base_width), "cpu", "bfloat16").logits(clips)
    torch.testing.assert_close(near, exact, atol=BFLOAT16_TOLERANCE, rtol=0)


@pytest.mark.long
def test_bfloat16_gives_the_labels_of_float32() -> None:
    """On the demo videos, with the demo model, a trained one."""
    checkpoint = find(DEMO / "model")
    window = Window(checkpoint.sampling_rate, checkpoint.num_samples)
    clips = []
    for path in sorted((DEMO / "videos").iterdir()):
        with path.open("rb") as file:
            clips.append(make_clip(decode(file, window).segments, window))
    clips = [clip for clip in clips if not clip.is_empty]
    exact = tops(load_classifier(checkpoint, "cpu", "float32"), clips)
    assert len(set(exact)) > 4
    assert tops(load_classifier(checkpoint, "cpu", "bfloat16"), clips) == exact


@pytest.mark.long
def test_only_one_thread_makes_pytorch_start_threads(ast_base_width: Path) -> None:
    """More of them than cores would sleep between any two operations."""
    if sys.platform != "linux":
        needs.missing("threads are counted in /proc")
    program = """
import os, sys, threading
from pathlib import Path
import torch
from tasks.model.loading import load_classifier
from tests.model.conftest import find, noises
torch.set_num_threads(2)
def native():
    return len(os.listdir("/proc/self/task")) - threading.active_count()
before = native()
classifier = load_classifier(find(Path(sys.argv[1])), "cpu", "float32")
clips = noises(100_000, 160_000)
for caller in [threading.Thread(target=lambda: list(classifier.predict(clips))) for _ in range(2)]:
    caller.start()
    caller.join()
list(classifier.predict(clips))
print(native() - before)
"""
    command = [sys.executable, "-c", program, str(ast_base_width)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert int(done.stdout) == 1, "beside the thread that computes"
