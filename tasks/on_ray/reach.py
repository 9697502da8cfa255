"""Whether anything at an address can be the head of a cluster: Ray itself tries for minutes."""

import os
import socket

_LIMIT_SECONDS = 3.0
# What each side of HTTP/2, so of gRPC, says first: RFC 9113, 3.4. The fourth byte is its type.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


def reach(address: str) -> str:
    """Return why nothing at ``HOST:PORT`` can be the head of a cluster; empty when it can be."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _LIMIT_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return ""  # nobody speaks first there
            connection.sendall(_PREFACE)
            said = connection.recv(9, socket.MSG_WAITALL)
    except TimeoutError:
        return f"nothing answers there within {_LIMIT_SECONDS:g} seconds"
    except (OSError, OverflowError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return "" if len(said) == 9 and said[3] == _SETTINGS else "what answers there is not Ray"
