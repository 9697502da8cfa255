"""Choose the executor of a run: this process, or a Ray cluster."""

import re
from collections.abc import Callable
from importlib.util import find_spec

from tasks.cache import Cache
from tasks.errors import ConfigurationError
from tasks.executor import ManagedExecutor
from tasks.local import LocalExecutor
from tasks.shown import shown

_HOST_AND_PORT = r"[^\s/@]+:[1-9][0-9]{0,4}"


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
    require_ray(ray)
    from tasks.on_ray import RayExecutor  # an extra of the package, and a second to import

    return RayExecutor(ray, cache, say)


def require_ray(address: str) -> None:
    """Check that Ray is installed, and that this may be an address of a cluster.

    Raises:
        ConfigurationError: it is not installed, or no cluster has such an address.
    """
    if find_spec("ray") is None:
        raise ConfigurationError(
            "--ray needs Ray, which is not installed: pip install 'video-audio-tags[ray]'"
        )
    if address.startswith("ray://"):
        raise ConfigurationError(
            f"{shown(address)!r} is an address of Ray Client: run this on a machine of the cluster,"
            " with --ray auto."
        )
    if address not in ("local", "auto") and not re.fullmatch(_HOST_AND_PORT, address):
        raise ConfigurationError(
            f"{shown(address)!r} is no address of a Ray cluster: use local, auto or HOST:PORT."
        )
