"""One decoder process behind pipes, killed when it does not answer in time.

Children are plain programs behind pipes: :mod:`multiprocessing` would import the parent's main
module again (Prefect, torch) and unpickle what they send.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tasks.audio.protocol import Message, Request, read_message, write_request
from tasks.errors import ConfigurationError, FailureKind, VideoError

# A child is replaced now and then, against leaks in the libraries (PyAV#1117).
VIDEOS_PER_CHILD = 1_000

_EXIT_GRACE_SECONDS = 10.0


class Child:
    """One child process and the pipes to it; used by one thread at a time."""

    def __init__(self, memory_limit: int) -> None:
        # A file, so that what a child prints neither floods the terminal nor fills a pipe.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._started_in = dict(os.environ)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tasks.audio.worker", str(memory_limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,  # the time limit polls the pipe: nothing may wait in a buffer before it
            env=environment(),
            # Ctrl-C is for the parent, which then stops its children itself.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._answers = _TimedPipe(self._process.stdout.fileno())
        self._asked = 0
        self._ready = self._answering = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it can be asked again: alive, not too old, and owing no answer."""
        stale = self._answering or self._asked >= VIDEOS_PER_CHILD
        return not stale and self._process.poll() is None

    @property
    def up_to_date(self) -> bool:
        """Whether the environment is still the one that it was started in."""
        return self._started_in == dict(os.environ)

    def ask(self, request: Request, time_limit: float) -> Iterator[tuple[Message, bytes]]:
        """Yield the messages of the child's answer; the last one is the result.

        Args:
            time_limit: seconds in which each message has to arrive.

        Raises:
            VideoError: ``timeout`` or ``crashed``; the child is dead then.
            ConfigurationError: the child did not start.
        """
        assert self._process.stdin is not None
        self._asked += 1
        self._answering = True
        try:
            self._answers.expect_within(time_limit)
            if not self._ready:
                self._ready = read_message(self._answers)[0]["ready"]
            write_request(self._process.stdin, request)
            while self._answering:
                answer, clip = read_message(self._answers)
                self._answering = "start" in answer or "reading" in answer
                yield answer, clip
                self._answers.expect_within(time_limit)
        except TimeoutError:
            self.kill()
            self._process.wait()
            reason = f"not decoded within {time_limit:g} seconds"
            raise VideoError(FailureKind.TIMEOUT, reason) from None
        except (EOFError, OSError):
            raise self._exit_error() from None

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # the child has not read its request
                    stream.close()

    def _exit_error(self) -> VideoError | ConfigurationError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_GRACE_SECONDS)  # its pipe closes a moment before it ends
        self.kill()
        status = self._process.wait()
        if not self._ready and status > 0:
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            message = lines[-1] if lines else "no message"
            return ConfigurationError(f"the decoder process does not start: {message}")
        try:
            cause = signal.Signals(-status).name
        except ValueError:
            cause = f"exit status {status}"
        return VideoError(FailureKind.CRASHED, f"the decoder process crashed ({cause})")


class _TimedPipe:
    """The reading end of a pipe, with a deadline."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._deadline = descriptor, 0.0
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLIN)

    def expect_within(self, seconds: float) -> None:
        """Set the deadline for what is read next."""
        self._deadline = time.monotonic() + seconds

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes, fewer when the pipe ends.

        Raises:
            TimeoutError: they did not arrive in time.
        """
        data = bytearray(size)
        view, count = memoryview(data), 0
        while count < size:
            left = self._deadline - time.monotonic()
            if left <= 0 or not self._ready.poll(1_000 * left):
                raise TimeoutError
            if not (read := os.readv(self._descriptor, [view[count:]])):
                break
            count += read
        return bytes(view[:count])


def environment() -> dict[str, str]:
    """Return the parent's environment with its module path: a child starts from any directory."""
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    # One thread per child: the pool runs in parallel already, and each thread takes address space.
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    # Memory that one video frees is kept for the next. Fresh pages for FFmpeg's index of an hour of
    # MP4 would take a quarter of the CPU time of its extraction.
    kept = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
    return os.environ | single | kept | {"PYTHONPATH": path}
