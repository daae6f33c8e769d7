"""Forgets a person: their tombstone, then each of their threads, upstream first, then what Redis holds of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gateway.identity.principal import Owner
from gateway.ledger.ledger_store import LedgerStore, ObjectKind, OwnedObject
from schema.contract.errors import ErrorCode, GatewayError

PAGE_SIZE = 64
CONCURRENCY = 8
"""Deletions at once. The upstream serves the users meanwhile."""

RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0)


class Forgetter:
    """Deletes the threads of an owner. It may be interrupted at any point, and begun again.

    `delete_thread` deletes a thread upstream, or raises a `GatewayError`. `on_progress` gets the number of threads that
    are gone. `failures` are the threads that the upstream did not delete, with its errors: their rows stay.
    """

    def __init__(
        self,
        store: LedgerStore,
        delete_thread: Callable[[str], Awaitable[None]],
        *,
        unix_seconds: Callable[[], float],
        on_progress: Callable[[int], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._delete_thread = delete_thread
        self._unix_seconds = unix_seconds
        self._on_progress = on_progress
        self._sleep = sleep
        self.deleted_count = 0
        self.failures: dict[str, GatewayError] = {}

    async def forget(self, owner: Owner) -> None:
        """Forget an owner.

        Raises:
            LedgerUnavailableError: The ledger did not answer.
        """
        await self._store.add_tombstone(owner, int(self._unix_seconds()))
        # An owner who is signed in may create threads meanwhile: again until a pass finds none.
        while await self._delete_listed(owner):
            pass

    async def _delete_listed(self, owner: Owner) -> int:
        """Delete all threads of one pass over the list. Returns how many it deleted."""
        before = self.deleted_count
        last: OwnedObject | None = None
        while page := await self._store.list_objects(owner, PAGE_SIZE, last):
            last = page[-1]
            await self._delete_page([owned.object_id for owned in page])
        return self.deleted_count - before

    async def _delete_page(self, thread_ids: Sequence[str]) -> None:
        slots = asyncio.Semaphore(CONCURRENCY)

        async def delete(thread_id: str) -> str | None:
            async with slots:
                error = await self._delete_upstream(thread_id)
            if error is None:
                self.failures.pop(thread_id, None)
                return thread_id
            self.failures[thread_id] = error
            return None

        async with asyncio.TaskGroup() as tasks:
            deletions = [tasks.create_task(delete(thread_id)) for thread_id in thread_ids]
        gone = [thread_id for deletion in deletions if (thread_id := deletion.result()) is not None]
        await self._store.remove_objects(ObjectKind.THREAD, gone)
        self.deleted_count += len(gone)
        self._on_progress(self.deleted_count)

    async def _delete_upstream(self, thread_id: str) -> GatewayError | None:
        """Delete a thread upstream, and again where that can help. One that is gone already is deleted."""
        pauses = iter(RETRY_PAUSES)
        while True:
            try:
                await self._delete_thread(thread_id)
            except GatewayError as error:
                if error.code is ErrorCode.NOT_FOUND:
                    return None
                pause = next(pauses, None)
                if pause is None or not error.retryable:
                    return error
                await self._sleep(max(pause, (error.retry_after_ms or 0) / 1000))
            else:
                return None
