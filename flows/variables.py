"""Variables of the Prefect server: what a deployment's run takes where no parameter says otherwise.

They are read when the run starts, so that changing one changes the next run. A parameter beats its
variable; runs in a terminal or from Python, which belong to no deployment, read none.
"""

from typing import Any

from prefect.runtime import deployment
from prefect.variables import Variable

from tasks.errors import ConfigurationError

_SET_MANIFESTS = """prefect variable set tag_videos_manifests '["s3://bucket/manifests/*.jsonl"]'"""


def named_manifests(parameter: list[str]) -> list[str]:
    """Returns the manifests of the parameter, or of the variable ``tag_videos_manifests``.

    Raises:
        ConfigurationError: neither names any.
    """
    manifests = parameter or _variable("tag_videos_manifests")
    if isinstance(manifests, str):
        return [manifests]
    if isinstance(manifests, list) and manifests and all(isinstance(url, str) for url in manifests):
        return manifests
    if manifests:
        raise ConfigurationError(
            "The variable tag_videos_manifests is neither a path nor a list of paths. Set it:"
            f" {_SET_MANIFESTS}"
        )
    raise ConfigurationError(
        "No manifest is named, neither by the parameter manifests nor by the variable"
        f" tag_videos_manifests. Set it: {_SET_MANIFESTS}"
    )


def text(name: str) -> str | None:
    """Returns the text of a variable, None where it is not set.

    Raises:
        ConfigurationError: it is no text.
    """
    value = _variable(name)
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"The variable {name} is no text. Set it: prefect variable set {name} TEXT")
    return value or None


def _variable(name: str) -> Any:
    return Variable.get(name) if deployment.id else None
