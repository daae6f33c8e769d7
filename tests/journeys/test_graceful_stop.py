"""Tests that a stopping gateway finishes its requests within its time and exits with status 0."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.server.app import listening
from tests.support.gateway import running_command, url_in
from tests.support.graphql import GraphQLClient
from tests.support.subscription_gateway import until

BODY = {"query": "{ assistants { nodes { name } } }"}
HEADERS = {"Authorization": "Bearer x"}
EMPTY_PAGE: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


class SlowUpstream:
    """An upstream that reports each request and responds when the test lets it."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.let = asyncio.Event()
        self.url = ""

    async def answer(self, _: web.Request) -> web.Response:
        self.requested.set()
        await self.let.wait()
        return web.json_response(EMPTY_PAGE)


@pytest.fixture
async def upstream() -> AsyncIterator[SlowUpstream]:
    slow = SlowUpstream()
    app = web.Application()
    app.router.add_get("/v1/assistants", slow.answer)
    async with listening(app, "127.0.0.1", 0) as url:
        slow.url = f"{url}/v1"
        yield slow


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def exit_status(process: subprocess.Popen[str]) -> int:
    return await asyncio.to_thread(process.wait, 30)


async def until_unready(client: GraphQLClient) -> None:
    """Poll the gateway over the socket until it says that it is stopping."""
    while (await client.get("/readyz")).json["checks"] != {"gateway": "stopping"}:
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_requests_in_flight_are_finished_while_readiness_turns_503_at_once(
    upstream: SlowUpstream, session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    with running_command("serve", "--port", "0", "--upstream-url", upstream.url) as (process, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), session)
        pending = asyncio.create_task(client.post(BODY, headers=HEADERS))
        await upstream.requested.wait()
        process.send_signal(number)
        await until_unready(client)
        assert (await client.get("/readyz")).status == 503
        assert (await client.post(BODY, headers=HEADERS)).status == 503
        upstream.let.set()
        reply = await pending
        assert (reply.status, reply.json) == (200, {"data": {"assistants": {"nodes": []}}})
        assert await exit_status(process) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_no_request_fails_if_the_load_balancer_has_time_to_notice(
    upstream: SlowUpstream, session: aiohttp.ClientSession, workers: str
) -> None:
    """Eight clients send until the readiness has turned, as a load balancer would let them."""
    options = ("--drain-seconds", "2", "--cache", "false", "--workers", workers)
    arguments = ("serve", "--port", "0", "--upstream-url", upstream.url, *options)
    upstream.let.set()
    statuses: list[int] = []
    served_after_signal = asyncio.Event()
    is_signalled = False

    async def send_until_unready(client: GraphQLClient) -> None:
        while (await client.get("/readyz")).status == 200:
            for _ in range(3):
                was_signalled = is_signalled
                statuses.append((await client.post(BODY, headers=HEADERS)).status)
                if was_signalled:
                    served_after_signal.set()

    with running_command(*arguments) as (process, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), session)
        assert (await client.get("/readyz")).status == 200
        load = [asyncio.create_task(send_until_unready(client)) for _ in range(8)]
        await until(lambda: len(statuses) >= 50)
        process.send_signal(signal.SIGTERM)
        is_signalled = True
        await asyncio.gather(*load)
        # A request that was on its way when the readiness turned is served too.
        statuses.append((await client.post(BODY, headers=HEADERS)).status)
        assert served_after_signal.is_set()
        assert set(statuses) == {200}
        assert await exit_status(process) == 0


async def test_a_request_that_takes_too_long_is_ended_with_a_response(
    upstream: SlowUpstream, session: aiohttp.ClientSession
) -> None:
    arguments = ("serve", "--port", "0", "--upstream-url", upstream.url, "--shutdown-seconds", "0.05")
    with running_command(*arguments) as (process, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), session)
        pending = asyncio.create_task(client.post(BODY, headers=HEADERS))
        await upstream.requested.wait()
        process.send_signal(signal.SIGTERM)
        assert (await pending).status == 503
        assert await exit_status(process) == 0


async def test_a_second_signal_ends_at_once(upstream: SlowUpstream, session: aiohttp.ClientSession) -> None:
    with running_command("serve", "--port", "0", "--upstream-url", upstream.url) as (process, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), session)
        pending = asyncio.create_task(client.post(BODY, headers=HEADERS))
        await upstream.requested.wait()
        process.send_signal(signal.SIGTERM)
        await until_unready(client)
        process.send_signal(signal.SIGTERM)
        assert await exit_status(process) == -signal.SIGTERM
        with pytest.raises(aiohttp.ClientError):
            await pending


async def test_an_idle_gateway_ends_although_a_connection_is_open(
    upstream: SlowUpstream, session: aiohttp.ClientSession
) -> None:
    with running_command("serve", "--port", "0", "--upstream-url", upstream.url) as (process, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), session)
        assert (await client.get("/healthz")).status == 200
        process.send_signal(signal.SIGTERM)
        assert await exit_status(process) == 0


@pytest.mark.parametrize("command", ["demo", "emulator"])
def test_the_other_commands_stop_the_same_way(command: str) -> None:
    ports = ("--port", "0", "--emulator-port", "0") if command == "demo" else ("--port", "0")
    with running_command(command, *ports) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
