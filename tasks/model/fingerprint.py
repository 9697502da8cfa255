"""Compute the fingerprint of a local model: machines compare theirs before they load it."""

import hashlib
from pathlib import Path

# What decides the logits: weights, configuration, and code if a checkpoint brings some.
_FINGERPRINTED = ("*.safetensors", "*.bin", "*.json", "*.py")


def folder_fingerprint(folder: Path) -> str | None:
    """Return a hash of a model's folder, which changes with training; None where there is none."""
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted({path for glob in _FINGERPRINTED for path in folder.glob(glob)}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(path.name.encode() + content.digest())
    return f"sha256:{digest.hexdigest()}"
