"""Find out quickly whether an address can be a cluster's head: Ray itself tries for minutes."""

import os
import socket

_LIMIT_SECONDS = 3.0
# The first bytes of each side in HTTP/2, so in gRPC: RFC 9113, 3.4. The fourth is the frame type.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


def reach(address: str) -> str:
    """Return why ``HOST:PORT`` cannot be the head of a cluster; "" if it can."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _LIMIT_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return ""  # with TLS there is nothing to read before a handshake
            connection.sendall(_PREFACE)
            frame = connection.recv(9, socket.MSG_WAITALL)
    except TimeoutError:
        return f"nothing answers there within {_LIMIT_SECONDS:g} seconds"
    except (OSError, OverflowError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return "" if len(frame) == 9 and frame[3] == _SETTINGS else "what answers there is not Ray"
