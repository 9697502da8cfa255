"""The model on a GPU: ``python -m benchmarks.gpu``, from the repository's root.

Prints what the device can do (bfloat16 matrix products, copies from the host), how much of that the
classifier turns into tags, and what the reference's loop makes of the same clips. Nothing is
downloaded: the model has AST-base's shape and random weights.

All but the last part needs torch, transformers and numpy alone, since GPU machines are often bare;
the part through ``tag_unit`` says so where it cannot run. On a CPU a tiny model shows in seconds
that everything works.
"""

import argparse
import itertools
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from tasks.model import CheckpointId
from tasks.model.batch import to_float
from tasks.model.checkpoint import find_checkpoint
from tasks.model.classifier import Classifier
from tasks.model.device import choose_device, choose_dtype, describe_device
from tasks.model.features import SAMPLING_RATE, samples_for
from tasks.model.loading import load_classifier

GIGA, TERA = 1e9, 1e12


@dataclass(frozen=True)
class RandomClip:
    """Full-length noise, as a clip out of the cache."""

    samples: NDArray[np.int16]
    peak: float = 0.5
    sampling_rate: int = SAMPLING_RATE


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        model: what differs from AST-base.
        batches: clips in a batch.
        seconds: of each measurement.
        matrix: rows of the matrices that are multiplied.
        copied: bytes.
        clips: distinct clips.
        unit: clips for ``tag_unit``.
    """

    model: dict[str, Any]
    batches: tuple[int, ...]
    seconds: float
    matrix: int
    copied: int
    clips: int
    unit: int


FULL = Sizes({}, (1, 16, 32, 64, 128, 256), 5.0, 8_192, 1 << 28, 256, 2_048)
SMALL = Sizes(
    {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_length": 128,
    },
    (1, 4),
    0.05,
    256,
    1 << 20,
    8,
    8,
)


def save_model(folder: Path, **sizes: Any) -> Path:
    """Save a random model of AST-base's shape, with AudioSet's 527 labels, but for ``sizes``."""
    torch.manual_seed(0)
    labels = {row: f"label {row}" for row in range(527)}
    config = ASTConfig(id2label=labels, label2id={v: k for k, v in labels.items()}, **sizes)
    ASTForAudioClassification(config).save_pretrained(folder)
    ASTFeatureExtractor(max_length=config.max_length).save_pretrained(folder)
    return folder


def random_clips(count: int, frames: int = 1024) -> list[RandomClip]:
    """Make clips that fill the window of so many frames."""
    random = np.random.default_rng(0)
    shape = (count, samples_for(frames))
    return [RandomClip(row) for row in random.integers(-32_767, 32_768, shape, np.int16)]


def flops_of_a_clip(config: Any) -> float:
    """Count the multiplications and additions of the matrix products and the attention."""
    rows = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    columns = (config.max_length - config.patch_size) // config.time_stride + 1
    tokens, width = rows * columns + 2, config.hidden_size
    layer = tokens * width * (4 * width + 2 * config.intermediate_size) + 2 * tokens**2 * width
    patches = rows * columns * width * config.patch_size**2
    return float(2 * (config.num_hidden_layers * layer + patches))


def measure_rate(
    work: Callable[[], object], amount: float, seconds: float, device: torch.device
) -> float:
    """Measure how much of something is done a second, the first call aside."""
    synchronize = torch.get_device_module(device).synchronize
    work()
    synchronize()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work()
        synchronize()
        calls += 1
    return amount * calls / (time.perf_counter() - start)


def measure_matrix_rate(device: torch.device, sizes: Sizes) -> float:
    """Measure the operations a second of bfloat16 matrix products."""
    shape = (sizes.matrix, sizes.matrix)
    a, b = (torch.randn(shape, device=device, dtype=torch.bfloat16) for _ in range(2))

    def work() -> None:
        for _ in range(10):
            torch.mm(a, b)

    return measure_rate(work, 10 * 2 * sizes.matrix**3, sizes.seconds, device)


def measure_copy_rate(device: torch.device, sizes: Sizes) -> float:
    """Measure the bytes a second from the host's memory (pinned, for a GPU) to the device's."""
    source = torch.zeros(sizes.copied, dtype=torch.uint8, pin_memory=device.type == "cuda")
    target = torch.empty_like(source, device=device)

    def work() -> None:
        target.copy_(source, non_blocking=True)

    return measure_rate(work, sizes.copied, sizes.seconds, device)


def measure_classifier(
    classifier: Classifier, clips: Sequence[RandomClip], batch_size: int, seconds: float
) -> float:
    """Measure the clips a second that are labelled, the first two batches aside."""
    labels = classifier.predict(itertools.cycle(clips), batch_size)
    for _ in range(2 * batch_size):
        next(labels)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(batch_size):
            next(labels)
        done += batch_size
    rate = done / (time.perf_counter() - start)
    return rate


def measure_reference(
    folder: Path, clips: Sequence[RandomClip], device: torch.device, seconds: float
) -> float:
    """Measure the reference's loop: one clip a time, float32, the extractor of transformers."""
    model: Any = ASTForAudioClassification.from_pretrained(folder)
    model = model.to(device).eval()
    extractor = ASTFeatureExtractor.from_pretrained(folder)
    waveforms = itertools.cycle([to_float(clip) for clip in clips[:8]])

    def work() -> str:
        inputs = extractor(next(waveforms), sampling_rate=SAMPLING_RATE, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs.to(device)).logits
        return str(model.config.id2label[int(logits.argmax())])

    return measure_rate(work, 1, seconds, device)


def measure_tag_unit(folder: Path, device: torch.device, sizes: Sizes) -> float:
    """Measure the clips a second through ``tag_unit``: units as in the flow, scores kept."""
    from concurrent.futures import ThreadPoolExecutor

    from tasks.audio.clip import Clip
    from tasks.audio.clips import Clips
    from tasks.cache import Cache
    from tasks.identify import Video
    from tasks.storage import Identity
    from tasks.tag import tag_unit
    from tasks.tagger import Tagger, TaggerRequest
    from tasks.units import UNITS_IN_FLIGHT, ExtractedUnit, ExtractedVideo, unit_size

    tagger = Tagger.find(TaggerRequest(CheckpointId(str(folder)), device=str(device)))
    frames = tagger.checkpoint.extractor.max_length
    clips = [Clip(c.samples, c.peak, c.sampling_rate) for c in random_clips(sizes.clips, frames)]
    with tempfile.TemporaryDirectory() as cache_folder:
        cache = Cache(cache_folder)
        videos = [Video(f"/{n}.mp4", Identity(0, str(n))) for n in range(sizes.unit)]
        extracted = [
            ExtractedVideo(video, Clips([(0.0, clip.to_bytes())]))
            for video, clip in zip(videos, itertools.cycle(clips), strict=False)
        ]
        size = unit_size(str(device))
        units = [
            ExtractedUnit(extracted=extracted[start : start + size])
            for start in range(0, len(videos), size)
        ]
        list(tagger.predict(clips[: tagger.batch_size]))
        with ThreadPoolExecutor(UNITS_IN_FLIGHT) as threads:
            start = time.perf_counter()
            tagged = list(threads.map(lambda unit: tag_unit(unit, tagger, cache), units))
            seconds = time.perf_counter() - start
    assert sum(len(unit.scores) for unit in tagged) == len(videos)
    return len(videos) / seconds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What the model makes of a GPU.")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    device = choose_device(parser.parse_args(arguments).device)
    warnings.simplefilter("ignore")
    sizes = FULL if device.type == "cuda" else SMALL
    if sizes is SMALL:
        print("No GPU: a tiny model, to show that everything works. The figures say nothing.")
    with tempfile.TemporaryDirectory() as name:
        folder = save_model(Path(name), **sizes.model)
        checkpoint = find_checkpoint(CheckpointId(str(folder)))
        measure(load_classifier(checkpoint, str(device), "auto"), folder, sizes)


def measure(classifier: Classifier, folder: Path, sizes: Sizes) -> None:
    """Measure and print everything."""
    device = classifier.device
    flops = flops_of_a_clip(classifier.model.config)
    clips = random_clips(sizes.clips, classifier.model.config.max_length)
    name = describe_device(device, choose_dtype("auto", device))
    print(f"device: {name}; torch {torch.__version__}")
    matrix_rate = measure_matrix_rate(device, sizes)
    print(f"bfloat16 matrix products: {matrix_rate / TERA:.2f} TFLOP/s")
    print(f"copies to the device: {measure_copy_rate(device, sizes) / GIGA:.1f} GB/s")
    print(f"a clip: {flops / GIGA:.2f} GFLOP; all of the matrix rate: {matrix_rate / flops:.1f}/s")
    print("batch  clips/s  share of the matrix rate")
    rates = {}
    for size in sizes.batches:
        rates[size] = measure_classifier(classifier, clips, size, sizes.seconds)
        print(f"{size:5} {rates[size]:8.1f}  {rates[size] * flops / matrix_rate:.0%}")
    chosen = measure_classifier(classifier, clips, classifier.batch_size, sizes.seconds)
    share = chosen * flops / matrix_rate
    print(f"{classifier.batch_size:5} {chosen:8.1f}  {share:.0%}, by itself (a GPU: 50% or more)")
    reference = measure_reference(folder, clips, device, sizes.seconds)
    times = chosen / reference
    print(
        f"reference's loop: {reference:.1f} clips/s; ours is {times:.1f} times (a GPU: 100 or more)"
    )
    try:
        through = measure_tag_unit(folder, device, sizes)
    except ModuleNotFoundError as error:
        print(f"through tag_unit: not measured, {error.name} is not installed")
    else:
        share = through / chosen
        print(f"through tag_unit: {through:.1f} clips/s, {share:.0%} (a GPU: 90% or more)")
    classifier.compile(classifier.batch_size)  # the last of all: it stays so
    compiled = measure_classifier(classifier, clips, classifier.batch_size, sizes.seconds)
    times = compiled / chosen
    print(f"compiled: {compiled:.1f} clips/s, {times:.2f} times as many; {classifier.compilation}")


if __name__ == "__main__":
    main()
