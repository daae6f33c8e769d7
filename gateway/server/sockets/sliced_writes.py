"""Long responses are handed to the operating system in slices, one of each connection in a turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

SLICE_BYTES = 64 * 1024
"""Bytes that are written at once. asyncio alone would copy a response, and send as much as the system takes."""


class SlicedWrites:
    """The bytes on their way to one client, in the order in which they were written.

    `on_wait` is called with True as soon as bytes wait, and with False when none wait any longer. `on_more` is called
    when a long text waits behind others. The protocol of the connection hands on what the transport tells it, `on_full`
    and `on_empty`; its limit of waiting bytes must be 0.
    """

    __slots__ = ("_inner", "_is_full", "_on_more", "_on_wait", "_pending", "_pending_bytes", "_timer")

    def __init__(
        self, inner: asyncio.Transport, on_wait: Callable[[bool], None], on_more: Callable[[], None] = lambda: None
    ) -> None:
        """Write to an open transport."""
        self._inner = inner
        self._on_wait = on_wait
        self._on_more = on_more
        self._pending: deque[memoryview] = deque()
        self._pending_bytes = 0
        self._is_full = False
        self._timer: asyncio.Handle | None = None

    @property
    def waiting_bytes(self) -> int:
        """The bytes that the operating system has not yet taken."""
        return self._pending_bytes + self._inner.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write the first slice at once, unless others wait, and the rest in later turns."""
        if not self._pending and len(data) <= SLICE_BYTES:
            self._inner.write(data)
            return
        # Whoever gave a `bytearray` may change it.
        self._pending.append(memoryview(data if isinstance(data, bytes) else bytes(data)))
        self._pending_bytes += len(data)
        if len(self._pending) == 1 and not self._is_full:
            self._on_wait(True)
            self._write_slice()
        else:
            self._on_more()

    def flush(self) -> None:
        """Hand all to the transport at once, because it is to be closed."""
        for data in self._pending:
            self._inner.write(data)
        self.clear()

    def clear(self) -> None:
        """Forget what waits, because the connection is closed."""
        self._pending.clear()
        self._pending_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_full(self) -> None:
        """Wait, because the operating system takes no more."""
        self._is_full = True
        if not self._pending:
            self._on_wait(True)

    def on_empty(self) -> None:
        """Go on, because the operating system has taken what it had to."""
        self._is_full = False
        if self._pending:
            self._write_slice()
        else:
            self._on_wait(False)

    def _write_slice(self) -> None:
        self._timer = None
        data = self._pending[0]
        # Before the slice is written, which may fill the transport: its bytes then wait there.
        self._pending_bytes -= min(SLICE_BYTES, len(data))
        self._pending[0] = data[SLICE_BYTES:]
        self._inner.write(data[:SLICE_BYTES])
        if self._pending and not self._pending[0]:
            self._pending.popleft()
        if self._is_full:
            return
        if self._pending:
            self._timer = asyncio.get_running_loop().call_soon(self._write_slice)
        else:
            self._on_wait(False)
