"""A keeper of records over a ledger in memory, for tests of what stands around it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.sightings import CredentialOwner
from gateway.ledger.thread_access import OwnerScopes
from gateway.run_log.replay_buffer import EventReader
from gateway.run_log.store.memory_log import MemoryLog
from gateway.run_log.viewer_hub import ViewerHub
from gateway.viewer.record_keeper import RecordKeeper
from gateway.viewer.record_owners import RecordOwners
from schema.contract.run_events import LaggedChange, StatusChange, ThreadChange, ThreadRemovedChange
from schema.contract.thread_records import KeysetWindow, RecordFilter, RecordOrder

UPSTREAM = UpstreamIdentity("http://upstream.test")
ANN_PRINCIPAL = Principal.from_credential("Bearer ann", UPSTREAM)
NOW_MS = 5_000_000


@dataclass
class Kept:
    """A keeper, what it is made of, and one owner."""

    store: MemoryStore
    log: MemoryLog
    hub: ViewerHub
    owners: RecordOwners
    keeper: RecordKeeper
    ann: CredentialOwner

    async def titles(self) -> dict[str, str | None]:
        """Return the titles of the owner's threads, once nothing waits any more."""
        await self.keeper.writer.wait_until_idle()
        page = await self.store.records.list_records(
            self.ann, RecordFilter(), RecordOrder.LAST_ACTIVITY, KeysetWindow(100)
        )
        return {record.thread_id: record.title for record in page.items}

    async def follow(self) -> EventReader:
        """Follow the owner's list, behind the event that says so."""
        reader = await self.hub.follow(self.owners.to_log_name(self.ann))
        assert (await anext(reader)).change == LaggedChange(0)
        return reader


@asynccontextmanager
async def running_keeper(
    unix_seconds: Callable[[], float] = lambda: NOW_MS / 1000,
    store: MemoryStore | None = None,
    log: MemoryLog | None = None,
) -> AsyncIterator[Kept]:
    """Run a keeper, over a ledger and a log of its own unless it shares those of another one."""
    store, log = store or MemoryStore(), log or MemoryLog()
    link, hub = LedgerLink(store, deadline_seconds=5), ViewerHub(log)
    owners = RecordOwners(UPSTREAM, OwnerScopes(UPSTREAM))
    keeper = RecordKeeper(link, hub, owners, unix_seconds=unix_seconds)
    keeper.start()
    ann = owners.from_principal(ANN_PRINCIPAL)
    assert isinstance(ann, CredentialOwner)
    yield Kept(store, log, hub, owners, keeper, ann)
    await keeper.aclose()
    await hub.close()
    await link.aclose()


async def told(reader: EventReader) -> list[str]:
    """Return the events that a reader has, in short, once there is one."""
    events = [await anext(reader)]
    while (event := reader.poll_event()) is not None:
        events.append(event)
    found = []
    for event in events:
        match event.change:
            case ThreadChange(thread_id=thread_id, record=record):
                found.append(f"{thread_id} is {record.title if record else None}")
            case ThreadRemovedChange(thread_id=thread_id):
                found.append(f"{thread_id} is gone")
            case StatusChange(run=run):
                found.append(f"{run.thread_id}/{run.id} is {run.status}")
            case change:
                found.append(type(change).__name__)
    return found


async def wait_until_told(reader: EventReader, expected: str) -> None:
    """Read events until one of them is the expected one."""
    async with asyncio.timeout(10):
        while expected not in await told(reader):
            pass
