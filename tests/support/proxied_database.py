"""Two gateways over one database: one reaches it through a proxy, which a test makes fail, the other directly."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_store import LedgerStore, ObjectKind
from gateway.ledger.open_store import open_store
from tests.support.emulator import KEY, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.postgresql import PostgreSQL
from tests.support.signed_in import NamedUsers, UserClient, owner
from tests.support.tcp_proxy import TcpProxy, running_proxy
from tests.support.viewer_gateways import wait_for_database

DEADLINE_SECONDS = 0.5
BUSY_SECONDS = 15.0
"""How much longer a busy machine may take."""

METADATA = "query ($id: ID!) { thread(id: $id) { metadata } }"


@dataclass
class Gateways:
    """A gateway whose database is reached through a proxy, another one that reaches it directly, and its rows."""

    emulator: Emulator
    proxied: Gateway
    direct: Gateway
    proxy: TcpProxy
    store: LedgerStore

    @property
    def ann(self) -> UserClient:
        return UserClient(self.proxied, "ann")

    async def recover(self) -> None:
        """Let the database be reached again, and wait until the gateway has noticed: for owners, and for records."""
        self.proxy.restore()
        await wait_for_database(self.ann)

    async def wait_for_answer(self, thread_id: str) -> None:
        """Wait until the gateway behind the proxy has found out whose a thread is."""
        async with asyncio.timeout(BUSY_SECONDS):
            while "errors" in await self.ann.execute(METADATA, {"id": thread_id}):  # noqa: ASYNC110 - its answer
                await asyncio.sleep(0.05)

    async def wait_for_owners(self, kind: ObjectKind, object_ids: set[str], expected: Mapping[str, object]) -> None:
        """Wait until the database has these owners. They may be missing before, but never be others."""
        async with asyncio.timeout(BUSY_SECONDS):
            while (found := await self.store.find_owners(kind, object_ids)) != expected:
                assert set(found.values()) <= {owner("ann")}
                await asyncio.sleep(0.02)


async def lose_each_message(
    gateways: Gateways, lose_database: Callable[[int], Awaitable[bool]], *, is_full: bool
) -> None:
    """Lose the database in place of each message of an operation, or of every fourth one, and sweep what is left.

    `lose_database` does so once, in place of the message with a number, and tells whether there are so many.
    """
    faults = 0
    for number in itertools.count(0, 1 if is_full else 4):
        if not await lose_database(number):
            break
        faults += 1
    assert faults > 1
    # An intent whose create was refused, or whose removal was lost, is swept.
    assert await gateways.store.remove_intents_before(int(time.time()) + 1) <= faults
    assert await gateways.store.remove_intents_before(int(time.time()) + 1) == 0


@asynccontextmanager
async def running_gateways(emulator: Emulator, server: PostgreSQL, **settings: Any) -> AsyncIterator[Gateways]:
    url, socket = server.create_database(), str(server.socket)
    upstream = UpstreamIdentity(emulator.url, dialect="openai-v2")
    options = {"upstream_api_key": KEY, "upstream_dialect": "openai-v2", "gateway_cache": True, **settings}
    async with running_proxy(lambda: asyncio.open_unix_connection(socket)) as proxy:
        proxied_url = f"postgresql://postgres@127.0.0.1:{proxy.port}{urlsplit(url).path}?sslmode=disable"
        by_url = {"gateway_database_url": proxied_url, "gateway_ledger_deadline_seconds": DEADLINE_SECONDS}
        patient = {"gateway_database_url": url, "gateway_ledger_deadline_seconds": BUSY_SECONDS}
        users = NamedUsers(upstream)
        async with (
            running_gateway(emulator.url, authenticator=users, **options, **by_url) as proxied,
            running_gateway(emulator.url, authenticator=users, **options, **patient) as direct,
        ):
            store = await open_store(url, upstream)
            try:
                yield Gateways(emulator, proxied, direct, proxy, store)
            finally:
                await store.aclose()
