"""Detect a misspelt model name before transformers is imported, which takes seconds."""

import logging
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tasks.errors import ConfigurationError
from tasks.model import CheckpointId

log = logging.getLogger(__name__)

_CONFIG = "config.json"
_TIMEOUT_SECONDS = 5.0


def require_checkpoint(named: CheckpointId) -> None:
    """Refuse a model that certainly does not exist.

    A hub that does not answer proves nothing: if everything is tagged, the run needs no model.

    Raises:
        ConfigurationError: there is no such folder, no such model on the hub, or no such revision.
    """
    folder = Path(named.hf_ast)
    if folder.is_dir():
        if not (folder / _CONFIG).is_file():
            raise ConfigurationError(
                f"The model in the folder {named.hf_ast} could not be loaded: it has no {_CONFIG}."
            )
        return
    try:
        if not try_to_load_from_cache(named.hf_ast, _CONFIG, revision=named.revision):
            url = hf_hub_url(named.hf_ast, _CONFIG, revision=named.revision)
            # Once, without the client's retries: half a minute where there is no network.
            get_hf_file_metadata(url, timeout=_TIMEOUT_SECONDS)
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise ConfigurationError(no_such_model(named)) from error
    except RevisionNotFoundError as error:
        raise ConfigurationError(
            f"The model {named.hf_ast} has no revision {named.revision}."
        ) from error
    except Exception as error:  # noqa: BLE001 - the errors of the hub's client have no one base
        log.debug("the hub does not say whether %s is there: %s", named.hf_ast, error)


def no_such_model(named: CheckpointId) -> str:
    """Say that there is neither a folder nor a model on the hub by this name."""
    return (
        f"There is no model {named.hf_ast}: neither a folder of that name, nor a model on the"
        " Hugging Face hub."
    )
