"""Fills in what the records of a credential's holder lack, from the upstream's own list of threads if it has one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from cachetools import LRUCache

from gateway.background_tasks import BackgroundTasks
from gateway.ledger.sightings import CredentialOwner, RecordKey
from gateway.viewer.record_keeper import RecordKeeper
from gateway.viewer.seen_objects import seen_thread
from schema.contract.errors import GatewayError
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.wire import Page, ThreadObject

_logger = logging.getLogger(__name__)

MAX_PAGES = 10
"""Most pages of the upstream's list that are read at once, the newest threads first."""

REFRESH_SECONDS = 60.0
"""How old what was filled in may be. So late a thread is listed that was made elsewhere."""

LONGEST_READ_SECONDS = 5.0
"""How long behind its prediction an operation may read the list, and fill it in, without having counted on it."""

MAX_KNOWN_OWNERS = 10_000


class ThreadLister(Protocol):
    """A port that can list threads."""

    async def list_threads(self, window: Window) -> Page[ThreadObject] | GatewayError:
        """List threads of the account."""


class FillingOfOwner:
    """The filling in of one owner's list, in one operation, whose cost counts the calls."""

    def __init__(
        self, upstream_list: UpstreamList, owner: CredentialOwner, open_lister: Callable[[], ThreadLister]
    ) -> None:
        self._upstream_list = upstream_list
        self._owner = owner
        self._open_lister = open_lister

    def predict_calls(self) -> int:
        return self._upstream_list.predict_calls(self._owner)

    async def fill(self) -> None:
        await self._upstream_list.fill(self._owner, self._open_lister)


class UpstreamList:
    """The lists of one process. Made inside the running loop, ended by `aclose`.

    The first time that a list is asked for, it is filled in before the answer; later in the background. A list that
    cannot be read is filled in when it is asked for again.
    """

    def __init__(self, keeper: RecordKeeper, *, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._keeper = keeper
        self._now_seconds = now_seconds
        self._filled_at: LRUCache[CredentialOwner, float] = LRUCache(MAX_KNOWN_OWNERS)
        self._flights: dict[CredentialOwner, asyncio.Task[None]] = {}
        self._tasks = BackgroundTasks()

    def predict_calls(self, owner: CredentialOwner) -> int:
        """Predict the most calls of filling in an owner's list now."""
        filled_at = self._filled_at.get(owner)
        is_soon_due = filled_at is None or self._now_seconds() - filled_at >= REFRESH_SECONDS - LONGEST_READ_SECONDS
        return MAX_PAGES if is_soon_due else 0

    async def fill(self, owner: CredentialOwner, open_lister: Callable[[], ThreadLister]) -> None:
        """Fill in an owner's list. The calls count in the cost of the operation that asks."""
        filled_at = self._filled_at.get(owner)
        if filled_at is None:
            await asyncio.shield(self._flights.get(owner) or self._start(owner, open_lister()))
        elif self._now_seconds() - filled_at >= REFRESH_SECONDS and owner not in self._flights:
            self._start(owner, open_lister())

    async def aclose(self) -> None:
        """End all tasks."""
        await self._tasks.aclose()

    def _start(self, owner: CredentialOwner, lister: ThreadLister) -> asyncio.Task[None]:
        flight = self._flights[owner] = self._tasks.start(self._read_list(owner, lister))
        flight.add_done_callback(lambda _: self._flights.pop(owner, None))
        return flight

    async def _read_list(self, owner: CredentialOwner, lister: ThreadLister) -> None:
        after: str | None = None
        for _ in range(MAX_PAGES):
            began_ms = self._keeper.now_ms()
            page = await lister.list_threads(Window(UPSTREAM_PAGE_SIZE, "desc", after))
            if isinstance(page, GatewayError):
                _logger.info("the upstream's list of threads could not be read: %s", page.code)
                return
            known = await self._find_known(owner, page)
            new = [thread for thread in page.data if thread.id not in known]
            self._keeper.observe(owner, iter([seen_thread(owner, thread, began_ms) for thread in new]))
            if not new or not page.has_more:
                break
            after = page.data[-1].id
        self._filled_at[owner] = self._now_seconds()

    async def _find_known(self, owner: CredentialOwner, page: Page[ThreadObject]) -> set[str]:
        keys = [RecordKey(owner, thread.id) for thread in page.data]
        try:
            return {key.thread_id for key in await self._keeper.read(owner, lambda store: store.get_records(keys))}
        except GatewayError:  # the database is away
            return set()
