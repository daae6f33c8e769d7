"""A PostgreSQL that hangs, goes away and comes back, and what its callers see."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.database_ledger import DatabaseLedger
from gateway.ledger.ledger_database import MAX_CONNECTIONS
from gateway.ledger.ledger_store import CannotOpenError, ObjectKind
from gateway.ledger.open_store import open_store
from schema.contract.errors import ErrorCode, GatewayError
from tests.gateway.ledger.gated_store import ALICE, until
from tests.support.postgresql import PostgreSQL, running_postgresql
from tests.support.tcp_proxy import TcpProxy, running_proxy

UPSTREAM = UpstreamIdentity("https://upstream.test/v1")
DEADLINE_SECONDS = 0.5
BUSY_SECONDS = 5.0
"""How much longer a busy machine may take."""


@dataclass
class Ledgers:
    """A ledger whose database is reached through a proxy."""

    ledger: DatabaseLedger
    proxy: TcpProxy

    @property
    def store(self) -> object:
        return self.ledger._store

    async def find(self, *thread_ids: str) -> object:
        return await self.ledger.ownership.find_owners(ObjectKind.THREAD, thread_ids)


@asynccontextmanager
async def behind_proxy(server: PostgreSQL, url: str) -> AsyncIterator[Ledgers]:
    socket = str(server.socket)
    async with running_proxy(lambda: asyncio.open_unix_connection(socket)) as proxy:
        proxied = f"postgresql://postgres:hunter2@127.0.0.1:{proxy.port}{urlsplit(url).path}?sslmode=disable"
        ledger = DatabaseLedger(proxied, UPSTREAM, deadline_seconds=DEADLINE_SECONDS)
        await ledger.open()
        try:
            yield Ledgers(ledger, proxy)
        finally:
            await ledger.aclose()


@pytest.fixture
async def ledgers(postgresql: PostgreSQL) -> AsyncIterator[Ledgers]:
    async with behind_proxy(postgresql, postgresql.create_database()) as ledgers:
        yield ledgers


async def until_answered(ledgers: Ledgers) -> None:
    """Look up until the ledger answers, which it has to do within a second or so."""
    async with asyncio.timeout(BUSY_SECONDS + 1):
        while not await ledgers.ledger.check():  # noqa: ASYNC110 - its return is what is tested
            await asyncio.sleep(0.05)
    await ledgers.find("thread_y")


async def test_a_database_that_hangs_costs_each_caller_the_deadline_and_no_more(ledgers: Ledgers) -> None:
    await (await ledgers.ledger.ownership.begin_create(ALICE, ObjectKind.THREAD)).record_id("thread_1")
    ledgers.proxy.swallow()
    start = time.monotonic()
    outcomes = await asyncio.gather(
        *(ledgers.find(f"thread_x{number}") for number in range(200)),
        ledgers.ledger.ownership.begin_create(ALICE, ObjectKind.THREAD),
        return_exceptions=True,
    )
    assert {outcome.code for outcome in outcomes if isinstance(outcome, GatewayError)} == {ErrorCode.LEDGER_UNAVAILABLE}
    assert len([outcome for outcome in outcomes if isinstance(outcome, GatewayError)]) == 201
    assert time.monotonic() - start < DEADLINE_SECONDS + BUSY_SECONDS
    assert await ledgers.find("thread_1") == {"thread_1": ALICE}
    assert not await ledgers.ledger.check()
    assert ledgers.proxy.connections <= 2 * MAX_CONNECTIONS
    ledgers.proxy.restore()
    await until_answered(ledgers)
    assert await ledgers.ledger.check()


async def test_a_database_that_comes_back_gets_what_was_not_stored(ledgers: Ledgers, postgresql: PostgreSQL) -> None:
    intent = await ledgers.ledger.ownership.begin_create(ALICE, ObjectKind.THREAD)
    ledgers.proxy.cut()
    await intent.record_id("thread_1")
    with pytest.raises(GatewayError):
        await ledgers.ledger.ownership.begin_create(ALICE, ObjectKind.THREAD)
    assert await ledgers.find("thread_1") == {"thread_1": ALICE}
    ledgers.proxy.restore()
    await until_answered(ledgers)
    await until(lambda: not ledgers.ledger.ownership.unsaved_count)


async def test_a_cut_connection_is_replaced_without_an_error(ledgers: Ledgers) -> None:
    await ledgers.find("thread_1")
    ledgers.proxy.cut()
    ledgers.proxy.restore()
    assert await ledgers.find("thread_2") == {}


async def test_no_password_is_shown_by_what_fails(
    ledgers: Ledgers, postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    ledgers.proxy.cut()
    with pytest.raises(GatewayError) as of_read:
        await ledgers.find("thread_1")
    with pytest.raises(CannotOpenError) as of_start:
        await open_store(f"postgresql://postgres:hunter2@127.0.0.1:{ledgers.proxy.port}/x", UPSTREAM)
    assert "hunter2" not in f"{of_read.value!r}{of_start.value!r}{caplog.text}{ledgers.ledger!r}{vars(ledgers.store)!r}"


@pytest.mark.full
async def test_a_killed_database_is_used_again_when_it_is_back() -> None:
    with running_postgresql() as server:
        async with behind_proxy(server, server.create_database()) as ledgers:
            intents = [await ledgers.ledger.ownership.begin_create(ALICE, ObjectKind.THREAD) for _ in range(10)]
            await asyncio.to_thread(server.kill)
            for number, intent in enumerate(intents):
                await intent.record_id(f"thread_{number}")
            await asyncio.to_thread(server.start)
            await until_answered(ledgers)
            await until(lambda: not ledgers.ledger.ownership.unsaved_count)
