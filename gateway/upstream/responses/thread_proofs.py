"""The conversations that a caller was shown to reach a moment ago.

What the gateway keeps of a conversation is answered without a call only to those whom the upstream has just let read
it. An id alone proves nothing: in pass-through, anybody may send one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cachetools import TTLCache

PROVEN_SECONDS = 60.0
"""How long a proof lasts: as long as a thread may be cached."""

MAX_PROOFS = 10_000


class ThreadProofs:
    """The proofs of one process, by caller and conversation."""

    def __init__(self, monotonic_seconds: Callable[[], float] = time.monotonic) -> None:
        self._proven: TTLCache[tuple[str, str], bool] = TTLCache(MAX_PROOFS, PROVEN_SECONDS, timer=monotonic_seconds)

    def record(self, caller: str, thread_id: str) -> None:
        """Record that the upstream has shown a caller something of a conversation."""
        self._proven[caller, thread_id] = True

    def holds(self, caller: str, thread_id: str) -> bool:
        """Return whether a caller was shown to reach a conversation."""
        return (caller, thread_id) in self._proven

    def remove(self, caller: str, thread_id: str) -> None:
        """Remove a proof, for a conversation that was deleted."""
        self._proven.pop((caller, thread_id), None)
