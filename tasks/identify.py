"""Identification: what each video of a unit is now, so that what is known of it can be found."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from tasks.errors import Failure, TransientError
from tasks.storage import Identity, identify

IDENTIFY_SECONDS = 60.0
"""Limit for the identities of a unit's videos: one request each, all at the same time."""

_MAX_REQUESTS = 512
_requests = threading.BoundedSemaphore(_MAX_REQUESTS)


@dataclass(frozen=True)
class Video:
    """A video and its identity now, which is part of every cache key."""

    url: str
    identity: Identity


def identify_videos(urls: Sequence[str]) -> list[Video | Failure]:
    """Return size and etag (or modification time) of each video, in order."""
    deadline = time.monotonic() + IDENTIFY_SECONDS
    answers = [_ask(url, deadline) for url in urls]
    return [_identified(url, answer, deadline) for url, answer in zip(urls, answers, strict=True)]


def _ask(url: str, deadline: float) -> Future[Identity] | None:
    """Ask for an identity on a thread of its own; None when too many do not answer.

    Nothing can stop a thread in a store that hangs. It is a daemon, so that the process ends in
    spite of it, and does not come out of a pool, so that no other video waits for it.
    """
    if not _requests.acquire(timeout=max(0.0, deadline - time.monotonic())):
        return None
    answer: Future[Identity] = Future()

    def ask() -> None:
        try:
            answer.set_result(identify(url))
        except BaseException as error:  # noqa: BLE001 - raised again, or recorded, by the reader
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
