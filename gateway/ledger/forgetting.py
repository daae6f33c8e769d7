"""Forgets a person: their tombstone, then their files and threads, each upstream first and then its row."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from gateway.identity.principal import Owner
from gateway.ledger.ledger_store import LedgerStore, ObjectKind, OwnedObject
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import FileKey, ThreadKey
from schema.contract.ports import ThreadsApi
from schema.contract.writes import DELETE_FILE, DELETE_THREAD

PAGE_SIZE = 64
CONCURRENCY = 8
"""Deletions at once. The upstream serves the users meanwhile."""

RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0)


class Forgetter:
    """Deletes the files and threads of an owner. It may be interrupted at any point, and begun again.

    `delete_object` deletes a file or a thread upstream, or raises a `GatewayError`. `on_progress` gets the number of
    those that are gone. `failures` are those that the upstream did not delete, with its errors: their rows stay.
    """

    def __init__(
        self,
        store: LedgerStore,
        delete_object: Callable[[OwnedObject], Awaitable[None]],
        *,
        unix_seconds: Callable[[], float],
        on_progress: Callable[[int], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._delete_object = delete_object
        self._unix_seconds = unix_seconds
        self._on_progress = on_progress
        self._sleep = sleep
        self.deleted: Counter[ObjectKind] = Counter()
        self.failures: dict[OwnedObject, GatewayError] = {}

    async def forget(self, owner: Owner) -> None:
        """Forget an owner.

        Raises:
            LedgerUnavailableError: The ledger did not answer.
        """
        await self._store.add_tombstone(owner, int(self._unix_seconds()))
        # An owner who is signed in may create more meanwhile, and a run may make files until its thread is gone: again
        # until a pass finds none.
        while await self._delete_listed(owner):
            pass

    async def _delete_listed(self, owner: Owner) -> int:
        """Delete all objects of one pass over the list, files first. Returns how many it deleted."""
        before = self.deleted.total()
        last: OwnedObject | None = None
        while page := await self._store.list_objects(owner, PAGE_SIZE, last):
            last = page[-1]
            await self._delete_page(page)
        return self.deleted.total() - before

    async def _delete_page(self, page: Sequence[OwnedObject]) -> None:
        slots = asyncio.Semaphore(CONCURRENCY)

        async def delete(owned: OwnedObject) -> OwnedObject | None:
            async with slots:
                error = await self._delete_upstream(owned)
            if error is None:
                self.failures.pop(owned, None)
                return owned
            self.failures[owned] = error
            return None

        async with asyncio.TaskGroup() as tasks:
            deletions = [tasks.create_task(delete(owned)) for owned in page]
        gone = [owned for deletion in deletions if (owned := deletion.result()) is not None]
        for kind in ObjectKind:
            object_ids = [owned.object_id for owned in gone if owned.kind is kind]
            if object_ids:
                await self._store.remove_objects(kind, object_ids)
                self.deleted[kind] += len(object_ids)
        self._on_progress(self.deleted.total())

    async def _delete_upstream(self, owned: OwnedObject) -> GatewayError | None:
        """Delete an object upstream, and again where that can help. One that is gone already is deleted."""
        pauses = iter(RETRY_PAUSES)
        while True:
            try:
                await self._delete_object(owned)
            except GatewayError as error:
                if error.code is ErrorCode.NOT_FOUND:
                    return None
                pause = next(pauses, None)
                if pause is None or not error.retryable:
                    return error
                await self._sleep(max(pause, (error.retry_after_ms or 0) / 1000))
            else:
                return None


async def delete_owned(port: ThreadsApi, owned: OwnedObject) -> None:
    """Delete an object at the upstream. Raises a `GatewayError` if that fails."""
    if owned.kind is ObjectKind.FILE:
        await port.write(DELETE_FILE, FileKey(owned.object_id), None)
    else:
        await port.write(DELETE_THREAD, ThreadKey(owned.object_id), None)
