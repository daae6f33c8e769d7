"""Ports that are not in use."""

import socket


def free_port() -> int:
    """Return a port of this machine that was free a moment ago."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
