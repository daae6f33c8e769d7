"""The bytes that all clients together make the process hold: requests that are unfinished, and what is not read."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, NamedTuple, Protocol, Self

from gateway.server.http.refusals import overload_refusal

MAX_UNCOUNTED_BYTES = 16 << 10
"""The largest complete request that is not counted. Its operation holds as much itself, and it is always served."""


class UnfinishedBytes:
    """The bytes that are held of all request bodies and WebSocket messages whose operation has not ended.

    Parts whose end has not arrived count too.
    """

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


class HeldRequest:
    """The bytes that are held of one request until its context is left, or until the last task that needs them ends."""

    __slots__ = ("_byte_count", "_last_task", "_unfinished")

    def __init__(self, unfinished: UnfinishedBytes) -> None:
        """Hold nothing yet."""
        self._unfinished = unfinished
        self._byte_count = 0
        self._last_task: asyncio.Future[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last_task is None:
            self._release()

    def hold(self, count: int) -> None:
        """Hold more bytes.

        Raises:
            Refusal: Too many are held of all requests.
        """
        if not self._unfinished.hold(count):
            expected = f"Expected at most {self._unfinished.max_bytes} bytes of unfinished requests"
            raise overload_refusal(f"{expected}, got more.")
        self._byte_count += count

    def hold_complete(self, byte_count: int) -> None:
        """Hold the whole request in place of its parts, or nothing of it if it is small.

        Raises:
            Refusal: Too much is held of all requests.
        """
        self.hold((byte_count if byte_count > MAX_UNCOUNTED_BYTES else 0) - self._byte_count)

    def release_after(self, task: asyncio.Future[Any]) -> None:
        """Hold the request until this task ends, in place of an earlier one or of the context."""
        self._last_task = task
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Future[Any]) -> None:
        if task is self._last_task:
            # The error of a task has the frame that has this request.
            self._last_task = None
            self._release()

    def _release(self) -> None:
        self._unfinished.release(self._byte_count)
        self._byte_count = 0


class UnreadClient(Protocol):
    """A client for which bytes wait."""

    def let_go(self) -> None:
        """Abort the connection."""


class UnreadBytes:
    """The bytes that wait for all clients together.

    When they are too many, the clients that have read nothing for the longest time are let go.
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
        while self.waiting_bytes > self._max_bytes:
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
