"""The executor that extracts and tags units on a Ray cluster.

Imported with ``--ray`` only: Ray is an extra of the package.
"""

import os

# Otherwise a call after the disconnection would start a new cluster on this machine.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

from tasks.on_ray.executor import RayExecutor

__all__ = ["RayExecutor"]
