"""Writes log lines to a file descriptor, and never lets a slow reader of it stop the process.

A line is written at once if the reader has room for it. Else it waits in a backlog, which a thread writes down; as long
as it does, further lines wait behind. Lines beyond the backlog's bound are dropped and counted.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque

MAX_BACKLOG_BYTES = 4 << 20

BLOCK_BYTES = 4096
"""The bytes that a pipe takes without waiting if it says that it takes any. Source: POSIX, PIPE_BUF."""


class LineWriter:
    """The writing side of one file descriptor, for all threads. It owns the thread of its backlog, if there is one."""

    def __init__(self, file_descriptor: int, *, max_backlog_bytes: int = MAX_BACKLOG_BYTES) -> None:
        self._fd = file_descriptor
        self._max_backlog_bytes = max_backlog_bytes
        self._lock = threading.Lock()
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._lost_count = 0
        self._thread: threading.Thread | None = None
        self._poll = select.poll()
        self._poll.register(file_descriptor, select.POLLOUT)

    def write_line(self, line: bytes) -> None:
        """Write a line, which ends with a line break. Never waits for the reader, and never raises for it."""
        with self._lock:
            rest = line if self._thread is not None else self._write_now(line)
            if not rest:
                return
            if self._backlog_bytes + len(rest) > self._max_backlog_bytes:
                self._lost_count += 1
                return
            self._backlog.append(rest)
            self._backlog_bytes += len(rest)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_backlog, name="log writer", daemon=True)
                self._thread.start()

    def flush(self, timeout_seconds: float) -> None:
        """Wait until the backlog is written, at most this long."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_seconds)

    def take_lost_count(self) -> int:
        """Return the number of lines that were dropped since the last call, as soon as there is room again."""
        if not self._lost_count:
            return 0
        with self._lock:
            if self._thread is not None:
                return 0
            count, self._lost_count = self._lost_count, 0
            return count

    def _write_now(self, line: bytes) -> bytes:
        """Write as much of a line as the reader has room for. Returns the rest."""
        while line:
            try:
                if not self._poll.poll(0):
                    return line
                line = line[os.write(self._fd, line[:BLOCK_BYTES]) :]
            except BlockingIOError:
                return line
            except OSError:  # nobody reads any more
                return b""
        return b""

    def _write_backlog(self) -> None:
        while True:
            with self._lock:
                if not self._backlog:
                    self._thread = None
                    return
                block = self._backlog[0]
            is_lost = False
            while block:
                try:
                    self._poll_blocking()
                    block = block[os.write(self._fd, block[:BLOCK_BYTES]) :]
                except BlockingIOError:
                    continue
                except OSError:
                    is_lost = True
                    break
            with self._lock:
                if is_lost:
                    self._backlog.clear()
                    self._backlog_bytes = 0
                else:
                    self._backlog_bytes -= len(self._backlog.popleft())

    def _poll_blocking(self) -> None:
        # One poll object must not be used by two threads at once.
        waiting = select.poll()
        waiting.register(self._fd, select.POLLOUT)
        waiting.poll()
