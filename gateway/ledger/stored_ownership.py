"""The owners of threads and files over a ledger store, recorded around creates."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.background_tasks import BackgroundTasks
from gateway.identity.principal import Owner
from gateway.ledger.known_owners import KnownOwners
from gateway.ledger.ledger_link import OPEN_SECONDS, LedgerLink
from gateway.ledger.ledger_store import LedgerUnavailableError, MadeFile, ObjectKind, OwnedObject, StoredIntent
from gateway.ledger.unsaved_changes import MAX_UNSAVED, ObjectCreated, ObjectDeleted, UnsavedChanges
from gateway.ledger.unsaved_files import UnsavedFiles
from schema.contract.errors import ErrorCode, GatewayError

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

    `now_seconds` is any clock that does not go back, `unix_seconds` the time of day. `on_refused` is told of an object
    that was created for an owner who was forgotten meanwhile: it is nobody's, and should be deleted upstream.
    """

    def __init__(
        self,
        link: LedgerLink,
        *,
        on_refused: Callable[[OwnedObject], Coroutine[Any, Any, None]] | None = None,
        max_unsaved: int = MAX_UNSAVED,
        now_seconds: Callable[[], float] = time.monotonic,
        unix_seconds: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._on_refused = on_refused
        self._unix_seconds = unix_seconds
        self._sleep = sleep
        self._known = {kind: KnownOwners(kind, link, now_seconds=now_seconds) for kind in ObjectKind}
        self._tasks = BackgroundTasks()
        self._unsaved = UnsavedChanges(self._store_change, max_unsaved=max_unsaved, sleep=sleep)
        self._unsaved_files = UnsavedFiles(self._store_made_files, max_unsaved=max_unsaved, sleep=sleep)

    @property
    def unsaved_count(self) -> int:
        """The number of objects with a change that the ledger does not have yet."""
        return len(self._unsaved) + len(self._unsaved_files)

    async def find_owners(self, kind: ObjectKind, object_ids: Collection[str]) -> Mapping[str, Owner]:
        owners: dict[str, Owner] = {}
        unknown: list[str] = []
        known = self._known[kind]
        for object_id in dict.fromkeys(object_ids):
            change = self._unsaved.find_change(OwnedObject(kind, object_id))
            if isinstance(change, ObjectCreated):
                owners[object_id] = change.intent.owner
            elif change is None:
                owner = known.get_owner(object_id)
                if owner is None and kind is ObjectKind.FILE:
                    owner = self._unsaved_files.find_owner(object_id)
                if owner is None:
                    unknown.append(object_id)
                else:
                    owners[object_id] = owner
        if unknown:
            try:
                owners.update(await known.look_up(unknown))
            except LedgerUnavailableError:
                raise unavailable_error() from None
        return owners

    async def begin_create(self, owner: Owner, kind: ObjectKind) -> _CreateIntent:
        if self._unsaved.is_full:
            raise unavailable_error()
        intent = StoredIntent(uuid.uuid4().hex, owner, kind, int(self._unix_seconds()))
        try:
            await self._link.call(lambda store: store.add_intent(intent))
        except LedgerUnavailableError:
            raise unavailable_error() from None
        return _CreateIntent(self, intent)

    async def record_created(self, object_id: str, intent: StoredIntent) -> None:
        """Record the object that an intent led to."""
        await self._unsaved.submit(ObjectCreated(OwnedObject(intent.kind, object_id), intent))

    def discard_intent(self, intent: StoredIntent) -> None:
        """Remove an intent in the background, whose object was not created. What fails is swept later."""
        self._tasks.start(self._remove_intent(intent))

    async def record_deleted(self, kind: ObjectKind, object_id: str) -> None:
        self._known[kind].remove_owner(object_id)
        if kind is ObjectKind.FILE:
            self._unsaved_files.remove_file(object_id)
        await self._unsaved.submit(ObjectDeleted(OwnedObject(kind, object_id)))

    def record_made_files(self, files: Collection[MadeFile]) -> Awaitable[None] | None:
        return self._unsaved_files.add_files(files)

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
        await self._unsaved_files.aclose()
        await self._tasks.aclose()
        for known in self._known.values():
            await known.aclose()

    async def _store_change(self, change: ObjectCreated | ObjectDeleted) -> None:
        kind, object_id = change.owned
        if isinstance(change, ObjectDeleted):
            await self._link.call(lambda store: store.remove_objects(kind, [object_id]))
            self._known[kind].remove_owner(object_id)
        elif await self._link.call(lambda store: store.add_created(change.intent, object_id)):
            self._known[kind].set_owner(object_id, change.intent.owner)
        else:
            await self._refuse_created(change.owned)

    async def _store_made_files(self, files: Collection[MadeFile]) -> Mapping[str, Owner | None]:
        """Store files whose thread has reached the ledger. Those of other threads are tried again after it has."""
        ready = [made for made in files if not self._is_unsaved_thread(made.thread_id)]
        if not ready:
            return {}
        now = int(self._unix_seconds())
        owners = await self._link.call(lambda store: store.add_made_files(ready, now))
        for file_id, owner in owners.items():
            self._known[ObjectKind.FILE].set_owner(file_id, owner)
        return {made.file_id: owners.get(made.file_id) for made in ready}

    def _is_unsaved_thread(self, thread_id: str) -> bool:
        return isinstance(self._unsaved.find_change(OwnedObject(ObjectKind.THREAD, thread_id)), ObjectCreated)

    async def _refuse_created(self, created: OwnedObject) -> None:
        """Tell of an object that is not its creator's. One that another adopted meanwhile is not to be deleted."""
        kind, object_id = created
        if await self._link.call(lambda store: store.find_owners(kind, [object_id])):
            _logger.error("%s %s is another's: it was adopted while it was created", kind, object_id)
            return
        _logger.warning("%s %s is nobody's: its owner was forgotten while it was created", kind, object_id)
        if self._on_refused is not None:
            self._tasks.start(self._on_refused(created))

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
                _logger.warning("creates whose outcome is unknown: %d; nobody owns what they made", swept)
            await self._sleep(SWEEP_SECONDS)


def unavailable_error() -> GatewayError:
    """Make the error of a caller whose operation needs the ledger."""
    return GatewayError(
        ErrorCode.LEDGER_UNAVAILABLE,
        "The gateway cannot look up or record whose a thread or a file is at the moment: its database does not answer.",
        retry_after_ms=int(OPEN_SECONDS * 1000),
    )
