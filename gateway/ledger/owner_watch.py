"""Ends the readers of a log whose thread has another owner than before, or none any more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.ownership import Ownership
from gateway.ledger.thread_access import OwnerScopes, thread_not_found
from gateway.run_log.hub import RunLogHub
from gateway.run_log.store.event_log import LogName, ViewerKey
from schema.contract.errors import GatewayError

_logger = logging.getLogger(__name__)

CHECK_SECONDS = 30.0
LOGS_PER_LOOK_UP = 500


class OwnerWatch:
    """Compares the owners of all followed threads again and again. `run` must be a task; its owner cancels it.

    Reads check the owner themselves; a subscription is checked when it begins, and by this task. If the ledger does not
    answer, the readers stay: nobody can have changed an owner in it meanwhile.
    """

    def __init__(
        self,
        hub: RunLogHub,
        ownership: Ownership,
        owner_scopes: OwnerScopes,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._hub = hub
        self._ownership = ownership
        self._owner_scopes = owner_scopes
        self._sleep = sleep

    async def run(self) -> None:
        """Check from time to time, without end."""
        while True:
            await self._sleep(CHECK_SECONDS)
            try:
                await self.check_owners()
            except Exception:
                _logger.exception("The owners of followed threads could not be checked.")

    async def check_owners(self) -> None:
        """End the readers of all logs that lie in another scope than that of the thread's owner."""
        followed = self._hub.list_followed()
        for start in range(0, len(followed), LOGS_PER_LOOK_UP):
            await self._check(followed[start : start + LOGS_PER_LOOK_UP])
            await asyncio.sleep(0)  # owners in memory take no time, but their digests do

    async def _check(self, names: Sequence[LogName]) -> None:
        with contextlib.suppress(GatewayError):
            threads = {name: name.key.thread_id for name in names if not isinstance(name.key, ViewerKey)}
            owners = await self._ownership.find_owners(ObjectKind.THREAD, set(threads.values()))
            for name, thread_id in threads.items():
                if name.scope != self._owner_scopes.to_scope(owners.get(thread_id)):
                    self._hub.end_readers_of_log(name, thread_not_found(thread_id))
