"""The bytes that all clients together make the process hold: what they have not finished sending, and not read."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, Protocol


class UnfinishedBytes:
    """The bytes that are held of all request bodies and WebSocket messages whose end has not arrived."""

    def __init__(self, max_bytes: int) -> None:
        """Hold at most `max_bytes`."""
        self.max_bytes = max_bytes
        self.held_bytes = 0

    def hold(self, count: int) -> bool:
        """Hold more bytes. Returns False, and holds no more, if they are too many."""
        if self.held_bytes + count > self.max_bytes:
            return False
        self.held_bytes += count
        return True

    def release(self, count: int) -> None:
        """Hold these bytes no longer."""
        self.held_bytes -= count


class UnreadClient(Protocol):
    """A client for which bytes wait."""

    def let_go(self) -> None:
        """Abort the connection."""


class UnreadBytes:
    """The bytes that wait for all clients together.

    When they are too many, the clients that have read nothing for the longest time are let go, but never the last one.
    """

    def __init__(self, max_bytes: int) -> None:
        """Let at most `max_bytes` wait."""
        self._max_bytes = max_bytes
        # By the time at which the client read something last, or its bytes began to wait.
        self._waiting: OrderedDict[UnreadClient, int] = OrderedDict()
        self.waiting_bytes = 0

    def record(self, client: UnreadClient, count: int, *, is_reading: bool) -> None:
        """Record how many bytes wait for a client, and whether it has read some."""
        self.waiting_bytes += count - self._waiting.get(client, 0)
        self._waiting[client] = count
        if is_reading:
            self._waiting.move_to_end(client)
        while self.waiting_bytes > self._max_bytes and len(self._waiting) > 1:
            stalled, waiting = self._waiting.popitem(last=False)
            self.waiting_bytes -= waiting
            stalled.let_go()

    def remove(self, client: UnreadClient) -> None:
        """Forget a client for which nothing waits any longer."""
        self.waiting_bytes -= self._waiting.pop(client, 0)


class HeldBytes(NamedTuple):
    """Both counts of one listener."""

    unfinished: UnfinishedBytes
    unread: UnreadBytes
