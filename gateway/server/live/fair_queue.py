"""A fair queue: members run short slices of work in order, a few in each round, so that the event loop stays free."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

MEMBERS_PER_ROUND = 32
"""Members that run before the loop does other work: about a millisecond of sending."""


class QueueMember(Protocol):
    """A member of the queue."""

    def run_slice(self) -> None:
        """Do a small piece of work without waiting. Never raises."""


class FairQueue:
    """A queue of members that wait to run. While it is empty it costs nothing: it has a callback and no task."""

    def __init__(self, members_per_round: int = MEMBERS_PER_ROUND) -> None:
        """Start with an empty queue."""
        self._members_per_round = members_per_round
        self._members: deque[QueueMember] = deque()
        self._handle: asyncio.Handle | None = None

    def enqueue(self, member: QueueMember) -> None:
        """Append a member. The caller makes sure that it is in the queue only once."""
        self._members.append(member)
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._run_round)

    def clear(self) -> None:
        """Remove all members."""
        self._members.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run_round(self) -> None:
        members = self._members
        try:
            for _ in range(min(self._members_per_round, len(members))):
                members.popleft().run_slice()
                if not members:  # a member may have cleared the queue
                    break
        finally:  # the others still run if a member raises
            self._handle = asyncio.get_running_loop().call_soon(self._run_round) if members else None
