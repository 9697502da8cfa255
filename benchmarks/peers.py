"""The same videos through us and through two peers: ``python benchmarks/peers.py``.

- *flow*: ``python flows/tag.py`` as a user runs it, its start and its server included; also in
  float32, which is what it takes on a CPU without instructions for bfloat16.
- *pipeline*: ``audio-classification`` of transformers. Without torchcodec it reads no MP4, so that
  FFmpeg makes a WAV of each video first.
- *loop*: what data-juicer's ``video_tagging_from_audio_mapper`` does, written from its description:
  decode the whole audio stream by PyAV, take the first channel, read the rate as 1 / time_base,
  resample by librosa, and give the model one clip at a time.

The checkpoint is the same for all: AST-base's shape, random weights, and a head that knows the
sounds that are in the videos, so that it shows who answers what. Each peer runs in a process of its
own; CPU and memory are those of all processes that it starts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from tests.audio.media import Planar, melody, tone, write_media

ROOT = Path(__file__).parents[1]
VIDEOS, SHORTEST, LONGEST = 40, 10, 3_600  # seconds
# The loop takes a rate of 1,000 Hz for that of MKV and WebM, and sixteen times the memory: long
# videos are MP4, as most are.
LONGEST_OTHER = 60
SOURCE_SECONDS, RATE = 12.0, 48_000
CODECS = {".mp4": "aac", ".webm": "libopus", ".mkv": "ac3"}


def sounds() -> dict[str, Planar]:
    """Make the sounds that are in the videos, by their labels; the same in both channels."""
    mono = {f"{hertz} Hz": tone(SOURCE_SECONDS, RATE, hertz) for hertz in (200, 700, 2_500)}
    mono["melody"] = melody(SOURCE_SECONDS, RATE)
    return {label: np.repeat(sound, 2, axis=0) for label, sound in mono.items()}


def write_videos(folder: Path, count: int, longest: float) -> dict[str, str]:
    """Write videos from 10 s to ``longest``, each longer than the one before by the same factor.

    Returns:
        The path of each, with what is to be heard in it.
    """
    known, labels = sounds(), {}
    for number, (label, sound) in zip(range(count), cycle(known.items()), strict=False):
        seconds = SHORTEST * (longest / SHORTEST) ** (number / max(1, count - 1))
        suffix = list(CODECS)[number % len(CODECS)] if seconds <= LONGEST_OTHER else ".mp4"
        source = write_media(folder / f"source{suffix}", sound, RATE, CODECS[suffix])
        path = folder / f"{number:02} {label} {seconds:.0f} s{suffix}"
        command = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(source)]
        subprocess.run([*command, "-t", str(seconds), "-c", "copy", str(path)], check=True)
        source.unlink()
        labels[str(path)] = label
    return labels


def save_checkpoint(folder: Path, **sizes: Any) -> None:
    """Save a random model whose head gives each of the sounds its own label."""
    import librosa
    import torch
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

    from benchmarks.gpu import save_model

    save_model(folder, **sizes)
    model: Any = ASTForAudioClassification.from_pretrained(folder).eval()
    extractor = ASTFeatureExtractor.from_pretrained(folder)
    known = sounds()
    waveforms = [librosa.resample(s[0], orig_sr=RATE, target_sr=16_000) for s in known.values()]
    inputs = extractor(waveforms, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        pooled = [model.base_model(values[None]).pooler_output for values in inputs.input_values]
        hidden = model.classifier.layernorm(torch.cat(pooled))
        # The nearest centre: the logit of a label is the higher, the nearer its sound is.
        centres = hidden - hidden.mean(0)
        dense = model.classifier.dense
        dense.weight.zero_()[: len(known)] = centres
        dense.bias.fill_(-1e4)[: len(known)] = -(centres * (hidden.mean(0) + centres / 2)).sum(-1)
    for row, label in enumerate(known):
        model.config.id2label[row] = label
    model.config.label2id = {label: row for row, label in model.config.id2label.items()}
    model.save_pretrained(folder)


Answers = dict[str, str]


def run_flow(videos: list[str], model: str, dtype: str = "auto") -> Answers:
    """Tag by the flow, with nothing cached."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.jsonl"
        manifest.write_text("".join(json.dumps({"videos": [path]}) + "\n" for path in videos))
        command = [sys.executable, str(ROOT / "flows" / "tag.py"), str(manifest)]
        command += ["--hf-ast", model, "--dtype", dtype, "--no-cache"]
        subprocess.run(command, stdout=sys.stderr, check=False)
        samples = [json.loads(line) for line in manifest.open()]
    return {sample["videos"][0]: sample["video_audio_tags"][0] for sample in samples}


def run_pipeline(videos: list[str], model: str) -> Answers:
    """Tag by the pipeline of transformers."""
    from transformers import pipeline

    classify: Any = pipeline("audio-classification", model=model, top_k=1)
    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        wav = f"{folder}/sound.wav"
        for path in videos:
            command = ["ffmpeg", "-v", "error", "-y", "-i", path, "-ac", "1", "-ar", "16000", wav]
            subprocess.run(command, check=True)
            answers[path] = classify(wav)[0]["label"]
    return answers


def run_loop(videos: list[str], model: str) -> Answers:
    """Tag by the loop that data-juicer's operator runs."""
    import av
    import librosa
    import torch
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

    extractor = ASTFeatureExtractor.from_pretrained(model)
    classifier: Any = ASTForAudioClassification.from_pretrained(model)
    answers = {}
    for path in videos:
        with av.open(path) as container:
            stream = container.streams.audio[0]
            assert stream.time_base is not None
            rate = int(1 / stream.time_base)
            sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
        resampled = librosa.resample(sound, orig_sr=rate, target_sr=16_000)
        inputs = extractor(resampled, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            logits = classifier(**inputs).logits
        answers[path] = classifier.config.id2label[int(logits.argmax(-1))]
    return answers


PEERS: dict[str, Callable[[list[str], str], Answers]] = {
    "flow": run_flow,
    "flow, float32": partial(run_flow, dtype="float32"),
    "pipeline": run_pipeline,
    "loop": run_loop,
}


@dataclass
class Measured:
    """A peer's run: seconds, seconds of CPU, bytes at its peak, and what it answered."""

    wall: float
    cpu: float
    memory: int
    answers: Answers


def measure(peer: str, videos: Sequence[str], model: Path) -> Measured:
    """Run a peer in a process of its own, and watch the memory of all that it starts."""
    task = json.dumps([list(videos), str(model)])
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as answers, tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-W", "ignore", __file__, "--peer", peer, task]
        process = subprocess.Popen(command, stdout=answers, stderr=log)
        peak, ended = [0], threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peak, ended))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
        wall = time.perf_counter() - start
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{peer} ended with {process.returncode}: {log.read()[-2000:]}")
        answers.seek(0)
        return Measured(wall, usage.ru_utime + usage.ru_stime, peak[0], json.load(answers))


def _watch(pid: int, peak: list[int], ended: threading.Event) -> None:
    while not ended.wait(0.2):
        peak[0] = max(peak[0], sum(map(_memory, _tree(pid))))


def _tree(root: int) -> list[int]:
    """Find a process and all below it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # "PID (NAME) STATE PARENT ...", and the name may hold anything.
            _, _, after_name = folder.joinpath("stat").read_text().rpartition(") ")
        except OSError:
            continue  # it has ended
        parents[int(folder.name)] = int(after_name.split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _memory(pid: int) -> int:
    """Read how much a process holds, in bytes; what it shares with others counts in parts."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def compare(count: int, longest: float, **sizes: Any) -> dict[str, Measured]:
    """Make the videos and the checkpoint, run every peer, print the table."""
    with tempfile.TemporaryDirectory() as name:
        model, folder = Path(name) / "model", Path(name) / "videos"
        folder.mkdir()
        save_checkpoint(model, **sizes)
        truth = write_videos(folder, count, longest)
        print(f"{count} videos of {SHORTEST} s to {longest:.0f} s")
        print(f"{'':14}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'videos/s':>10}{'right':>7}")
        results = {}
        for peer in PEERS:
            results[peer] = one = measure(peer, list(truth), model)
            right = sum(one.answers[path] == label for path, label in truth.items())
            print(
                f"{peer:14}{one.wall:9.1f}{one.cpu:9.1f}{one.memory / 1e6:9.0f}"
                f"{count / one.wall:10.2f}{right:7}",
                flush=True,
            )
        for path, label in truth.items():
            said = {peer: one.answers[path] for peer, one in results.items()}
            if set(said.values()) != {label}:
                print(f"{Path(path).name}: {said}")
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The same videos through us and two peers.")
    parser.add_argument("--videos", type=int, default=VIDEOS)
    parser.add_argument("--longest", type=float, default=LONGEST, help="seconds")
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    if options.peer:
        peer, task = options.peer
        print(json.dumps(PEERS[peer](*json.loads(task))))
    else:
        compare(options.videos, options.longest)


if __name__ == "__main__":
    main()
