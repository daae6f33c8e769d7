"""The marks of threads and messages that are deleted: which sightings they drop, and for how long. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from schema.contract.keys import MessageKey

ANY_MESSAGE = "*"
"""The mark that some message of a thread was removed. The upstream has no such id."""

THREAD_CHAINS = "#"
"""The mark that a thread was removed with what is kept of its runs. It drops whatever is written of them later.

No record of a thread lifts it. The upstream has no such id.
"""

MARK_REACH_MS = 120_000
"""How long behind a deletion its object may be seen: by reads that began before, and by clocks that differ.

Who sees it later shows that it was not deleted. As old, a mark whose object is kept still is of a gateway that has
ended: by default, no call of the upstream takes so long.
"""


class RemovalMarks:
    """The marks of some threads and their messages, with the times of their removal.

    The mark of a thread has an empty message id. `lifted` are the marks of what turned out to exist.
    """

    def __init__(self, removed_at_ms: Mapping[MessageKey, int]) -> None:
        self._removed_at_ms = removed_at_ms
        self.lifted: set[MessageKey] = set()

    def drops_thread(self, thread_id: str, seen_at_ms: int) -> bool:
        """Return whether what was seen of a thread is dropped."""
        return self.drops_message(thread_id, "", seen_at_ms)

    def drops_message(self, thread_id: str, message_id: str, seen_at_ms: int) -> bool:
        """Return whether what was seen of a message is dropped."""
        key = MessageKey(thread_id, message_id)
        removed_at_ms = self._removed_at_ms.get(key)
        if removed_at_ms is None or key in self.lifted:
            return False
        if seen_at_ms <= removed_at_ms + MARK_REACH_MS:
            return True
        self.lifted.add(key)
        return False

    def lost_message(self, thread_id: str) -> bool:
        """Return whether some message of a thread was removed."""
        return MessageKey(thread_id, ANY_MESSAGE) in self._removed_at_ms
