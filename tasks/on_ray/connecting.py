"""Connect this process to a Ray cluster, or say in one sentence why that is not possible."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
from ray._private import services

from tasks.errors import ConfigurationError
from tasks.on_ray import trial
from tasks.on_ray.reach import reach
from tasks.shown import shown

# A busy machine needs long; an address without a head is refused before this wait.
_TRIAL_SECONDS = 60.0
_POLL_SECONDS = 0.1
# What Ray logs while it retries in vain, and what that means.
_HOPELESS = {
    "InvalidAuthToken": "InvalidAuthToken",
    "rpc_code: 12": "the server that answers there is not the head of a cluster",
}

_find_head: Any = services.canonicalize_bootstrap_address_or_die  # untyped


def connect(address: str) -> None:
    """Connect this process to the cluster at ``HOST:PORT``, to the one that this machine is part of
    (``auto``), or to a new one on this machine alone (``local``).

    Raises:
        ConfigurationError: there is no such cluster, or it runs another version of Ray or Python.
    """
    # The user was not asked for consent to Ray's usage statistics.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    head = address if address == "local" else _try(address)
    # ray.init replaces the handler of SIGTERM, and a cancelled run would end as Crashed.
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            head,
            log_to_driver=False,
            configure_logging=False,
            # A cluster that ends with this run needs none.
            include_dashboard=False if address == "local" else None,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigurationError(_refusal(address, str(error))) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _try(address: str) -> str:
    """Return the address of a cluster's head, after a child process has connected to it once."""
    try:
        head = str(_find_head(address)) if address == "auto" else address
    except ConnectionError as error:
        raise ConfigurationError(_refusal(address, str(error))) from error
    if wrong := reach(head):
        raise ConfigurationError(_refusal(address, wrong))
    # Not as a module: its package would import much more than the trial needs.
    command = [sys.executable, "-P", trial.__file__, head]
    path = os.pathsep.join(filter(None, sys.path))
    # With this limit Ray itself says, in time, that this machine is not part of the cluster.
    limits = {"RAY_gcs_server_request_timeout_seconds": "5", "PYTHONPATH": path}
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with (
            log.open("w") as stderr,
            subprocess.Popen(
                command,
                env=os.environ | limits,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            ) as tried,
        ):
            try:
                hopeless = _wait(tried, log)
            finally:
                tried.kill()
            assert tried.stdout
            said = hopeless or tried.stdout.read()
    if tried.returncode:
        raise ConfigurationError(_refusal(address, said))
    return head


def _wait(tried: "subprocess.Popen[str]", log: Path) -> str:
    """Wait for the trial to end; return the reason if it is given up, else ""."""
    deadline = time.monotonic() + _TRIAL_SECONDS
    while tried.poll() is None:
        logged = log.read_text(errors="replace")
        for sign, meaning in _HOPELESS.items():
            if sign in logged:
                return meaning
        if time.monotonic() > deadline:
            return f"no Ray cluster answers there within {_TRIAL_SECONDS:g} seconds"
        time.sleep(_POLL_SECONDS)
    return ""


def _refusal(address: str, said: str) -> str:
    """Say in one sentence why a cluster cannot be used."""
    versions = re.findall(r"Ray: (\S+) *Python: (\S+)", " ".join(said.split()))
    if len(versions) == 2:
        (ray_there, python_there), (ray_here, python_here) = versions
        return (
            f"The Ray cluster at {shown(address)} runs Ray {ray_there} on Python {python_there},"
            f" here are Ray {ray_here} and Python {python_here}: install the same on every machine."
        )
    if "No node info found" in said:
        return (
            f"This machine is not part of the Ray cluster at {shown(address)}: run this on one"
            " that is, or start Ray here with `ray start`."
        )
    if "InvalidAuthToken" in said or "no authentication token was found" in said:
        return (
            f"The Ray cluster at {shown(address)} asks for a token that this machine does not have:"
            " set RAY_AUTH_MODE=token, and copy ~/.ray/auth_token from its head or set"
            " RAY_AUTH_TOKEN."
        )
    if "Could not find any running Ray instance" in said:
        return (
            "There is no Ray cluster on this machine: start one by `ray start`, name the head of"
            " another by --ray HOST:PORT, or use --ray local."
        )
    where = "on this machine" if address == "auto" else f"at {shown(address)}"
    reason = shown(said.strip().splitlines()[-1] if said.strip() else "it does not start")
    return f"There is no Ray cluster {where}: {reason.rstrip('.')}."
