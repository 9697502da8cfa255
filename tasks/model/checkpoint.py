"""Find a checkpoint and read its configuration, before its weights are loaded."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import ASTFeatureExtractor, AutoConfig, AutoFeatureExtractor

from tasks.errors import ConfigurationError
from tasks.model import Checkpoint, CheckpointId
from tasks.model.activation import activation_of
from tasks.model.features import SAMPLING_RATE, samples_for
from tasks.model.fingerprint import folder_fingerprint
from tasks.model.misspelt import no_such_model

log = logging.getLogger(__name__)

# It would log every attempt to reach the hub; the user gets one sentence in the end.
logging.getLogger("huggingface_hub.utils._http").setLevel(logging.ERROR)

# Input length of a model whose extractor states none: that of AST.
DEFAULT_SECONDS = 10.24


def find_checkpoint(named: CheckpointId) -> Checkpoint:
    """Read a checkpoint's configuration and feature extractor, not its weights.

    Raises:
        ConfigurationError: there is none by that name, or it is not an audio classifier's.
    """
    if named.revision and Path(named.hf_ast).is_dir():
        raise ConfigurationError(
            f"{named.hf_ast} is a folder, which has no revisions: leave out --revision."
        )
    with in_one_sentence(named), warnings.catch_warnings():
        # It warns of empty mel filters at 128 bins, which every AST checkpoint has.
        warnings.simplefilter("ignore", UserWarning)
        config = AutoConfig.from_pretrained(named.hf_ast, **named.arguments)
        extractor = AutoFeatureExtractor.from_pretrained(named.hf_ast, **named.arguments)
    rate = getattr(extractor, "sampling_rate", None)
    if not rate:
        raise ConfigurationError(
            f"{named.hf_ast} is not an audio model: its feature extractor has no sampling rate."
        )
    activation, reason = activation_of(config)
    log.info("%s gives probabilities by %s: %s", named.hf_ast, activation, reason)
    labels = tuple(config.id2label[row] for row in range(config.num_labels))
    return Checkpoint(
        named,
        _fingerprint(named, config),
        int(rate),
        _window(extractor, config),
        labels,
        activation,
        extractor,
    )


def is_ast(extractor: object) -> bool:
    """Tell whether our own filter bank replaces this extractor."""
    return isinstance(extractor, ASTFeatureExtractor) and extractor.sampling_rate == SAMPLING_RATE


def _window(extractor: Any, config: Any) -> int:
    """Return the length of the model's input, in samples."""
    if is_ast(extractor):
        return samples_for(extractor.max_length)
    # Whisper-like extractors say how many samples they take.
    samples = getattr(extractor, "n_samples", None) or extractor.sampling_rate * DEFAULT_SECONDS
    # CED takes ``target_length`` frames, one for each hop and one more, and splits longer sound.
    frames, hop = getattr(config, "target_length", None), getattr(extractor, "hop_size", None)
    return min(int(samples), (frames - 1) * hop) if frames and hop else int(samples)


def _fingerprint(named: CheckpointId, config: Any) -> str:
    """Return the commit of a hub model, or a hash of a local folder: it may be trained again."""
    local = folder_fingerprint(Path(named.hf_ast))
    commit = getattr(config, "_commit_hash", None) or named.revision or "main"
    return local or f"{named.hf_ast}@{commit}"


@contextmanager
def in_one_sentence(named: CheckpointId) -> Iterator[None]:
    """Turn what transformers raises for a checkpoint into one sentence for the user."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        raise ConfigurationError(_sentence(named, error)) from error


def _sentence(named: CheckpointId, error: Exception) -> str:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if "trust_remote_code" in str(error):
        return (
            f"The model {named.hf_ast} brings its own code; --trust-remote-code allows it to run."
        )
    if isinstance(error, ImportError):
        packages = _packages(error)
        return f"The model {named.hf_ast} needs missing packages: pip install {packages}."
    if "for this kind of AutoModel" in said:
        return (
            f"The model {named.hf_ast} is not an audio classifier that transformers can load: AST,"
            " Wav2Vec2, HuBERT, WavLM, Whisper, or a model with its own code for this."
        )
    if "Repo id must" in said:
        return no_such_model(named)
    if Path(named.hf_ast).is_dir():
        return f"The model in the folder {named.hf_ast} could not be loaded: {said}."
    if not isinstance(error, OSError):
        return f"The model {named.hf_ast} could not be loaded: {said}."
    download = f"hf download {named.hf_ast} --local-dir ast"
    return (
        f"The model {named.hf_ast} could not be loaded: there is no local folder of that name, and "
        f"it could not be downloaded from the hub ({said}). Where the hub can be reached, run:"
        f" {download}; copy the folder here, and name it: --hf-ast ast."
    )


def _packages(error: ImportError) -> str:
    """Return the packages that a model's own code imports and that are missing."""
    # transformers looks at the imports before it runs the code, and names all of them.
    found = re.search(r"not found in your environment: (.+?)\. Run", str(error))
    return found[1].replace(",", "") if found else error.name or str(error).strip()
