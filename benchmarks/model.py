"""CPU of the features and of the model beside a bare loop: ``python benchmarks/model.py``.

The model is AST-base's shape with random weights, so that nothing is downloaded; one thread, since
CPU seconds of several threads that wait for one another mean little. ``--layers 12 --rounds 1`` is
all of AST-base, and takes ten minutes: compiling takes longer, the more layers there are.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from benchmarks.gpu import RandomClip, random_clips
from tasks.model import Checkpoint, CheckpointId
from tasks.model.batch import Batch, to_float
from tasks.model.checkpoint import find_checkpoint
from tasks.model.classifier import Classifier
from tasks.model.device import choose_dtype
from tasks.model.features import LogMelFeatures, samples_for
from tasks.model.loading import load_classifier

ROOT = Path(__file__).parents[1]
CPU, WINDOW = torch.device("cpu"), samples_for(1024)
CLIPS, ROUNDS, LAYERS = 4, 5, 2


def seconds(work: Callable[[], object], rounds: int, clock: Callable[[], float]) -> float:
    """Of one call, the median of some."""
    work()
    times = []
    for _ in range(rounds):
        start = clock()
        work()
        times.append(clock() - start)
    return statistics.median(times)


def cpu_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Measure the CPU of one call."""
    return seconds(work, rounds, time.process_time)


def wall_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Measure the time that one call takes."""
    return seconds(work, rounds, time.perf_counter)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="CPU of the features and of the model.")
    # Two of the twelve layers of AST-base: the ratios are those of all twelve or better.
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    layers, rounds = options.layers, options.rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    clips = random_clips(CLIPS)
    waveforms = [to_float(clip) for clip in clips]
    extractor = ASTFeatureExtractor()
    features = LogMelFeatures(extractor, CPU)
    ours = cpu_seconds(lambda: features(Batch.stack(clips, WINDOW, CPU))) / CLIPS
    theirs = cpu_seconds(lambda: extractor(waveforms, sampling_rate=16_000)) / CLIPS
    print(f"features: {ours * 1e3:.1f} ms of CPU a clip (ASTFeatureExtractor: {theirs * 1e3:.1f})")

    model = ASTForAudioClassification(ASTConfig(num_hidden_layers=layers)).eval()
    checkpoint = Checkpoint(CheckpointId(), "", 16_000, WINDOW, (), "sigmoid", extractor)
    classifier = Classifier(model, checkpoint, CPU, torch.float32)
    batch = features(Batch.stack(clips, WINDOW, CPU))
    with torch.inference_mode():
        bare = cpu_seconds(lambda: model(batch), rounds) / CLIPS
    whole = cpu_seconds(lambda: list(classifier.predict(clips)), rounds) / CLIPS - ours
    print(f"model, {layers} of AST-base's 12 layers: {whole * 1e3:.0f} ms of CPU a clip")
    print(f"bare model(batch) loop: {bare * 1e3:.0f} ms; ratio {whole / bare:.2f} (at most 1.1)")
    compare_compiled(classifier, clips, rounds)
    if choose_dtype("auto", CPU) == "bfloat16":  # elsewhere it takes minutes, and nobody wants it
        dtype = torch.bfloat16
        compare_compiled(Classifier(model.to(dtype), checkpoint, CPU, dtype), clips, rounds)
    torch.set_num_threads(os.cpu_count() or 1)
    small = find_checkpoint(CheckpointId(str(ROOT / "demo" / "model")))
    compare_threads(load_classifier(small, "cpu", "auto"), random_clips(16))


def compare_compiled(classifier: Classifier, clips: Sequence[RandomClip], rounds: int) -> None:
    """Measure the model as it is, then compiled."""

    def measure() -> float:
        return cpu_seconds(lambda: list(classifier.predict(clips)), rounds) / len(clips)

    as_it_is = measure()
    classifier.compile(len(clips))
    compiled = measure()
    print(
        f"{classifier.dtype}: {as_it_is * 1e3:.0f} ms of CPU a clip, compiled {compiled * 1e3:.0f}:"
        f" {as_it_is / compiled:.2f} times as fast; {classifier.compilation}"
    )


def compare_threads(classifier: Classifier, clips: Sequence[RandomClip]) -> None:
    """Measure all cores, then the same beside OpenMP threads of a second thread: this one."""

    def measure() -> float:
        return wall_seconds(lambda: list(classifier.predict(clips))) / len(clips)

    alone = measure()
    torch.zeros(2**20)  # large enough for PyTorch to start them
    beside = measure()
    print(
        f"small model, all cores: {alone * 1e3:.1f} ms a clip; if PyTorch starts threads for a"
        f" second thread, {beside / alone:.2f} times as long"
    )


if __name__ == "__main__":
    main()
