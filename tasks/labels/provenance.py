"""Provenance: everything that decides the tags of a run, in one string."""

from pathlib import PurePath
from urllib.parse import quote, unquote

from tasks.audio.window import Channels
from tasks.labels.tagging import TagOptions
from tasks.model import Checkpoint, Dtype

_DIGEST_CHARACTERS = 12

# All characters but those that separate the parts, and the one that marks an escape.
_PLAIN = "".join(chr(code) for code in range(32, 127) if chr(code) not in ";=%")


def provenance(
    checkpoint: Checkpoint,
    dtype: Dtype,
    windows: str | int,
    channels: Channels,
    options: TagOptions,
    version: str,
) -> str:
    """Return a string of everything that decides the tags of a run, the same on every machine::

        model=MIT/ast-...@f826b80; dtype=bfloat16; windows=6; channels=mix; aggregate=mean;
        label_map=audioset@1f2e3d4c; scores=top 5 from 0.1; version=0.1.0

    What is not requested (a label map, scores) is left out, and the aggregate of a single window.
    """
    parts = {
        "model": model_name(checkpoint),
        "dtype": dtype,
        "windows": str(windows),
        "channels": channels,
    }
    if str(windows) not in ("start", "1"):
        parts["aggregate"] = options.aggregate
    if options.groups is not None:
        parts["label_map"] = f"{options.groups.name}@{options.groups.fingerprint}"
    if options.scores:
        parts["scores"] = f"top {options.top_k} from {options.min_score:g}"
    parts["version"] = version
    return "; ".join(f"{key}={quote(value, safe=_PLAIN)}" for key, value in parts.items())


def parse_provenance(text: str) -> dict[str, str]:
    """Return the parts of a string that :func:`provenance` made.

    Raises:
        ValueError: ``text`` is not such a string.
    """
    pairs = (part.split("=", 1) for part in text.split("; "))
    return {key: unquote(value) for key, value in pairs}


def model_name(checkpoint: Checkpoint) -> str:
    """Return the model's name and revision; of a local folder, whose path differs between machines,
    the name and a digest of the content."""
    named, fingerprint = checkpoint.named.hf_ast, checkpoint.fingerprint
    algorithm, _, digest = fingerprint.partition(":")
    if algorithm != "sha256":
        return fingerprint
    return f"{PurePath(named).name or 'model'}@{digest[:_DIGEST_CHARACTERS]}"
