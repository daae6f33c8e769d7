"""The owners of threads over a ledger store: known for a minute, looked up together, recorded around creates."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache

from gateway.background_tasks import BackgroundTasks
from gateway.identity.principal import Owner
from gateway.ledger.ledger_link import OPEN_SECONDS, LedgerLink
from gateway.ledger.ledger_store import LedgerUnavailableError, ObjectKind, StoredIntent
from gateway.ledger.look_up_batches import LookUpBatches
from gateway.ledger.unsaved_changes import MAX_UNSAVED, ThreadCreated, ThreadDeleted, UnsavedChanges
from schema.contract.errors import ErrorCode, GatewayError

KNOWN_SECONDS = 60.0
"""How long an owner is known without the ledger. So long another gateway's import or deletion may go unnoticed."""

MAX_KNOWN = 50_000

INTENT_SECONDS = 24 * 3600.0
"""Age at which an intent is removed. A create that began so long ago has ended, or its gateway is gone."""

SWEEP_SECONDS = 3600.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _CreateIntent:
    """A recorded intent of `StoredOwnership`."""

    ownership: StoredOwnership
    intent: StoredIntent

    async def record_id(self, upstream_id: str) -> None:
        await self.ownership.record_created(upstream_id, self.intent)

    def discard(self) -> None:
        self.ownership.discard_intent(self.intent)


class StoredOwnership:
    """The `Ownership` of a ledger. Made inside the running loop, begun by `start`, ended by `aclose`.

    `now_seconds` is any clock that does not go back, `unix_seconds` the time of day. `on_refused` is told of a thread
    that was created for an owner who was forgotten meanwhile: it is nobody's, and should be deleted upstream.
    """

    def __init__(
        self,
        link: LedgerLink,
        *,
        on_refused: Callable[[str], Coroutine[Any, Any, None]] | None = None,
        max_unsaved: int = MAX_UNSAVED,
        now_seconds: Callable[[], float] = time.monotonic,
        unix_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._on_refused = on_refused
        self._unix_seconds = unix_seconds
        self._sleep = sleep
        self._known: TTLCache[str, Owner] = TTLCache(MAX_KNOWN, KNOWN_SECONDS, timer=now_seconds)
        self._flights: dict[str, asyncio.Task[dict[str, Owner]]] = {}
        self._tasks = BackgroundTasks()
        self._look_ups = LookUpBatches(self._look_up)
        self._unsaved = UnsavedChanges(self._store_change, max_unsaved=max_unsaved, sleep=sleep)

    @property
    def unsaved_count(self) -> int:
        """The number of threads with a change that the ledger does not have yet."""
        return len(self._unsaved)

    async def find_owners(self, thread_ids: Collection[str]) -> Mapping[str, Owner]:
        owners: dict[str, Owner] = {}
        unknown: list[str] = []
        for thread_id in dict.fromkeys(thread_ids):
            change = self._unsaved.find_change(thread_id)
            if isinstance(change, ThreadCreated):
                owners[thread_id] = change.intent.owner
            elif change is None and (known := self._known.get(thread_id)) is not None:
                owners[thread_id] = known
            elif change is None:
                unknown.append(thread_id)
        if not unknown:
            return owners
        if new := [thread_id for thread_id in unknown if thread_id not in self._flights]:
            self._flights.update(dict.fromkeys(new, self._look_ups.add_threads(new)))
        try:
            for flight in {self._flights[thread_id] for thread_id in unknown}:
                found = await asyncio.shield(flight)
                owners.update((thread_id, found[thread_id]) for thread_id in unknown if thread_id in found)
        except LedgerUnavailableError:
            raise unavailable_error() from None
        return owners

    async def begin_create(self, owner: Owner) -> _CreateIntent:
        if self._unsaved.is_full:
            raise unavailable_error()
        intent = StoredIntent(uuid.uuid4().hex, owner, ObjectKind.THREAD, int(self._unix_seconds()))
        try:
            await self._link.call(lambda store: store.add_intent(intent))
        except LedgerUnavailableError:
            raise unavailable_error() from None
        return _CreateIntent(self, intent)

    async def record_created(self, thread_id: str, intent: StoredIntent) -> None:
        """Record the thread that an intent led to."""
        await self._unsaved.submit(ThreadCreated(thread_id, intent))

    def discard_intent(self, intent: StoredIntent) -> None:
        """Remove an intent in the background, whose thread was not created. What fails is swept later."""
        self._tasks.start(self._remove_intent(intent))

    async def record_deleted(self, thread_id: str) -> None:
        self._known.pop(thread_id, None)
        self._flights.pop(thread_id, None)  # what it finds is not kept
        await self._unsaved.submit(ThreadDeleted(thread_id))

    async def check(self) -> bool:
        """Tell whether the ledger answers."""
        try:
            await self._link.call(lambda store: store.check())
        except LedgerUnavailableError:
            return False
        return True

    def start(self) -> None:
        """Begin to remove old intents, now and every hour."""
        self._tasks.start(self._sweep())

    async def aclose(self) -> None:
        """Store what is unsaved, if the ledger answers, and end the tasks."""
        await self._unsaved.aclose()
        await self._tasks.aclose()
        await self._look_ups.aclose()

    async def _look_up(self, thread_ids: Collection[str]) -> dict[str, Owner]:
        flight = asyncio.current_task()
        try:
            found = await self._link.call(lambda store: store.find_owners(ObjectKind.THREAD, thread_ids))
            for thread_id, owner in found.items():
                if self._flights.get(thread_id) is flight:
                    self._known[thread_id] = owner
            return found
        finally:
            for thread_id in thread_ids:
                if self._flights.get(thread_id) is flight:
                    del self._flights[thread_id]

    async def _store_change(self, change: ThreadCreated | ThreadDeleted) -> None:
        thread_id = change.thread_id
        if isinstance(change, ThreadDeleted):
            await self._link.call(lambda store: store.remove_objects(ObjectKind.THREAD, [thread_id]))
            self._known.pop(thread_id, None)
        elif await self._link.call(lambda store: store.add_created(change.intent, thread_id)):
            self._known[thread_id] = change.intent.owner
        else:
            await self._refuse_created(thread_id)

    async def _refuse_created(self, thread_id: str) -> None:
        """Tell of a thread that is not its creator's. One that another adopted meanwhile is not to be deleted."""
        if await self._link.call(lambda store: store.find_owners(ObjectKind.THREAD, [thread_id])):
            _logger.error("thread %s is another's: it was adopted while it was created", thread_id)
            return
        _logger.warning("thread %s is nobody's: its owner was forgotten while it was created", thread_id)
        if self._on_refused is not None:
            self._tasks.start(self._on_refused(thread_id))

    async def _remove_intent(self, intent: StoredIntent) -> None:
        try:
            await self._link.call(lambda store: store.remove_intent(intent))
        except LedgerUnavailableError:
            _logger.debug("an intent is left to be swept")

    async def _sweep(self) -> None:
        while True:
            oldest = int(self._unix_seconds() - INTENT_SECONDS)
            try:
                swept = await self._link.call(lambda store, oldest=oldest: store.remove_intents_before(oldest))  # type: ignore[misc]
            except LedgerUnavailableError:
                swept = 0
            if swept:
                _logger.warning("creates of threads whose outcome is unknown: %d; nobody owns what they made", swept)
            await self._sleep(SWEEP_SECONDS)


def unavailable_error() -> GatewayError:
    """Make the error of a caller whose operation needs the ledger."""
    return GatewayError(
        ErrorCode.LEDGER_UNAVAILABLE,
        "The gateway cannot look up or record whose a thread is at the moment: its database does not answer.",
        retry_after_ms=int(OPEN_SECONDS * 1000),
    )
