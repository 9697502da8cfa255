"""Identify the videos of a unit as they are now, so that their cache entries can be found."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from tasks.errors import Failure, TransientError
from tasks.storage import Identity, identify

IDENTIFY_SECONDS = 60.0
"""Limit for identifying the videos of a unit: one request each, all at the same time."""

_MAX_REQUESTS = 512
_requests = threading.BoundedSemaphore(_MAX_REQUESTS)


@dataclass(frozen=True)
class Video:
    """A video and its identity now, which is part of every cache key."""

    url: str
    identity: Identity


def identify_videos(urls: Sequence[str]) -> list[Video | Failure]:
    """Return each video with its size and ETag (or modification time), or its failure, in order."""
    deadline = time.monotonic() + IDENTIFY_SECONDS
    answers = [_ask(url, deadline) for url in urls]
    return [_identified(url, answer, deadline) for url, answer in zip(urls, answers, strict=True)]


def _ask(url: str, deadline: float) -> Future[Identity] | None:
    """Request an identity on a thread of its own; None when too many requests are unanswered.

    A thread that waits for a store cannot be stopped. So it is a daemon, which lets the process
    end, and not one of a pool, where other videos would wait for it.
    """
    if not _requests.acquire(timeout=max(0.0, deadline - time.monotonic())):
        return None
    answer: Future[Identity] = Future()

    def ask() -> None:
        try:
            answer.set_result(identify(url))
        except BaseException as error:  # noqa: BLE001 - recorded by the thread that asked
            answer.set_exception(error)
        finally:
            _requests.release()

    threading.Thread(target=ask, name="identify", daemon=True).start()
    return answer


def _identified(url: str, answer: Future[Identity] | None, deadline: float) -> Video | Failure:
    try:
        if answer is None:
            raise TimeoutError
        error = answer.exception(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        reason = f"the store did not answer within {IDENTIFY_SECONDS:g} seconds"
        return Failure.of(url, TransientError(reason))
    return Video(url, answer.result()) if error is None else Failure.of(url, error)
