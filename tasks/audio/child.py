"""One decoder process behind pipes, killed when it does not answer in time.

Children are plain programs behind pipes: :mod:`multiprocessing` would import the parent's main
module again (Prefect, torch) and unpickle what they send.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from tasks.audio.protocol import read_message, write_message
from tasks.errors import ConfigurationError, FailureKind, VideoError

# A child is replaced now and then, against leaks in the libraries (PyAV#1117).
VIDEOS_PER_CHILD = 1_000

_EXIT_GRACE_SECONDS = 10.0


class Child:
    """One child process and the pipes to it; used by one thread at a time."""

    def __init__(self, memory_limit: int) -> None:
        # A file, so that what a child prints neither floods the terminal nor fills a pipe.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tasks.audio.worker", str(memory_limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(),
            # Ctrl-C is for the parent, which then stops its children itself.
            start_new_session=True,
        )
        self._asked = 0
        self._ready = self._answering = self._timed_out = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it can be asked again: alive, not too old, and owing no answer."""
        stale = self._answering or self._timed_out or self._asked >= VIDEOS_PER_CHILD
        return not stale and self._process.poll() is None

    def ask(self, request: dict[str, Any], time_limit: float) -> tuple[dict[str, Any], bytes]:
        """The child's answer.

        Raises:
            VideoError: ``timeout`` or ``crashed``; the child is dead then.
            ConfigurationError: the child did not even start.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked += 1
        self._answering = True
        timer = threading.Timer(time_limit, self._time_out)
        timer.start()
        try:
            if not self._ready:
                self._ready = bool(read_message(self._process.stdout)[0]["ready"])
            write_message(self._process.stdin, request)
            answer = read_message(self._process.stdout)
        except (EOFError, OSError):
            raise self._exit_error(time_limit) from None
        finally:
            timer.cancel()
        self._answering = False
        return answer

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # what it was never sent
                    stream.close()

    def _exit_error(self, time_limit: float) -> VideoError | ConfigurationError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_GRACE_SECONDS)  # its pipe closes a moment before it is dead
        self.kill()
        status = self._process.wait()
        if self._timed_out:
            return VideoError(FailureKind.TIMEOUT, f"not decoded within {time_limit:g} seconds")
        if not self._ready and status > 0:
            return ConfigurationError(f"the decoder process does not start: {self._stderr_tail()}")
        return VideoError(FailureKind.CRASHED, f"the decoder process crashed ({_cause(status)})")

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _stderr_tail(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"


def _environment() -> dict[str, str]:
    """The parent's, with its module path: a child starts from any directory."""
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    # One thread a child: the pool is the parallelism, and each thread costs address space.
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    return os.environ | single | {"PYTHONPATH": path}


def _cause(status: int) -> str:
    """The signal that ended a process, by name, or else its exit status."""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"
