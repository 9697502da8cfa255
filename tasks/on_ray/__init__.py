"""The executor that does the work of units on a Ray cluster.

Imported with ``--ray`` only: Ray is an extra of the package.
"""

from tasks.on_ray.executor import RayExecutor

__all__ = ["RayExecutor"]
