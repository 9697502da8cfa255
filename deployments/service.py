"""Processes that outlive the command that starts them."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_STOP_SECONDS = 30


@dataclass(frozen=True)
class Service:
    """A process that outlives this one.

    It holds a lock on its ``.pid`` file as long as it lives, so that a number that the system has
    given to another process meanwhile is never taken for it.
    """

    name: str
    state: Path

    @property
    def log(self) -> Path:
        return self.state / "logs" / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.state / f"{self.name}.pid"

    def pid(self) -> int | None:
        """Return its process, None when it does not run."""
        try:
            with self._pid_file.open("r+") as file:
                return None if _lock(file) else int(file.read())
        except FileNotFoundError:
            return None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it in a session of its own; nothing to do when it runs."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self._pid_file.open("a") as file, self.log.open("ab") as log:
            if not _lock(file):
                return
            process = subprocess.Popen(
                command,
                cwd=self.state,  # the deployments do not depend on it
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[file.fileno()],
            )
            file.truncate(0)
            file.write(str(process.pid))

    def stop(self) -> bool:
        """Stop it and what it started; whether it ran."""
        pid = self.pid()
        if pid is None:
            return False
        for sign in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(pid, sign)
            deadline = time.monotonic() + _STOP_SECONDS
            while self.pid() is not None and time.monotonic() < deadline:
                time.sleep(0.1)
            if self.pid() is None:
                break
        return True


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
