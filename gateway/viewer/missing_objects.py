"""Objects that the upstream does not show their owner any more, since somebody deleted them elsewhere.

What is kept of them is removed behind the request that shows it. The next such read makes good what fails, and the next
read that shows an object makes good what was removed too much.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from cachetools import TTLCache

from gateway.background_tasks import BackgroundTasks
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.ledger.sightings import RecordKey, RecordOwner
from schema.contract.keys import MessageKey, ThreadKey
from schema.contract.kinds import MessagePageKey, RunPageKey
from schema.contract.wire import Page

MAX_REMOVALS = 1_000
"""Most removals at once."""

COMPARED_SECONDS = 600.0
"""How long the same list of messages is not compared with its record again."""

MAX_COMPARED = 2_000

OLD_MS = 5_000
"""Age of what was seen of a message at which a list must show the message, although clocks differ a little."""


class MissingObjects:
    """The missing objects of one process. Made inside the running loop, ended by `aclose`."""

    def __init__(
        self,
        link: LedgerLink,
        on_thread_gone: Callable[[RecordKey, bool], Awaitable[None]],
        on_messages_gone: Callable[[RecordKey, bool], Awaitable[None]],
    ) -> None:
        """Call `on_thread_gone` with whether there was a record, `on_messages_gone` with whether the title changed."""
        self._link = link
        self._on_thread_gone = on_thread_gone
        self._on_messages_gone = on_messages_gone
        self._under_way: set[tuple[RecordKey, str]] = set()
        self._compared: TTLCache[RecordKey, frozenset[str]] = TTLCache(MAX_COMPARED, COMPARED_SECONDS)
        self._tasks = BackgroundTasks()

    async def aclose(self) -> None:
        """End all tasks."""
        await self._tasks.aclose()

    def observe_not_found(self, owner: RecordOwner, key: object) -> None:
        """Remove what is kept of an object that was not found, or, for a page of a thread, of the thread."""
        if isinstance(key, ThreadKey | RunPageKey) or (isinstance(key, MessagePageKey) and key.run_id is None):
            self.observe_thread(owner, key.thread_id)
        elif isinstance(key, MessageKey) and key.message_id:
            record = RecordKey(owner, key.thread_id)
            self._start(record, key.message_id, self._forget(record, {key.message_id}))

    def observe_thread(self, owner: RecordOwner, thread_id: str) -> None:
        """Remove the record of a thread that is not shown."""
        record = RecordKey(owner, thread_id)
        self._start(record, "", self._remove(record))

    def observe_page(self, owner: RecordOwner, key: object, page: object, began_ms: int) -> None:
        """Remove what is kept of messages that are not in a page, if the page has all messages of its thread."""
        if not isinstance(key, MessagePageKey) or not isinstance(page, Page) or not _has_all(key, page):
            return
        record, present = RecordKey(owner, key.thread_id), frozenset(message.id for message in page.data)
        if self._compared.get(record) != present:
            self._start(record, "*", self._compare(record, present, began_ms - OLD_MS))

    def _start(self, record: RecordKey, object_id: str, work: Coroutine[Any, Any, None]) -> None:
        name = (record, object_id)
        if name in self._under_way or len(self._under_way) >= MAX_REMOVALS:
            work.close()
            return
        self._under_way.add(name)
        self._tasks.start(work).add_done_callback(lambda _: self._under_way.discard(name))

    async def _remove(self, record: RecordKey) -> None:
        try:
            removed = await self._link.call(lambda store: store.records.remove_records([record]))
        except LedgerUnavailableError:
            return
        await self._on_thread_gone(record, bool(removed))

    async def _compare(self, record: RecordKey, present: frozenset[str], seen_before_ms: int) -> None:
        try:
            kept = await self._link.call(lambda store: store.records.find_message_ids(record, seen_before_ms))
        except LedgerUnavailableError:
            return
        self._compared[record] = present
        # The message that the thread was created with may be any of those that are there.
        if gone := kept - present - ({""} if present else set()):
            await self._forget(record, gone)

    async def _forget(self, record: RecordKey, message_ids: Collection[str]) -> None:
        try:
            is_retitled = await self._link.call(lambda store: store.records.forget_messages(record, message_ids))
        except LedgerUnavailableError:
            self._compared.pop(record, None)
            return
        await self._on_messages_gone(record, is_retitled)


def _has_all(key: MessagePageKey, page: Page[Any]) -> bool:
    """Return whether a page has all messages of its thread. Some upstreams never say that there are more."""
    return key.run_id is None and key.window.after is None and not page.has_more and len(page.data) < key.window.limit
