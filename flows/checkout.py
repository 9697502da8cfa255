"""Find the folder of the project: the pull step of the deployments."""

from pathlib import Path


def enter_project() -> dict[str, str]:
    """Return the folder that holds ``flows/``, in which Prefect then finds the entrypoint.

    That is a checkout or ``site-packages``. An absolute path in the deployment would only be right
    on the machine that deployed it, and the worker may start in any folder.
    """
    return {"directory": str(Path(__file__).resolve().parent.parent)}
