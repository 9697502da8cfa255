"""What a checkpoint says of itself, known before its weights are loaded."""

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import ASTFeatureExtractor, AutoConfig, AutoFeatureExtractor

from tasks.errors import ConfigurationError
from tasks.model import Checkpoint, CheckpointId
from tasks.model.features import SAMPLING_RATE, samples_for

# It tells of every attempt to reach the hub; the user gets one sentence in the end.
logging.getLogger("huggingface_hub.utils._http").setLevel(logging.ERROR)

# Heard by a model whose extractor names no window of its own: what AST hears.
DEFAULT_SECONDS = 10.24

# What decides the logits: weights, configuration, and code where a checkpoint brings some.
_FINGERPRINTED = ("*.safetensors", "*.bin", "*.json", "*.py")


def find_checkpoint(id: CheckpointId) -> Checkpoint:
    """Read a checkpoint's configuration and feature extractor, not its weights.

    Raises:
        ConfigurationError: there is none by that name, or it is not an audio classifier's.
    """
    with explained(id), warnings.catch_warnings():
        # About mel filters that are empty at 128 bins: so they are in every AST checkpoint.
        warnings.simplefilter("ignore", UserWarning)
        config = AutoConfig.from_pretrained(id.hf_ast, **id.arguments)
        extractor = AutoFeatureExtractor.from_pretrained(id.hf_ast, **id.arguments)
    rate = getattr(extractor, "sampling_rate", None)
    if not rate:
        raise ConfigurationError(
            f"{id.hf_ast} is not an audio model: its feature extractor has no sampling rate"
        )
    return Checkpoint(id, _fingerprint(id, config), int(rate), _window(extractor), extractor)


def is_ast(extractor: object) -> bool:
    """Whether our own filter bank stands in for this extractor."""
    return isinstance(extractor, ASTFeatureExtractor) and extractor.sampling_rate == SAMPLING_RATE


def _window(extractor: Any) -> int:
    if is_ast(extractor):
        return samples_for(extractor.max_length)
    # Whisper-like extractors say how many samples they take.
    return int(getattr(extractor, "n_samples", None) or extractor.sampling_rate * DEFAULT_SECONDS)


def _fingerprint(id: CheckpointId, config: Any) -> str:
    """The commit of a hub model; the content of a local folder, for it may be trained again."""
    folder = Path(id.hf_ast)
    if not folder.is_dir():
        return f"{id.hf_ast}@{getattr(config, '_commit_hash', None) or id.revision or 'main'}"
    digest = hashlib.sha256()
    for path in sorted({path for glob in _FINGERPRINTED for path in folder.glob(glob)}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(path.name.encode() + content.digest())
    return f"sha256:{digest.hexdigest()}"


@contextmanager
def explained(id: CheckpointId) -> Iterator[None]:
    """Turn what transformers raises for a checkpoint into one sentence for the user."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        raise ConfigurationError(_sentence(id, error)) from error


def _sentence(id: CheckpointId, error: Exception) -> str:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if "trust_remote_code" in str(error):
        return f"The model {id.hf_ast} brings its own code; --trust-remote-code allows it to run."
    if Path(id.hf_ast).is_dir():
        return f"The model in the folder {id.hf_ast} could not be loaded: {said}."
    return (
        f"The model {id.hf_ast} could not be loaded: there is no local folder of that name, and "
        f"from the hub it could not be had ({said}). A local folder works too: --hf-ast FOLDER."
    )
