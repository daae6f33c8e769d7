"""Warnings that many clients can cause: logged at most once a second, with their number."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

WARNING_SECONDS = 1.0
"""Shortest time between two warnings of the same kind."""


class RareWarning:
    """A warning that is logged at most once in `WARNING_SECONDS`, with the number of times that it applied."""

    def __init__(
        self,
        logger: logging.Logger,
        text: str,
        *,
        level: int = logging.WARNING,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the text of the warning, with a place for its detail, and its level in the log."""
        self._logger = logger
        self._text = text
        self._level = level
        self._now = now
        self._count = 0
        self._silent_until = float("-inf")

    def give(self, detail: object) -> None:
        """Count one more time, and log the warning if it is time."""
        self._count += 1
        if (now := self._now()) >= self._silent_until:
            self._logger.log(self._level, f"{self._text}; since the last such line: %d", detail, self._count)
            self._count = 0
            self._silent_until = now + WARNING_SECONDS
