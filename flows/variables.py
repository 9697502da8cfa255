"""Read variables of the Prefect server, the defaults for parameters of a deployment's runs.

They are read when a run starts, so that a change takes effect in the next run. Runs in a terminal
or from Python, which belong to no deployment, read none.
"""

from prefect.runtime import deployment
from prefect.variables import Variable

from tasks.errors import ConfigurationError

_SET_MANIFESTS = (
    """prefect variable set --overwrite tag_videos_manifests '["s3://bucket/manifests/*.jsonl"]'"""
)


def named_manifests(parameter: list[str]) -> list[str]:
    """Return the manifests of the parameter, or of the variable ``tag_videos_manifests``.

    Raises:
        ConfigurationError: neither names any.
    """
    manifests = parameter or _variable("tag_videos_manifests")
    if not manifests:
        raise ConfigurationError(
            "No manifest is named, neither by the parameter manifests nor by the variable"
            f" tag_videos_manifests. Set it: {_SET_MANIFESTS}"
        )
    if isinstance(manifests, str):
        return [manifests]
    if not isinstance(manifests, list) or not all(isinstance(url, str) for url in manifests):
        raise ConfigurationError(
            f"The variable tag_videos_manifests must be a path or a list of paths: {_SET_MANIFESTS}"
        )
    return manifests


def text_variable(name: str) -> str | None:
    """Return the text of a variable, None if it is not set.

    Raises:
        ConfigurationError: it is not a string.
    """
    value = _variable(name)
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(
            f"The variable {name} must be a string: prefect variable set --overwrite {name} ..."
        )
    return value or None


def _variable(name: str) -> object:
    return Variable.get(name) if deployment.id else None
