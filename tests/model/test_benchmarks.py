"""The benchmarks of the model run small, that of the GPU with hardly anything installed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import ASTConfig

from benchmarks import gpu, peers
from tests import needs

pytestmark = pytest.mark.long

ABSENT = ("av", "librosa", "pandas", "prefect", "pyarrow", "rich", "s3fs", "soxr")


def number(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    assert found, output
    return float(found[1])


def test_the_benchmark_of_the_gpu_runs_on_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--device", "cpu"])
    output = capsys.readouterr().out
    assert re.search(r"device: CPU, (float32|bfloat16)", output)
    assert number(r"(?m)^ *\d+ +([\d.]+) .*by itself", output) > 0
    assert number(r"reference's loop: ([\d.]+) clips/s", output) > 0
    assert number(r"through tag_unit: ([\d.]+) clips/s", output) > 0
    assert number(r"compiled: ([\d.]+) clips/s", output) > 0


def test_a_bare_machine_needs_torch_transformers_and_numpy_alone() -> None:
    root = Path(__file__).parents[2]
    code = f"""
import runpy, sys
for absent in {ABSENT}:
    sys.modules[absent] = None
sys.path.insert(0, {str(root)!r})
sys.argv = ["gpu", "--device", "cpu"]
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert re.search(r"reference's loop: [\d.]+ clips/s", done.stdout)
    assert re.search(r"through tag_unit: not measured, [\w.]+ is not installed", done.stdout)


def test_the_operations_of_ast_base() -> None:
    assert gpu.flops_of_a_clip(ASTConfig()) == pytest.approx(261e9, rel=0.01)


def test_the_peers_answer_for_the_same_videos(tmp_path: Path) -> None:
    """The flow itself has its own tests; here are the two that are written for the benchmark."""
    needs.program("ffmpeg")
    model, folder = tmp_path / "model", tmp_path / "videos"
    folder.mkdir()
    peers.save_checkpoint(model, **gpu.SMALL.model | {"max_length": 1024})
    truth = peers.write_videos(folder, 3, 12)
    assert [Path(path).suffix for path in truth] == [".mp4", ".webm", ".mkv"]
    assert peers.run_pipeline(list(truth), str(model)) == truth
    # It takes a time base for a rate: right in MP4 alone.
    mp4, *others = peers.run_loop(list(truth), str(model)).items()
    assert mp4 in truth.items()
    assert not set(others) <= set(truth.items())


def test_a_peer_is_measured_with_all_that_it_starts(tmp_path: Path) -> None:
    needs.program("ffmpeg")
    model = gpu.save_model(tmp_path / "model", **gpu.SMALL.model)
    measured = peers.measure("pipeline", [], model)
    assert measured.answers == {}
    assert measured.wall > 0
    assert measured.cpu > 1  # torch and transformers were imported
    assert measured.memory > 200e6
