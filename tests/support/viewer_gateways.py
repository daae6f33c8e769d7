"""Gateways that keep records of threads in a database that may go away, and what a client reads of its viewer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.emulator.clock import ManualClock
from gateway.identity.principal import UpstreamIdentity
from gateway.viewer import viewer_services
from tests.support.emulator import KEY, Emulator, running_emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.postgresql import PostgreSQL
from tests.support.signed_in import NamedUsers
from tests.support.tcp_proxy import TcpProxy, running_proxy

LATE_SECONDS = 30.0
"""How long a record may be late on a busy machine."""

DEADLINE_SECONDS = 5.0
"""A deadline of the ledger that a busy machine keeps. A connection that is cut fails at once."""

USAGE_FIELDS = "promptTokens completionTokens totalTokens cachedTokens reasoningTokens"
THREADS = f"""query ($first: Int, $after: String, $last: Int, $before: String, $filter: ThreadFilter,
    $orderBy: ThreadOrder! = LAST_ACTIVITY) {{
  viewer {{ threads(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {{
    nodes {{ upstreamId title isArchived usage {{ {USAGE_FIELDS} }} }}
    pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }} }}"""
USAGE = f"query ($since: DateTime) {{ viewer {{ usage(since: $since) {{ {USAGE_FIELDS} }} }} }}"
UNKNOWN_THREAD = '{ thread(id: "thread_unknown") { id createdAt } }'
WAITING_RUNS = "{ viewer { waitingRuns(first: 100) { nodes { upstreamId } } } }"


@asynccontextmanager
async def clocked_emulator(keys: tuple[str, ...] = ()) -> AsyncIterator[Emulator]:
    """Run an emulator from the present time on. When a test moves its clock, the clock of the records moves too."""
    start = time.time()
    clock = ManualClock(start)

    def unix_seconds() -> float:
        return time.time() + clock.now() - start

    with pytest.MonkeyPatch.context() as patch:
        for name in ("RecordKeeper", "ObservingThreadsApi"):
            patch.setattr(viewer_services, name, partial(getattr(viewer_services, name), unix_seconds=unix_seconds))
        async with running_emulator(clock=clock, keys=keys) as emulator:
            yield emulator


@asynccontextmanager
async def viewer_gateway(emulator: Emulator, database_url: str, **settings: Any) -> AsyncIterator[Gateway]:
    """Run a gateway for users that sign in by name."""
    options: dict[str, Any] = {
        "upstream_api_key": KEY,
        "upstream_dialect": "openai-v2",
        "gateway_cache": True,
        "gateway_database_url": database_url,
        "gateway_ledger_deadline_seconds": DEADLINE_SECONDS,
        **settings,
    }
    users = NamedUsers(UpstreamIdentity(emulator.url, dialect="openai-v2"))
    async with running_gateway(emulator.url, authenticator=users, **options) as gateway:
        yield gateway


class MortalGateway:
    """A gateway that reaches its database through a proxy, and may die with whatever it has not written."""

    def __init__(self, emulator: Emulator, proxy: TcpProxy, database_url: str, settings: Mapping[str, Any]) -> None:
        self._emulator = emulator
        self._settings = settings
        self._url = f"postgresql://postgres@127.0.0.1:{proxy.port}{urlsplit(database_url).path}?sslmode=disable"
        self._stack = AsyncExitStack()
        self.proxy = proxy
        self.gateway: Gateway

    async def start(self) -> None:
        running = viewer_gateway(self._emulator, self._url, **self._settings)
        self.gateway = await self._stack.enter_async_context(running)

    async def die(self) -> None:
        """End the gateway without its database, and start another."""
        self.proxy.cut()
        await self._stack.aclose()
        self.proxy.restore()
        await self.start()

    async def aclose(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def mortal_gateway(
    emulator: Emulator, server: PostgreSQL, database_url: str, **settings: Any
) -> AsyncIterator[MortalGateway]:
    socket = str(server.socket)
    async with running_proxy(lambda: asyncio.open_unix_connection(socket)) as proxy:
        mortal = MortalGateway(emulator, proxy, database_url, settings)
        await mortal.start()
        try:
            yield mortal
        finally:
            proxy.restore()
            await mortal.aclose()


async def wait_for_database(client: Gateway) -> None:
    """Wait until a gateway reaches its database again."""

    async def answers() -> bool:
        answers = [await client.execute(query) for query in (USAGE, UNKNOWN_THREAD)]
        return not any("errors" in answer for answer in answers)

    async def yes() -> bool:
        return True

    await eventually_equal(answers, yes)


async def read_page(client: Gateway, **variables: Any) -> dict[str, Any]:
    """Return one page of the viewer's threads."""
    page: dict[str, Any] = (await client.data(THREADS, variables))["viewer"]["threads"]
    return page


async def list_ids(client: Gateway, **variables: Any) -> list[str]:
    """Return the upstream ids on one page of the viewer's threads, of at most 100."""
    return [node["upstreamId"] for node in (await read_page(client, **{"first": 100, **variables}))["nodes"]]


async def list_waiting(client: Gateway) -> list[str]:
    """Return the upstream ids of the viewer's waiting runs."""
    return [run["upstreamId"] for run in (await client.data(WAITING_RUNS))["viewer"]["waitingRuns"]["nodes"]]


async def eventually_equal(read: Callable[[], Awaitable[Any]], expected: Callable[[], Awaitable[Any]]) -> None:
    """Wait until two reads return the same, for so long as records may be late."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LATE_SECONDS
    while (found := await read()) != (wanted := await expected()):
        assert loop.time() < deadline, f"expected {wanted}, got {found}"
        await asyncio.sleep(0.05)


async def eventually_passes(check: Callable[[], Awaitable[None]]) -> None:
    """Wait until a check passes, for so long as records may be late."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LATE_SECONDS
    while True:
        try:
            await check()
        except AssertionError:
            if loop.time() >= deadline:
                raise
        else:
            return
        await asyncio.sleep(0.2)
