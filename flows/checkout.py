"""Where the project lies: the pull step of the deployments."""

from pathlib import Path


def enter_project() -> dict[str, str]:
    """Return the folder that holds ``flows/``, in which Prefect then finds the entrypoint.

    A checkout or ``site-packages``, whichever is installed: an absolute path in the deployment
    would be that of the machine that deployed, and the worker may start in any folder.
    """
    return {"directory": str(Path(__file__).resolve().parent.parent)}
