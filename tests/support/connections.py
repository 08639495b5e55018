"""Whether something takes connections, which is less than that it answers."""

from __future__ import annotations

import socket


def takes_connections(address: str, port: int) -> bool:
    """Whether a connection to the port is made within five seconds."""
    try:
        with socket.create_connection((address, port), timeout=5):
            return True
    except OSError:
        return False
