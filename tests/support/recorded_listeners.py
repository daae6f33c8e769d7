"""The listeners that a test starts, so that it can wait for their connections to end."""

import socket
from collections.abc import Sequence

import pytest

from gateway.server import app as server_app
from gateway.server.sockets.listener import Listener


def record_listeners(patch: pytest.MonkeyPatch) -> list[Listener]:
    """Return a list of the listeners that begin to listen from now on."""
    made: list[Listener] = []

    class RecordedListener(Listener):
        def listen(self, sockets: Sequence[socket.socket]) -> tuple[str, int]:
            made.append(self)
            return super().listen(sockets)

    patch.setattr(server_app, "Listener", RecordedListener)
    return made
