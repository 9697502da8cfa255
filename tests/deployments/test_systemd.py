"""The systemd units, judged by systemd."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs

UNITS = sorted((Path(__file__).parents[2] / "deployments" / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_is_valid(unit: Path, tmp_path: Path) -> None:
    installed = "/opt/video-audio-tags/.venv/bin/prefect"
    text = unit.read_text()
    assert f"ExecStart={installed} " in text
    here = Path(sys.executable).with_name("prefect")
    copy = tmp_path / unit.name
    copy.write_text(text.replace(installed, str(here)))
    verify = [needs.program("systemd-analyze"), "verify", "--man=no", str(copy)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, complaints) == (0, [])
