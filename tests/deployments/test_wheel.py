"""The wheel that the commands of offline.md make holds all that the code needs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = {".css", ".json", ".typed"}


@pytest.mark.slow
def test_what_is_installed_from_a_folder_of_wheels_is_complete(tmp_path: Path) -> None:
    """Without the libraries, which are gigabytes."""
    page = (ROOT / "deployments" / "offline.md").read_text()
    [block] = re.findall(r"```sh elsewhere\n(pip wheel.*?)```", page, re.DOTALL)
    made, installed = (
        line.replace(" wheels", f" {tmp_path}/wheels") for line in block.split("\n")[:2]
    )
    for command in (made, f"{installed} --target {tmp_path}/target"):
        line = [sys.executable, "-m", *command.split(), "--no-deps"]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    for package in ("flows", "tasks"):
        needed = {
            path.relative_to(ROOT)
            for path in (ROOT / package).rglob("*")
            if path.suffix in DATA | {".py"}
        }
        assert {path for path in needed if not (tmp_path / "target" / path).exists()} == set()
    asked = [sys.executable, "-c", "import flows.cli as f; print(f.__file__)"]
    where = subprocess.run(
        asked,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "target")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(tmp_path / "target"))
