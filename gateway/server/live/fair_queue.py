"""Gives those who have something to do a turn each, some at a time, so that the loop stays free for others."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

MEMBERS_PER_ROUND = 32
"""How many get their turn before the loop does other things: about a millisecond of sending."""


class QueueMember(Protocol):
    """Who takes turns."""

    def run_slice(self) -> None:
        """Do a small piece of work, at once; it never raises."""


class FairQueue:
    """A queue of those who wait for their turn. It costs nothing while nobody does: no task, only a callback."""

    def __init__(self, members_per_round: int = MEMBERS_PER_ROUND) -> None:
        """Nobody waits yet."""
        self._members_per_round = members_per_round
        self._members: deque[QueueMember] = deque()
        self._handle: asyncio.Handle | None = None

    def enqueue(self, member: QueueMember) -> None:
        """Put one at the end of the queue; whoever calls sees to it that it stands there once."""
        self._members.append(member)
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._run_round)

    def clear(self) -> None:
        """Send all away."""
        self._members.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run_round(self) -> None:
        members = self._members
        try:
            for _ in range(min(self._members_per_round, len(members))):
                members.popleft().run_slice()
                if not members:  # they may have been sent away
                    break
        finally:  # whatever one of them does, the others are not forgotten
            self._handle = asyncio.get_running_loop().call_soon(self._run_round) if members else None
