"""Tests that callers whose upstream calls hang, or who leave while they write, take nothing from the other callers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.server.app import listening
from schema.contract.keys import ThreadKey, to_global_id
from tests.support.gateway import Gateway, running_gateway

IDS = [to_global_id(ThreadKey(f"thread_{number}")) for number in range(100)]
READS = {
    "query": "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Thread { createdAt } } }",
    "variables": {"ids": IDS},
}
WRITE = {"query": "mutation { createThread(input: {}) { thread { createdAt } } }"}
CREATED_AT = "1970-01-01T00:00:01Z"


class PartlyHangingUpstream:
    """An upstream that answers no call of a credential with `hanging` in it, and any other call at once."""

    def __init__(self) -> None:
        self.url = ""
        self.released = asyncio.Event()
        self.calls: Counter[str] = Counter()
        self.hanging_calls = 0
        self._changed = asyncio.Condition()

    async def answer(self, request: web.Request) -> web.Response:
        credential = request.headers.get("Authorization", "")
        self.calls[credential] += 1
        if "hanging" in credential:
            await self._count(1)
            await self.released.wait()
        return web.json_response({"id": request.path.rpartition("/")[2], "object": "thread", "created_at": 1})

    async def wait_for_hanging_calls(self, expected: int) -> None:
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: self.hanging_calls >= expected)

    async def _count(self, added: int) -> None:
        async with self._changed:
            self.hanging_calls += added
            self._changed.notify_all()


@pytest.fixture
async def upstream() -> AsyncIterator[PartlyHangingUpstream]:
    partly_hanging = PartlyHangingUpstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", partly_hanging.answer)
    async with listening(app, "127.0.0.1", 0) as url:
        partly_hanging.url = f"{url}/v1"
        yield partly_hanging
        partly_hanging.released.set()


@pytest.fixture
async def gateway(upstream: PartlyHangingUpstream) -> AsyncIterator[Gateway]:
    async with running_gateway(upstream.url, gateway_shutdown_seconds=0) as running:
        yield running
        upstream.released.set()


class Callers:
    """Clients that send the same operation over and over, and that leave together."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._tasks: list[asyncio.Task[None]] = []

    def send(self, body: dict[str, Any], caller: str, times: int) -> None:
        self._tasks += [asyncio.create_task(self._send(body, caller)) for _ in range(times)]

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _send(self, body: dict[str, Any], caller: str) -> None:
        headers = {"Authorization": f"Bearer {caller}"}
        async with self._session.post(f"{self._url}/graphql", json=body, headers=headers) as response:
            await response.read()


async def served(gateway: Gateway, body: dict[str, Any]) -> Any:
    async with asyncio.timeout(20):
        reply = await gateway.post(body, headers={"Authorization": "Bearer good"})
    assert "errors" not in reply.json, reply.json["errors"][:1]
    return reply.json["data"]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
async def test_all_calls_of_a_caller_are_served_while_others_hang(
    gateway: Gateway, upstream: PartlyHangingUpstream, count: int
) -> None:
    callers = Callers(gateway.url)
    try:
        # Each takes a third of the connections that the ones before it have left.
        for number, expected in enumerate([100, 167, 212, 242][:count]):
            callers.send(READS, f"hanging-{number}", times=4)
            await upstream.wait_for_hanging_calls(expected)
        for _ in range(3):
            assert await served(gateway, READS) == {"nodes": [{"createdAt": CREATED_AT}] * 100}
        assert await served(gateway, WRITE) == {"createThread": {"thread": {"createdAt": CREATED_AT}}}
        assert (await gateway.get("/readyz")).status == 200
        assert upstream.calls["Bearer good"] == 3 * 100 + 1
        assert upstream.hanging_calls == [100, 167, 212, 242][count - 1]
    finally:
        await callers.leave()


async def test_the_calls_of_callers_who_left_are_given_to_others(
    gateway: Gateway, upstream: PartlyHangingUpstream
) -> None:
    for _ in range(3):
        callers, before = Callers(gateway.url), upstream.hanging_calls
        callers.send(READS, "hanging", times=4)
        await upstream.wait_for_hanging_calls(before + 100)
        await callers.leave()
    assert await served(gateway, READS) == {"nodes": [{"createdAt": CREATED_AT}] * 100}


async def test_the_next_caller_is_served_after_200_abandoned_writes(
    gateway: Gateway, upstream: PartlyHangingUpstream
) -> None:
    callers = Callers(gateway.url)
    # Writes may have half of the connections.
    for number, expected in enumerate([50, 84, 106, 121]):
        callers.send(WRITE, f"hanging-{number}", times=50)
        await upstream.wait_for_hanging_calls(expected)
    await callers.leave()
    assert await served(gateway, WRITE) == {"createThread": {"thread": {"createdAt": CREATED_AT}}}
    assert await served(gateway, READS) == {"nodes": [{"createdAt": CREATED_AT}] * 100}
    assert (await gateway.get("/readyz")).status == 200
    assert upstream.hanging_calls == 121


async def test_a_caller_still_reads_after_200_abandoned_writes_of_its_own(
    gateway: Gateway, upstream: PartlyHangingUpstream
) -> None:
    writers, readers = Callers(gateway.url), Callers(gateway.url)
    writers.send(WRITE, "hanging", times=200)
    await upstream.wait_for_hanging_calls(50)
    await writers.leave()
    readers.send(READS, "hanging", times=1)
    try:
        await upstream.wait_for_hanging_calls(100)
    finally:
        await readers.leave()
