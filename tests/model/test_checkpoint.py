"""Checkpoints: found by name, read without their weights, and no code run that is not allowed."""

import json
import shutil
from pathlib import Path

import pytest

from tasks.errors import ConfigurationError
from tasks.model import CheckpointId
from tasks.model.checkpoint import find_checkpoint
from tasks.model.features import samples_for
from tests.model.conftest import MakeCheckpoint, find


def test_rate_window_and_labels_come_from_the_checkpoint(checkpoint_folder: Path) -> None:
    checkpoint = find(checkpoint_folder)
    assert (checkpoint.sampling_rate, checkpoint.num_samples) == (16_000, samples_for(128))
    assert checkpoint.labels == ("Speech", "Music", "Noise")


def test_a_checkpoint_trained_again_in_place_is_another_one(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    shutil.copytree(make_checkpoint(seed=1), tmp_path, dirs_exist_ok=True)
    before = find(tmp_path).fingerprint
    assert find(tmp_path).fingerprint == before
    shutil.copytree(make_checkpoint(seed=2), tmp_path, dirs_exist_ok=True)
    assert find(tmp_path).fingerprint != before


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"The model in the folder .* could not be loaded"):
        find(tmp_path)


def test_a_folder_has_no_revisions(checkpoint_folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="leave out --revision"):
        find_checkpoint(CheckpointId(str(checkpoint_folder), revision="v9"))


def test_a_hub_model_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigurationError) as caught:
        find_checkpoint(CheckpointId("nobody/no-such-model"))
    assert "nobody/no-such-model" in str(caught.value)
    assert "hf download nobody/no-such-model --local-dir" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_remote_code_is_not_run_unless_allowed(checkpoint_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint_folder, tmp_path, dirs_exist_ok=True)
    ran = tmp_path / "ran"
    config = json.loads((tmp_path / "config.json").read_text())
    config["model_type"] = "their-own"
    config["auto_map"] = {"AutoConfig": "theirs.TheirConfig"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "theirs.py").write_text(f"open({str(ran)!r}, 'w')\n")
    with pytest.raises(ConfigurationError, match="trust-remote-code"):
        find(tmp_path)
    assert not ran.exists()
