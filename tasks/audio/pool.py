"""Decode videos in child processes that can be killed.

A segmentation fault, an endless loop or a memory bomb in FFmpeg costs one video, never the run,
and a time limit really stops. Children are plain programs behind pipes: :mod:`multiprocessing`
would import the parent's main module again (Prefect, torch) and unpickle what they send.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from tasks.audio.clip import Clip, make_clip
from tasks.audio.protocol import read_message, write_message
from tasks.audio.window import Segment, Window
from tasks.errors import ConfigurationError, TransientError, VideoError
from tasks.storage import Identity

TIME_LIMIT_SECONDS = 120.0
# Of address space, of which a child at rest has 0.36 GB reserved and 0.07 GB in use. The window of
# 24 channels at 192 kHz, the most that is mixed, takes 0.2 GB as float32 and as much on the way.
MEMORY_LIMIT = 2 * 2**30
# A child is replaced now and then, against leaks in the libraries (PyAV#1117).
VIDEOS_PER_CHILD = 1_000

_DYING_SECONDS = 10.0
_STOPPED = "the run was stopped before this video was decoded"


@dataclass(frozen=True)
class Extracted:
    """What became of one video.

    Attributes:
        clip: its sound; empty when it has none.
        bytes_read: what crossed the wire, or came from the disk.
        notes: what a person should know of the sound, or None when all is well.
    """

    clip: Clip
    bytes_read: int
    notes: str | None


class DecoderPool:
    """Child processes that decode, started when they are first needed.

    May be used from many threads at once: a call waits until a child is free.

    Attributes:
        size: the most children at a time.
    """

    def __init__(
        self,
        size: int,
        time_limit_s: float = TIME_LIMIT_SECONDS,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        if size < 1:
            raise ValueError("a pool needs at least one process")
        self.size, self._time_limit, self._memory_limit = size, time_limit_s, memory_limit
        # Last in, first out: a child that is up is used before another is started.
        self._slots: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        self._children: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The process ids of the children that were started."""
        with self._lock:
            return [child.pid for child in self._children]

    def extract(self, url: str, window: Window, identity: Identity | None = None) -> Extracted:
        """The start of the sound of the video at ``url``, as ``window`` wants to hear it.

        Args:
            identity: what the video must be while it is read, as :func:`tasks.storage.identify`
                told; None reads what is there.

        Raises:
            VideoError: the video cannot be tagged; ``kind`` and ``reason`` say why.
            TransientError: it may be possible another time.
            ConfigurationError: the child processes do not even start.
        """
        request = {
            "url": url,
            "window": asdict(window),
            "identity": asdict(identity) if identity else None,
        }
        facts, payload = self._ask(request)
        if "kind" in facts:
            if facts["kind"] == TransientError.kind:
                raise TransientError(facts["reason"])
            raise VideoError(facts["kind"], facts["reason"])
        # Here, in the caller's thread: librosa in every child would cost 200 MB each.
        clip = make_clip(_segments(facts["segments"], payload), window)
        return Extracted(clip, facts["bytes_read"], facts["notes"])

    def close(self) -> None:
        """Kill the children. Calls under way end with a :class:`TransientError`."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()
        # Every slot comes back, since whoever had one has lost its child.
        for slot in [self._slots.get() for _ in range(self.size)]:
            self._retire(slot)
            self._slots.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        child = self._slots.get()
        try:
            if child is not None and not child.usable:
                self._retire(child)
                child = None
            if child is None:
                child = self._start()
            return child.ask(request, self._time_limit)
        except VideoError:
            if self._closed:
                raise TransientError(_STOPPED) from None
            raise
        finally:
            self._slots.put(child)

    def _start(self) -> "_Child":
        with self._lock:
            if self._closed:
                raise TransientError(_STOPPED)
            child = _Child(self._memory_limit)
            self._children.add(child)
        return child

    def _retire(self, child: "_Child | None") -> None:
        if child is not None:
            child.close()
            with self._lock:
                self._children.discard(child)


class _Child:
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
            raise self._obituary(time_limit) from None
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

    def _obituary(self, time_limit: float) -> VideoError | ConfigurationError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DYING_SECONDS)  # its pipe closes a moment before it is dead
        self.kill()
        status = self._process.wait()
        if self._timed_out:
            return VideoError("timeout", f"not decoded within {time_limit:g} seconds")
        if not self._ready and status > 0:
            return ConfigurationError(f"the decoder does not start: {self._last_words()}")
        return VideoError("crashed", f"the decoder crashed ({_cause(status)})")

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it says nothing"


def _environment() -> dict[str, str]:
    """The parent's, with its module path: a child starts from any directory."""
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    # One thread a child: the pool is the parallelism, and each thread costs address space.
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    return os.environ | single | {"PYTHONPATH": path}


def _segments(sizes: list[tuple[int, int]], payload: bytes) -> list[Segment]:
    sound = np.frombuffer(payload, np.float32)
    ends = np.cumsum([count for _, count in sizes], dtype=np.int64)
    return [
        (rate, sound[end - count : end]) for (rate, count), end in zip(sizes, ends, strict=True)
    ]


def _cause(status: int) -> str:
    """The signal that ended a process, by name, or else its exit status."""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"
