"""Choose the executor of a run: this process, or a Ray cluster."""

from collections.abc import Callable

from tasks.cache import Cache
from tasks.errors import ConfigurationError
from tasks.executor import ManagedExecutor
from tasks.local import LocalExecutor


def start_executor(
    ray: str | None, cache: Cache | None, say: Callable[[str], None]
) -> ManagedExecutor:
    """Return this process as the executor, or the Ray cluster at an address.

    Args:
        ray: None, ``local``, ``auto`` or ``HOST:PORT``.
        cache: the cache; None keeps nothing between runs.
        say: is called with each message about the cluster.

    Raises:
        ConfigurationError: Ray is not installed, or there is no such cluster.
    """
    if ray is None:
        return LocalExecutor(cache)
    try:
        from tasks.on_ray import RayExecutor  # an extra of the package, and a second to import
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ConfigurationError(
            "--ray needs Ray, which is not installed: pip install 'video-audio-tags[ray]'"
        ) from error
    return RayExecutor(ray, cache, say)
