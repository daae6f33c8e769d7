"""Short ways to write sightings and to read records back, for the contract of record stores."""

from typing import Any

from gateway.identity.principal import Owner
from gateway.ledger.record_store import RecordStore
from gateway.ledger.sightings import CredentialOwner, RecordKey, RecordOwner, SeenMessage, SeenRun, SeenThread
from schema.contract.thread_records import (
    RecordFilter,
    RecordOrder,
    RecordPosition,
    RecordWindow,
    ThreadRecord,
    TokenUsage,
    WaitingRunPosition,
    WaitingRunWindow,
)

KEY = CredentialOwner("5eed" * 16)
OTHER_KEY = CredentialOwner("0ddba11" * 9 + "0")

LATER = 10**6
"""A time of seeing after all others."""


def record_key(thread_id: str = "thread_1", owner: RecordOwner = KEY) -> RecordKey:
    return RecordKey(owner, thread_id)


def seen_thread(thread_id: str = "thread_1", owner: RecordOwner = KEY, **values: Any) -> SeenThread:
    return SeenThread(record_key(thread_id, owner), **{"seen_at_ms": 1000, "created_at_ms": 1000} | values)


def seen_run(
    status: str, run_id: str = "run_1", thread_id: str = "thread_1", owner: RecordOwner = KEY, **values: Any
) -> SeenRun:
    times = {"seen_at_ms": 2000, "created_at_ms": 2000}
    return SeenRun(record_key(thread_id, owner), run_id, status, **times | values)


def seen_message(
    text: str | None, message_id: str = "msg_1", thread_id: str = "thread_1", owner: RecordOwner = KEY, **values: Any
) -> SeenMessage:
    times = {"seen_at_ms": 1500, "created_at_ms": 1500}
    return SeenMessage(record_key(thread_id, owner), message_id, text=text, **times | values)


async def find_record(
    records: RecordStore, thread_id: str = "thread_1", owner: RecordOwner = KEY
) -> ThreadRecord | None:
    return (await records.get_records([record_key(thread_id, owner)])).get(record_key(thread_id, owner))


async def find_title(records: RecordStore, thread_id: str = "thread_1") -> str | None:
    record = await find_record(records, thread_id)
    assert record is not None
    return record.title


async def list_ids(records: RecordStore, owner: RecordOwner = KEY, limit: int = 1000, **conditions: Any) -> list[str]:
    """List all threads that meet the conditions, the latest activity first."""
    page = await records.list_records(owner, RecordFilter(**conditions), RecordOrder.LAST_ACTIVITY, RecordWindow(limit))
    return [record.thread_id for record in page.items]


async def search(records: RecordStore, text: str, owner: RecordOwner = KEY) -> set[str]:
    return set(await list_ids(records, owner, text=text))


async def list_waiting(records: RecordStore, owner: RecordOwner = KEY, now_ms: int = 0) -> list[tuple[str, str, int]]:
    page = await records.list_waiting_runs(owner, WaitingRunWindow(1000), now_ms)
    return [(run.key.thread_id, run.key.run_id, run.since_ms) for run in page.items]


async def walk_records(
    records: RecordStore,
    order: RecordOrder,
    limit: int,
    *,
    backwards: bool = False,
    owner: RecordOwner = KEY,
    conditions: RecordFilter | None = None,
) -> list[ThreadRecord]:
    """Read a whole list page by page, and return it in its order."""
    listed: list[ThreadRecord] = []
    position = None
    while True:
        window = RecordWindow(limit, position, backwards)
        page = await records.list_records(owner, conditions or RecordFilter(), order, window)
        assert len(page.items) == limit or not page.has_more
        listed = [*page.items, *listed] if backwards else [*listed, *page.items]
        if not page.has_more:
            return listed
        position = record_position(page.items[0 if backwards else -1], order)


def record_position(record: ThreadRecord, order: RecordOrder) -> RecordPosition:
    time_ms = record.last_activity_at_ms if order is RecordOrder.LAST_ACTIVITY else record.created_at_ms
    return RecordPosition(time_ms, record.thread_id)


async def walk_waiting(records: RecordStore, limit: int, *, backwards: bool = False) -> list[WaitingRunPosition]:
    """Read the list of waiting runs page by page, and return it in its order."""
    listed: list[WaitingRunPosition] = []
    while True:
        edge = listed[0 if backwards else -1] if listed else None
        page = await records.list_waiting_runs(KEY, WaitingRunWindow(limit, edge, backwards), 0)
        found = [WaitingRunPosition(run.since_ms, *run.key) for run in page.items]
        listed = [*found, *listed] if backwards else [*listed, *found]
        if not page.has_more:
            return listed


def usage(prompt: int, completion: int, cached: int | None = None, reasoning: int | None = None) -> TokenUsage:
    return TokenUsage(prompt, completion, prompt + completion, cached, reasoning)


async def rows_of(records: RecordStore, *owners: Owner | CredentialOwner) -> list[list[str]]:
    """List the threads of several owners."""
    return [sorted(await list_ids(records, owner)) for owner in owners]
