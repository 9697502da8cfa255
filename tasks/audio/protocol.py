"""Messages between the pool and its child processes: JSON facts, then raw bytes. Never pickle.

A child answers a request with one message for each clip, ``{"start": seconds}`` and the clip's
bytes, with ``{"reading": true}`` now and then while there is none, and at last with one of what
became of the video: ``{"bytes_read": ..., "notes": ..., "read_through": ...}``, or ``{"kind": ...,
"reason": ...}`` when it failed, which makes void the clips that came before.
"""

import json
import struct
from typing import IO, Any, Protocol


class Readable(Protocol):
    """What messages are read from: so many bytes at a time, fewer at the end."""

    def read(self, size: int, /) -> bytes: ...


_LENGTHS = struct.Struct("<QQ")  # bytes of JSON, bytes of payload


def write_message(stream: IO[bytes], facts: dict[str, Any], payload: bytes = b"") -> None:
    head = json.dumps(facts).encode()
    stream.write(_LENGTHS.pack(len(head), len(payload)) + head)
    stream.write(payload)
    stream.flush()


def read_message(stream: Readable) -> tuple[dict[str, Any], bytes]:
    """Read the next message.

    Raises:
        EOFError: the other side has gone, perhaps in mid-message.
    """
    head_size, payload_size = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    facts: dict[str, Any] = json.loads(_read_exactly(stream, head_size))
    return facts, _read_exactly(stream, payload_size)


def _read_exactly(stream: Readable, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the other side has gone")
    return data
