"""The ids of threads from before they were copied from another upstream, and the ids that they stand for now."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from math import isfinite

from cachetools import TTLCache

from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import LedgerUnavailableError, ObjectKind

KNOWN_SECONDS = 60.0
"""How long an id is known without the ledger, old or not. So long a copy that was just made may go unnoticed."""

MAX_KNOWN = 50_000


class ThreadAliases:
    """The old ids of the threads of one upstream, as a server of one family.

    While no thread was ever copied, the ledger is asked once a minute, and no operation waits for it otherwise.
    """

    def __init__(self, link: LedgerLink, family: str, *, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._family = family
        self._now_seconds = now_seconds
        self._none_until = float("-inf")
        self._known: TTLCache[str, str] = TTLCache(MAX_KNOWN, KNOWN_SECONDS, timer=now_seconds)

    @property
    def has_none(self) -> bool:
        """Whether there surely was no copied thread a moment ago."""
        return self._now_seconds() < self._none_until

    async def resolve(self, thread_ids: Collection[str]) -> Mapping[str, str]:
        """Find the present id of each thread: the new one for an old one, else its own.

        A thread is left out if the ledger did not answer, so that nobody knows whether its id is an old one.
        """
        found = {thread_id: self._known[thread_id] for thread_id in thread_ids if thread_id in self._known}
        unknown = {thread_id for thread_id in thread_ids if thread_id not in found}
        if not unknown:
            return found
        try:
            if await self._are_there_any():
                return found | await self._look_up(unknown)
        except LedgerUnavailableError:
            return found
        return found | {thread_id: thread_id for thread_id in unknown}

    async def _are_there_any(self) -> bool:
        """Tell whether any thread was copied, as it was known a minute ago at most. Others go on while one asks."""
        if self.has_none:
            return False
        knew_none = isfinite(self._none_until)
        if knew_none:
            self._none_until = self._now_seconds() + KNOWN_SECONDS
        try:
            has_any = await self._link.call(lambda store: store.copies.has_done_copies(self._family))
        except LedgerUnavailableError:
            if knew_none:  # nobody copies anything without the ledger
                return False
            raise
        self._none_until = float("-inf") if has_any else self._now_seconds() + KNOWN_SECONDS
        return has_any

    async def _look_up(self, thread_ids: Collection[str]) -> dict[str, str]:
        copies = await self._link.call(
            lambda store: store.copies.find_copies(self._family, ObjectKind.THREAD, thread_ids)
        )
        new_ids = {copy.old_id: copy.new_id for copy in copies.values() if copy.is_done and copy.new_id is not None}
        found = {thread_id: new_ids.get(thread_id, thread_id) for thread_id in thread_ids}
        self._known.update(found)
        return found
