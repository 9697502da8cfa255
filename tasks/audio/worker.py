"""The main program of a child process: decode one video after another until the parent has gone.

``python -m tasks.audio.worker MEMORY_LIMIT`` reads requests from stdin and answers on stdout (see
:mod:`tasks.audio.protocol`). It imports neither Prefect nor librosa, so it is small and starts
quickly. Failures stay in this process: every exception becomes an answer.
"""

import contextlib
import os
import queue
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import BinaryIO

from tasks.audio.extraction import Remarks, extract_clips
from tasks.audio.protocol import Message, Request, read_request, write_message
from tasks.audio.source import opened
from tasks.errors import FailureKind, TransientError, VideoError

PULSE_SECONDS = 5.0

Send = Callable[[Message, bytes], None]


def main() -> None:
    """Answer the requests on stdin, one after another, until it is closed."""
    _limit_memory(int(sys.argv[1]))
    requests = _requests(sys.stdin.buffer)
    # Stdout is kept for answers: anything else that is printed goes to stderr.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    write_message(answers, {"ready": True})
    for request in requests:
        last = answer(request, lambda facts, clip: write_message(answers, facts, clip))
        write_message(answers, last)


def answer(request: Request, send: Send) -> Message:
    """Extract one video: send each clip, then return the last message.

    Every exception becomes an answer about this video.
    """
    try:
        return _extract(request, send)
    except (VideoError, TransientError) as error:
        return {"kind": error.kind, "reason": error.reason}
    except MemoryError:
        return {"kind": FailureKind.MEMORY, "reason": "exceeds the per-video memory limit"}
    except Exception as error:  # noqa: BLE001 - one video must not end the child for the others
        traceback.print_exc()
        return {"kind": FailureKind.CRASHED, "reason": f"{type(error).__name__}: {error}"}


def _extract(request: Request, send: Send) -> Message:
    with opened(request.url, request.identity) as source:
        clips = extract_clips(
            source, request.window, request.windows, _Pulse(send), request.only_at
        )
        while True:
            try:
                start, clip = next(clips)
            except StopIteration as end:
                remarks: Remarks = end.value
                break
            send({"start": round(start, 3)}, clip.to_bytes())
    return {
        "bytes_read": source.bytes_read,
        "notes": remarks.notes,
        "read_through": remarks.read_through,
    }


class _Pulse:
    """Tells the parent every few seconds that a video is still being read."""

    def __init__(self, send: Send) -> None:
        self._send, self._last = send, time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last > PULSE_SECONDS:
            self._last = now
            self._send({"reading": True}, b"")


def _requests(stream: BinaryIO) -> Iterator[Request]:
    """Return the requests, read on a thread of their own.

    When the parent dies, its end of the pipe closes: the thread then ends this process, even while
    FFmpeg is busy or stuck.
    """
    arrived: queue.SimpleQueue[Request] = queue.SimpleQueue()

    def receive() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                arrived.put(read_request(stream))
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    return iter(arrived.get, None)


def _limit_memory(memory: int) -> None:
    """Limit this process to ``memory`` bytes: a memory bomb fails here, not the whole machine."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # macOS refuses an address-space limit; the time limit remains.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


if __name__ == "__main__":
    main()
