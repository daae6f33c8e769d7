"""Keeps a run in the ledger while its stream passes: its chain, its status, its messages, and the lease.

A ledger that does not answer holds up no stream. What could not be written is written with the next event, with the
next renewal of the lease, or soon after the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from gateway.background_tasks import BackgroundTasks, end_tasks
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord, KeptRecords
from schema.contract.errors import GatewayError
from schema.contract.run_streams import StreamEvent
from schema.contract.statuses import is_terminal
from schema.contract.wire import NULL, MessageObject, RunObject

_logger = logging.getLogger(__name__)

_WAITING, _CANCELLING = "requires_action", "cancelling"
SAVE_PAUSES_SECONDS = (1.0, 5.0, 15.0, 60.0)
"""Pauses before what could not be written is tried again after the end of a stream."""


@dataclass(frozen=True, slots=True)
class KeepingOptions:
    """How long leases last, and the clocks.

    A run holds the lease on its conversation for `lock_seconds`, renewed while its stream is read, and for
    `expiry_seconds` more while it waits for its client.
    """

    lock_seconds: float
    expiry_seconds: float
    now_seconds: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NewResponse:
    """A response that was started, before its id is known.

    Attributes:
        chain: The record of its chain; with no response yet if it starts one.
        answers: What is submitted with it, where it continues a chain.
        lock_holder: Who holds the lease on the conversation until the run has an id.
    """

    chain: ChainRecord
    answers: dict[str, str]
    lock_holder: str


class ChainKeeper:
    """Keeps one run. Owns the task that renews its lease; `aclose` ends it, and the lease then ends by itself.

    With `new`, it keeps a response that this process starts. Without, it keeps a run that was started elsewhere, of
    which the ledger may know more already: only its end, and that it waits. `tasks` outlive the stream: they write what
    could not be written until its end. `on_cancelling` is called if another process wants the run cancelled.
    """

    def __init__(
        self,
        kept: KeptRecords,
        thread_id: str,
        options: KeepingOptions,
        tasks: BackgroundTasks,
        *,
        run_id: str | None = None,
        new: NewResponse | None = None,
        on_cancelling: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._kept = kept
        self._thread_id = thread_id
        self._options = options
        self._tasks = tasks
        self._run_id = run_id
        self._new = new
        self._was_started_here = new is not None
        self._on_cancelling = on_cancelling
        self._unsaved_chain: ChainRecord | None = None
        self._unsaved_response: str | None = None
        self._unsaved_status: tuple[str, float | None, bytes | None] | None = None
        self._unsaved_items: dict[str, ItemRecord] = {}
        self._status: str | None = None
        self._item_times: dict[str, int] = {}
        self._renew_task: asyncio.Task[None] | None = None

    async def keep(
        self, events: Sequence[StreamEvent], response_id: str | None, *, is_last: bool = True
    ) -> list[StreamEvent]:
        """Keep what events tell of the run, and return them with the times of messages as they are kept.

        The status of a response that is not the last one of its run is not that of the run.
        """
        kept = [await self._keep_event(event, response_id if is_last else None) for event in events]
        await self._save()
        return kept

    async def keep_run(self, run: RunObject, response_id: str) -> None:
        """Keep a run that has no stream here. Nobody renews its lease, so it lasts until the run would expire."""
        await self._keep_status(run, response_id, follows=False)
        await self._save()

    async def hold_lease(self) -> None:
        """Take the lease of a run that is under way, and renew it until the run ends or waits."""
        if self._run_id is not None:
            await self._renew_lease(self._run_id)
        self._start_renewing()

    def _start_renewing(self) -> None:
        if self._renew_task is None:
            self._renew_task = asyncio.create_task(self._renew_lease_periodically())

    async def aclose(self) -> None:
        """Renew the lease no more. What is not written yet is written by a task of its own."""
        renew_task, self._renew_task = self._renew_task, None
        await end_tasks(renew_task)
        if self._has_unsaved:
            self._tasks.start(self._save_later())

    async def _keep_event(self, event: StreamEvent, response_id: str | None) -> StreamEvent:
        wire = event.wire
        if isinstance(wire, RunObject) and response_id is not None:
            return replace(event, wire=await self._keep_status(wire, response_id, follows=True))
        if isinstance(wire, MessageObject):
            return replace(event, wire=msgspec.structs.replace(wire, created_at=await self._time_of(wire.id)))
        return event

    async def _keep_status(self, run: RunObject, response_id: str, *, follows: bool) -> RunObject:
        """Keep the status of a run. Returns the run as it is: one that waits may have ended by the ledger alone."""
        if self._new is not None:
            await self._begin(self._new, run, response_id)
        if run.status == self._status:
            return run
        self._status = run.status
        waits = run.status == _WAITING
        if not (self._was_started_here or waits or is_terminal(run.status)):
            return run
        ended_run = msgspec.json.encode(run) if is_terminal(run.status) else None
        self._unsaved_status = (run.status, self._options.now_seconds() if waits else None, ended_run)
        if is_terminal(run.status) or waits or not follows:
            await self._stop_renewing()
            await self._save()  # before the lease goes
            if waits and (status := await self._find_end(run.id)) is not None:
                run = msgspec.structs.replace(run, status=status, required_action=NULL)
            await self._end_lease(run)
        return run

    async def _begin(self, new: NewResponse, run: RunObject, response_id: str) -> None:
        """Give the lease to the run, and keep the chain: with the upstream's time, by which runs are in order."""
        run_id = run.id
        self._new, self._run_id = None, run_id
        seconds = self._options.lock_seconds
        try:
            if not await self._kept.locks.hand_over(self._thread_id, new.lock_holder, run_id, seconds):
                await self._kept.locks.acquire(self._thread_id, run_id, seconds)
        except GatewayError as error:
            _logger.warning("The lease on a conversation could not be given to its run: %s", error)
        if new.chain.response_ids:
            self._unsaved_response, self._unsaved_chain = response_id, replace(new.chain, answers=new.answers)
        else:
            created_at = int(run.created_at) or new.chain.created_at
            chain = replace(new.chain, run_id=run_id, created_at=created_at, response_ids=(response_id,))
            self._unsaved_response, self._unsaved_chain = None, chain
        await self._save()
        self._start_renewing()

    async def _end_lease(self, run: RunObject) -> None:
        locks, options = self._kept.locks, self._options
        try:
            if is_terminal(run.status):
                await locks.release(self._thread_id, run.id)
            else:
                await locks.acquire(self._thread_id, run.id, options.expiry_seconds + options.lock_seconds)
        except GatewayError as error:
            _logger.warning("The lease on a conversation could not be changed: %s", error)

    async def _find_end(self, run_id: str) -> str | None:
        """Find how a run ended whose responses say that it waits: it expired, or was cancelled just before."""
        chain = None
        with contextlib.suppress(GatewayError):
            chain = (await self._kept.chains.find_chains([run_id])).get(run_id)
        return chain.status if chain is not None and is_terminal(chain.status) else None

    async def _time_of(self, message_id: str) -> int:
        """Return when a message was first seen, by this gateway or another."""
        known = self._item_times.get(message_id)
        if known is not None:
            return known
        seen_at = int(self._options.now_seconds())
        try:
            found = await self._kept.chains.find_items(self._thread_id, [message_id])
        except GatewayError:
            found = {}
        item = found.get(message_id)
        if item is None or item.run_id is None:
            item = ItemRecord(item.created_at if item else seen_at, self._run_id)
            self._unsaved_items[message_id] = item
        self._item_times[message_id] = item.created_at
        return item.created_at

    @property
    def _has_unsaved(self) -> bool:
        return bool(self._unsaved_chain or self._unsaved_status or self._unsaved_items)

    async def _save(self) -> bool:
        """Write what is not written yet. Returns whether all is."""
        chains = self._kept.chains
        try:
            if (chain := self._unsaved_chain) is not None:
                if self._unsaved_response is None:
                    await chains.add_chain(chain)
                else:
                    await chains.extend_chain(chain.run_id, self._unsaved_response, chain.answers)
                self._unsaved_chain = None
            if items := dict(self._unsaved_items):
                await chains.add_items(self._thread_id, items)
                self._unsaved_items = {key: one for key, one in self._unsaved_items.items() if key not in items}
            if self._run_id is not None and (status := self._unsaved_status) is not None:
                await chains.record_status(self._run_id, *status)
                self._unsaved_status = None if self._unsaved_status == status else self._unsaved_status
        except GatewayError as error:
            _logger.warning("A run could not be recorded; it is tried again: %s", error)
            return False
        return True

    async def _save_later(self) -> None:
        for pause in SAVE_PAUSES_SECONDS:
            await self._options.sleep(pause)
            if await self._save():
                return

    async def _renew_lease_periodically(self) -> None:
        seconds = self._options.lock_seconds
        while True:
            await self._options.sleep(seconds / 3)
            if self._run_id is None:
                continue
            if self._has_unsaved:
                await self._save()
            await self._renew_lease(self._run_id)

    async def _renew_lease(self, run_id: str) -> None:
        try:
            await self._kept.locks.acquire(self._thread_id, run_id, self._options.lock_seconds)
            if self._on_cancelling is not None and await self._is_cancelling(run_id):
                await self._on_cancelling()
        except GatewayError as error:
            _logger.warning("The lease on a conversation could not be renewed: %s", error)

    async def _is_cancelling(self, run_id: str) -> bool:
        chain = (await self._kept.chains.find_chains([run_id])).get(run_id)
        return chain is not None and chain.status == _CANCELLING

    async def _stop_renewing(self) -> None:
        renew_task, self._renew_task = self._renew_task, None
        await end_tasks(renew_task)
