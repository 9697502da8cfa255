"""Messages between the pool and its child processes: JSON facts, then raw bytes. Never pickle.

A child first sends that it is ready. It answers a request with one message for each clip (its start
and its bytes), with a sign of life every few seconds while there is no clip, and at last with the
result: what :class:`tasks.audio.pool.Extracted` holds, or why the video failed. After a failure the
clips that were sent before are void.
"""

import json
import struct
from dataclasses import asdict, dataclass
from typing import IO, Protocol, TypedDict

from tasks.audio.window import Window, Windows
from tasks.storage import Identity


@dataclass(frozen=True)
class Request:
    """Asks for the clips of a video: see :meth:`tasks.audio.pool.DecoderPool.extract`."""

    url: str
    window: Window
    identity: Identity | None
    windows: Windows
    only_at: float | None


class Message(TypedDict, total=False):
    """The facts of one message of a child: ready, a clip, a sign of life, or the last one."""

    ready: bool
    start: float
    reading: bool
    bytes_read: int
    notes: str | None
    read_through: str | None
    kind: str
    reason: str


class Pipe(Protocol):
    """A stream of messages: ``read`` returns ``size`` bytes, fewer at the end."""

    def read(self, size: int, /) -> bytes: ...


_LENGTHS = struct.Struct("<QQ")  # bytes of JSON, bytes of payload


def write_request(stream: IO[bytes], request: Request) -> None:
    """Write a request, for :func:`read_request`."""
    _write(stream, json.dumps(asdict(request)), b"")


def write_message(stream: IO[bytes], answer: Message, clip: bytes = b"") -> None:
    """Write a message of a child, and the clip that comes with it, for :func:`read_message`."""
    _write(stream, json.dumps(answer), clip)


def read_request(stream: Pipe) -> Request:
    """Read the next request. Raises as :func:`read_message`."""
    facts = json.loads(_read(stream)[0])
    window, identity = facts.pop("window"), facts.pop("identity")
    return Request(
        window=Window(**window), identity=Identity(**identity) if identity else None, **facts
    )


def read_message(stream: Pipe) -> tuple[Message, bytes]:
    """Read the next message of a child, and the clip that comes with it.

    Raises:
        EOFError: the other side has gone, perhaps in mid-message.
    """
    head, clip = _read(stream)
    answer: Message = json.loads(head)
    return answer, clip


def _write(stream: IO[bytes], facts: str, payload: bytes) -> None:
    head = facts.encode()
    stream.write(_LENGTHS.pack(len(head), len(payload)) + head)
    stream.write(payload)
    stream.flush()


def _read(stream: Pipe) -> tuple[bytes, bytes]:
    head_size, payload_size = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    return _read_exactly(stream, head_size), _read_exactly(stream, payload_size)


def _read_exactly(stream: Pipe, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the other side has gone")
    return data
