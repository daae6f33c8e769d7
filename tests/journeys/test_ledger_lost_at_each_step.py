"""Tests that a thread is its creator's or nobody's, whichever message of a mutation to the database is the last."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.emulator.http.partitions import partition_from_key
from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_store import LedgerStore, ObjectKind
from gateway.ledger.open_store import open_store
from tests.support.emulator import KEY, Emulator
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import assistant, succeed
from tests.support.postgresql import PostgreSQL
from tests.support.signed_in import UNKNOWN, NamedUsers, UserClient, owner
from tests.support.tcp_proxy import TcpProxy, running_proxy

DEADLINE_SECONDS = 0.5
BUSY_SECONDS = 15.0
"""How much longer a busy machine may take."""

METADATA = "query ($id: ID!) { thread(id: $id) { metadata } }"
MUTATIONS = {
    "createThread": "mutation { createThread(input: {}) { thread { upstreamId } } }",
    "createThreadAndRun": """mutation ($assistant: ID!) { createThreadAndRun(input: {
        assistantId: $assistant, thread: {messages: [{content: [{text: "Hello"}]}]} }) { thread { upstreamId } } }""",
    "deleteThread": "mutation ($thread: ID!) { deleteThread(input: {threadId: $thread}) { deletedId } }",
}
KINDS = ("createThread", "streamed createThreadAndRun", "plain createThreadAndRun", "deleteThread", "cold deleteThread")


@dataclass
class Gateways:
    """A gateway whose database is reached through a proxy, another one that reaches it directly, and its rows."""

    emulator: Emulator
    proxied: Gateway
    direct: Gateway
    proxy: TcpProxy
    store: LedgerStore
    assistant_id: str

    @property
    def ann(self) -> UserClient:
        return UserClient(self.proxied, "ann")

    @property
    def upstream_threads(self) -> set[str]:
        return {thread.id for thread in self.emulator.store.threads.list_all(partition_from_key(KEY), None)}

    async def prepare(self, kind: str) -> dict[str, Any]:
        """Make what a mutation needs, and return its variables."""
        if "Run" in kind:
            return {"assistant": self.assistant_id}
        if "delete" not in kind:
            return {}
        made = await succeed(UserClient(self.direct, "ann"), "createThread", "thread { upstreamId }")
        if "cold" not in kind:
            await self.wait_for_answer(made["thread"]["upstreamId"])
        return {"thread": made["thread"]["upstreamId"]}

    async def recover(self) -> None:
        """Let the database be reached again, and wait until the gateway has noticed."""
        self.proxy.restore()
        await self.wait_for_answer(UNKNOWN.thread)

    async def wait_for_answer(self, thread_id: str) -> None:
        """Wait until the gateway behind the proxy has found out whose a thread is."""
        async with asyncio.timeout(BUSY_SECONDS):
            while "errors" in await self.ann.execute(METADATA, {"id": thread_id}):  # noqa: ASYNC110 - its answer
                await asyncio.sleep(0.05)

    async def wait_for_owners(self, thread_ids: set[str], expected: dict[str, object]) -> None:
        """Wait until the database has these owners. They may be missing before, but never be others."""
        async with asyncio.timeout(BUSY_SECONDS):
            while (found := await self.store.find_owners(ObjectKind.THREAD, thread_ids)) != expected:
                assert set(found.values()) <= {owner("ann")}
                await asyncio.sleep(0.02)

    async def check_readers(self, thread_id: str) -> None:
        """Check who reaches a thread of Ann's, at a gateway that learned of it from the database alone."""
        found = await UserClient(self.direct, "ann").execute(METADATA, {"id": thread_id})
        assert found == {"data": {"thread": {"metadata": {}}}}
        self.emulator.counts.reset()
        assert await UserClient(self.direct, "bob").execute(METADATA, {"id": thread_id}) == {"data": {"thread": None}}
        assert self.emulator.counts.total == 0


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
                yield Gateways(emulator, proxied, direct, proxy, store, await assistant(emulator))
            finally:
                await store.aclose()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("kind", "fault"),
    long_except(
        itertools.product(KINDS, ("cut", "swallow")),
        [("createThread", "cut"), ("streamed createThreadAndRun", "swallow"), ("cold deleteThread", "cut")],
    ),
)
async def test_a_database_lost_at_any_message_leaves_the_right_owner_or_none(
    emulator: Emulator, postgresql: PostgreSQL, request: pytest.FixtureRequest, kind: str, fault: str
) -> None:
    between = 1 if request.config.getoption("full") else 4
    # Of two runs, the second is not streamed, because the stream of the first never ends.
    settings = {"upstream_max_streams": 1} if "plain" in kind else {}
    async with running_gateways(emulator, postgresql, **settings) as gateways:
        if "plain" in kind:
            await gateways.wait_for_answer(UNKNOWN.thread)
            await gateways.ann.data(MUTATIONS["createThreadAndRun"], await gateways.prepare(kind))
        faults = 0
        for chunk in itertools.count(0, between):
            if not await lose_database(gateways, kind, fault, chunk):
                break
            faults += 1
        assert faults > 1
        # An intent whose create was refused, or whose removal was lost, is swept.
        assert await gateways.store.remove_intents_before(int(time.time()) + 1) <= faults
        assert await gateways.store.remove_intents_before(int(time.time()) + 1) == 0


async def lose_database(gateways: Gateways, kind: str, fault: str, chunk: int) -> bool:
    """Run a mutation, and lose the database in place of its message with this number. Returns whether it has one."""
    variables = await gateways.prepare(kind)
    before = gateways.upstream_threads
    gateways.proxy.arm(chunk, getattr(gateways.proxy, fault))
    started = time.monotonic()
    answer = await gateways.ann.execute(MUTATIONS[kind.rsplit(maxsplit=1)[-1]], variables)
    assert time.monotonic() - started < 2 * DEADLINE_SECONDS + BUSY_SECONDS
    is_lost = gateways.proxy.disarm()
    made, deleted = gateways.upstream_threads - before, before - gateways.upstream_threads
    await gateways.recover()
    if "errors" in answer:
        (error,) = answer["errors"]
        assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("LEDGER_UNAVAILABLE", True)
        assert made == deleted == set()
    if "delete" in kind:
        thread_id = variables["thread"]
        assert deleted == (set() if "errors" in answer else {thread_id})
        await gateways.wait_for_owners({thread_id}, {} if deleted else {thread_id: owner("ann")})
    elif made:
        (thread_id,) = made
        assert answer["data"][kind.rsplit(maxsplit=1)[-1]]["thread"] == {"upstreamId": thread_id}
        await gateways.wait_for_owners(made, {thread_id: owner("ann")})
        await gateways.check_readers(thread_id)
    return is_lost
