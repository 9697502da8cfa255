"""``make deploy``: deploy to the server that PREFECT_API_URL names.

The work pool is made where it is missing: a process pool, for workers on machines where the package
is installed. A pool of that name and another type (Docker, Kubernetes) is used as it is.
"""

import subprocess
import sys
from contextlib import suppress

from local import POOL, ROOT
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_API_URL

_DEPLOY = ("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")


def deploy() -> int:
    """Make the work pool and deploy; returns the exit status of ``prefect deploy``."""
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    return subprocess.run([sys.executable, "-m", "prefect", *_DEPLOY], cwd=ROOT).returncode


def main() -> int:
    """Do it, or say what is missing."""
    if not PREFECT_API_URL.value():
        print("Name the server: export PREFECT_API_URL=http://127.0.0.1:4200/api", file=sys.stderr)
        return 2
    return deploy()


if __name__ == "__main__":
    sys.exit(main())
