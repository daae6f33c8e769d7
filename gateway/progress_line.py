"""The line in a terminal that tells how far a command is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

PROGRESS_SECONDS = 0.1


class ProgressLine:
    """A line that tells how far a command is, written over and over in a terminal, and never into a file."""

    def __init__(
        self,
        label: str,
        total: int | None,
        *,
        stream: TextIO | None = None,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._is_shown = self._stream.isatty()
        self._now_seconds = now_seconds
        self._next_at = float("-inf")
        self._latest: int | None = None

    def show(self, count: int) -> None:
        """Show a count, but not more often than people can read."""
        self._latest = count
        if self._is_shown and self._now_seconds() >= self._next_at:
            self._next_at = self._now_seconds() + PROGRESS_SECONDS
            self._write(count)

    def end(self) -> None:
        """Show the last count, and leave the line."""
        if self._is_shown and self._latest is not None:
            self._write(self._latest)
            self._stream.write("\n")

    def _write(self, count: int) -> None:
        of_total = "" if self._total is None else f" of {self._total:,}"
        self._stream.write(f"\r{count:,}{of_total} {self._label}")
        self._stream.flush()
