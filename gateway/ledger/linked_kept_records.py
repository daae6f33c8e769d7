"""The kept records of an upstream with responses as operations use them: within the deadline of the ledger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from gateway.ledger.ledger_link import OPEN_SECONDS, LedgerLink
from gateway.ledger.ledger_store import LedgerStore, LedgerUnavailableError
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord, KeptRecords
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.paging import Window
from schema.contract.wire import AssistantObject, Page

ResultT = TypeVar("ResultT")


class _Linked:
    """A part of the store behind a link. Raises a `GatewayError` with `LEDGER_UNAVAILABLE`."""

    def __init__(self, link: LedgerLink) -> None:
        self._link = link

    async def _call(self, work: Callable[[LedgerStore], Awaitable[ResultT]]) -> ResultT:
        try:
            return await self._link.call(work)
        except LedgerUnavailableError:
            raise _unavailable_error() from None


class LinkedChains(_Linked):
    """The `ChainStore` of the store behind a link."""

    async def add_chain(self, chain: ChainRecord) -> None:
        await self._call(lambda store: store.kept.chains.add_chain(chain))

    async def find_chains(self, run_ids: Sequence[str]) -> Mapping[str, ChainRecord]:
        return await self._call(lambda store: store.kept.chains.find_chains(run_ids)) if run_ids else {}

    async def list_chains(self, thread_id: str, window: Window) -> Page[ChainRecord] | None:
        return await self._call(lambda store: store.kept.chains.list_chains(thread_id, window))

    async def list_waiting(self, before: float, limit: int) -> Sequence[ChainRecord]:
        return await self._call(lambda store: store.kept.chains.list_waiting(before, limit))

    async def extend_chain(self, run_id: str, response_id: str, answers: Mapping[str, str]) -> None:
        await self._call(lambda store: store.kept.chains.extend_chain(run_id, response_id, answers))

    async def record_status(
        self, run_id: str, status: str, waiting_since: float | None = None, ended_run: bytes | None = None
    ) -> bool:
        return await self._call(lambda store: store.kept.chains.record_status(run_id, status, waiting_since, ended_run))

    async def add_items(self, thread_id: str, items: Mapping[str, ItemRecord]) -> None:
        if items:
            await self._call(lambda store: store.kept.chains.add_items(thread_id, items))

    async def find_items(self, thread_id: str, item_ids: Sequence[str]) -> Mapping[str, ItemRecord]:
        return await self._call(lambda store: store.kept.chains.find_items(thread_id, item_ids)) if item_ids else {}

    async def remove_thread(self, thread_id: str) -> None:
        await self._call(lambda store: store.kept.chains.remove_thread(thread_id))


class LinkedAssistants(_Linked):
    """The `AssistantStore` of the store behind a link."""

    async def add_assistant(self, shelf: str, assistant: AssistantObject) -> None:
        await self._call(lambda store: store.kept.assistants.add_assistant(shelf, assistant))

    async def find_assistants(self, shelf: str, ids: Sequence[str]) -> Mapping[str, AssistantObject]:
        return await self._call(lambda store: store.kept.assistants.find_assistants(shelf, ids)) if ids else {}

    async def list_assistants(self, shelf: str, window: Window) -> Page[AssistantObject] | None:
        return await self._call(lambda store: store.kept.assistants.list_assistants(shelf, window))

    async def change_assistant(
        self, shelf: str, assistant_id: str, change: Callable[[AssistantObject], AssistantObject]
    ) -> AssistantObject | None:
        return await self._call(lambda store: store.kept.assistants.change_assistant(shelf, assistant_id, change))

    async def remove_assistant(self, shelf: str, assistant_id: str) -> bool:
        return await self._call(lambda store: store.kept.assistants.remove_assistant(shelf, assistant_id))


class LinkedLocks(_Linked):
    """The `ThreadLocks` of the store behind a link."""

    async def acquire(self, thread_id: str, holder: str, seconds: float) -> bool:
        return await self._call(lambda store: store.kept.locks.acquire(thread_id, holder, seconds))

    async def hand_over(self, thread_id: str, holder: str, new_holder: str, seconds: float) -> bool:
        return await self._call(lambda store: store.kept.locks.hand_over(thread_id, holder, new_holder, seconds))

    async def find_holder(self, thread_id: str) -> str | None:
        return await self._call(lambda store: store.kept.locks.find_holder(thread_id))

    async def release(self, thread_id: str, holder: str) -> None:
        await self._call(lambda store: store.kept.locks.release(thread_id, holder))


def link_kept_records(link: LedgerLink) -> KeptRecords:
    """Make all three over the store behind a link."""
    return KeptRecords(LinkedChains(link), LinkedAssistants(link), LinkedLocks(link))


def _unavailable_error() -> GatewayError:
    return GatewayError(
        ErrorCode.LEDGER_UNAVAILABLE,
        "The gateway cannot look up or record the runs and assistants that it keeps for this upstream at the moment: "
        "its database does not answer.",
        retry_after_ms=int(OPEN_SECONDS * 1000),
    )
