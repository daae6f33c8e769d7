"""Gives those who have something to do a turn each, some at a time, so that the loop stays free for others."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

PER_ROUND = 32
"""How many get their turn before the loop does other things: about a millisecond of sending."""


class QueueMember(Protocol):
    """Who takes turns."""

    def take_turn(self) -> None:
        """Do a small piece of work, at once; it never raises."""


class FairQueue:
    """A queue of those who wait for their turn. It costs nothing while nobody does: no task, only a callback."""

    def __init__(self, per_round: int = PER_ROUND) -> None:
        """Nobody waits yet."""
        self._per_round = per_round
        self._waiting: deque[QueueMember] = deque()
        self._handle: asyncio.Handle | None = None

    def add(self, player: QueueMember) -> None:
        """Put one at the end of the queue; whoever calls sees to it that it stands there once."""
        self._waiting.append(player)
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._play)

    def stop(self) -> None:
        """Send all away."""
        self._waiting.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _play(self) -> None:
        waiting = self._waiting
        try:
            for _ in range(min(self._per_round, len(waiting))):
                waiting.popleft().take_turn()
                if not waiting:  # they may have been sent away
                    break
        finally:  # whatever one of them does, the others are not forgotten
            self._handle = asyncio.get_running_loop().call_soon(self._play) if waiting else None
