"""Decode videos in child processes that can be killed.

A segmentation fault, an endless loop or a memory bomb in FFmpeg costs one video, never the run,
and a time limit really stops.
"""

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from tasks.audio.child import Child
from tasks.audio.clips import Clips
from tasks.audio.protocol import Message, Request
from tasks.audio.window import Window, Windows
from tasks.errors import TransientError, VideoError
from tasks.storage import Identity

# Between two messages of a child, which sends one after each window: a video may last a day.
TIME_LIMIT_SECONDS = 120.0
# Address space of a child in bytes. An idle child has 0.36 GB reserved and 0.07 GB in use; the
# largest window that is mixed, 24 channels at 192 kHz, takes 0.2 GB as float32 and as much again
# while it is made.
MEMORY_LIMIT = 2 * 2**30

_STOPPED = "the run was stopped before this video was decoded"


@dataclass(frozen=True)
class Extracted:
    """The result of extracting one video.

    Attributes:
        clips: its sound, one clip for each window; none when it has no sound. The caller closes
            them.
        bytes_read: from the network or the disk.
        notes: remarks on the sound for a person, or None.
        read_through: its format, if that offers no way to seek, so that all of the file was read;
            else None.
    """

    clips: Clips
    bytes_read: int
    notes: str | None
    read_through: str | None = None

    @property
    def empty(self) -> bool:
        """Whether the video has no sound."""
        return not len(self.clips)


class DecoderPool:
    """Child processes that decode, started when they are first needed.

    May be used from many threads at once: a call waits until a child is free.

    Attributes:
        size: the maximum number of children.
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
        self._slots: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        self._children: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The process ids of the children that were started."""
        with self._lock:
            return [child.pid for child in self._children]

    def extract(
        self,
        url: str,
        window: Window,
        identity: Identity | None = None,
        windows: Windows = "start",
        only_at: float | None = None,
    ) -> Extracted:
        """Extract the clips of the video at ``url``, each of them sound for one ``window``.

        Args:
            identity: from :func:`tasks.storage.identify`, to be still the same after the reading;
                None reads whatever is there.
            windows: which parts of the video are decoded.
            only_at: extract only the window that starts there, in seconds.

        Raises:
            VideoError: the video cannot be tagged; ``kind`` and ``reason`` say why.
            TransientError: it may succeed later.
            ConfigurationError: the child processes do not start.
        """
        clips = Clips()
        try:
            last = self._ask(Request(url, window, identity, windows, only_at), clips)
        except BaseException:
            clips.close()
            raise
        return Extracted(clips, last["bytes_read"], last["notes"], last["read_through"])

    def renew(self) -> None:
        """End idle children that were started in another environment, with old keys of a store."""
        idle = []
        with suppress(queue.Empty):
            while True:
                idle.append(self._slots.get_nowait())
        for child in reversed(idle):
            outdated = child is not None and not child.up_to_date
            if outdated:
                self._retire(child)
            self._slots.put(None if outdated else child)

    def close(self) -> None:
        """Kill the children. Calls under way end with a :class:`TransientError`."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()
        # Every slot comes back: the thread that held it has lost its child.
        for slot in [self._slots.get() for _ in range(self.size)]:
            self._retire(slot)
            self._slots.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: Request, clips: Clips) -> Message:
        """Collect the clips that a child sends; return its last message."""
        child = self._slots.get()
        try:
            if child is not None and not child.usable:
                self._retire(child)
                child = None
            if child is None:
                child = self._start()
            answer: Message = {}
            for answer, clip in child.ask(request, self._time_limit):
                if "start" in answer:
                    clips.add(answer["start"], clip)
            if "kind" not in answer:
                return answer
            if answer["kind"] == TransientError.kind:
                raise TransientError(answer["reason"])
            raise VideoError(answer["kind"], answer["reason"])
        except VideoError:
            if self._closed:
                raise TransientError(_STOPPED) from None
            raise
        finally:
            self._slots.put(child)

    def _start(self) -> Child:
        with self._lock:
            if self._closed:
                raise TransientError(_STOPPED)
            child = Child(self._memory_limit)
            self._children.add(child)
        return child

    def _retire(self, child: Child | None) -> None:
        if child is not None:
            child.close()
            with self._lock:
                self._children.discard(child)
