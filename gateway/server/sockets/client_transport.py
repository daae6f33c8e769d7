"""The transport of a connection as aiohttp sees it: read in turns, written in slices, closed by the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from gateway.server.sockets.fair_reads import FairReads
from gateway.server.sockets.sliced_writes import SlicedWrites


class ClientTransport(asyncio.Transport):
    """A transport over asyncio's own one."""

    __slots__ = (
        "_allowance",
        "_fair_reads",
        "_is_closing",
        "_is_enqueued",
        "_is_paused",
        "_needs_turn",
        "_on_close",
        "inner",
        "writes",
    )

    def __init__(
        self,
        inner: asyncio.Transport,
        fair_reads: FairReads,
        on_close: Callable[[], None],
        on_wait: Callable[[bool], None],
        on_more: Callable[[], None],
    ) -> None:
        """Wrap an open transport.

        `on_close` is called when it is to be closed, once, `on_wait` when bytes begin or cease to wait, and `on_more`
        when more of them wait.
        """
        super().__init__()
        inner.set_write_buffer_limits(high=0)
        self.inner = inner
        self.writes = SlicedWrites(inner, on_wait, on_more)
        self._fair_reads = fair_reads
        self._allowance = fair_reads.new_allowance()
        self._on_close = on_close
        self._is_closing = False
        self._is_paused = False
        self._needs_turn = False
        self._is_enqueued = False

    def count_read(self, byte_count: int) -> None:
        """Count the bytes that were read, and let the next ones wait for a turn if they are many."""
        if self._is_closing or self._needs_turn or self._fair_reads.take(self._allowance, byte_count):
            return
        self._needs_turn = True
        self.inner.pause_reading()
        self._enqueue()

    def on_turn(self) -> None:
        """Read again, unless the protocol has paused reading meanwhile."""
        self._is_enqueued = False
        if not (self._is_closing or self._is_paused):
            self._needs_turn = False
            self.inner.resume_reading()

    def close(self) -> None:
        if not self.is_closing():
            self._is_closing = True
            self._on_close()

    def abort(self) -> None:
        self._is_closing = True
        self.writes.clear()
        self.inner.abort()

    def is_closing(self) -> bool:
        return self._is_closing or self.inner.is_closing()

    def is_reading(self) -> bool:
        return not self._is_paused and not self.is_closing()

    def pause_reading(self) -> None:
        self._is_paused = True
        if not self._is_closing:
            self.inner.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        if self._needs_turn:
            self._enqueue()
        elif not self._is_closing:
            self.inner.resume_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing:
            self.writes.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def get_write_buffer_size(self) -> int:
        return self.writes.waiting_bytes

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.inner.get_extra_info(name, default)

    def _enqueue(self) -> None:
        if not (self._is_enqueued or self._is_closing):
            self._is_enqueued = True
            self._fair_reads.enqueue(self)
