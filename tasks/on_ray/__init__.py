"""The executor that does the work of units on a Ray cluster.

Imported with ``--ray`` only: Ray is an extra of the package.
"""

import os

# A call that comes too late, after the cluster was left, would start another on this machine.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

from tasks.on_ray.executor import RayExecutor

__all__ = ["RayExecutor"]
