"""Tests the proxy of `docker/` over three gateways, as in the compose file, with this machine's own nginx."""

import asyncio
import re
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.compose import DEMO_KEY
from gateway.config import Settings
from gateway.server.app import listening
from tests.docker.conftest import FleetOver
from tests.support.graphql import GraphQLClient
from tests.support.nginx import local_configuration, nginx_command

pytestmark = pytest.mark.nginx

QUERY = {"query": "{ assistants(first: 3) { nodes { name } } }"}
WRITE = {"query": "mutation { createThread(input: {}) { thread { upstreamId } } }"}
CREDENTIAL = {"Authorization": f"Bearer {DEMO_KEY}"}
EMPTY_PAGE: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
THREAD: dict[str, Any] = {"id": "thread_1", "object": "thread", "created_at": 1, "metadata": {}, "tool_resources": None}


class Upstream:
    """An upstream that responds to lists at once, and to a new thread when the test lets it."""

    def __init__(self) -> None:
        self.url = ""
        self.thread_requests = 0
        self.requested = asyncio.Event()
        self.let = asyncio.Event()

    async def list_assistants(self, _: web.Request) -> web.Response:
        return web.json_response(EMPTY_PAGE)

    async def create_thread(self, _: web.Request) -> web.Response:
        self.thread_requests += 1
        self.requested.set()
        await self.let.wait()
        return web.json_response(THREAD)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream, app = Upstream(), web.Application()
    app.router.add_get("/v1/assistants", upstream.list_assistants)
    app.router.add_post("/v1/threads", upstream.create_thread)
    async with listening(app, "127.0.0.1", 0) as url:
        upstream.url = f"{url}/v1"
        yield upstream


async def ask_in_turn(client: GraphQLClient, count: int) -> None:
    for _ in range(count):
        reply = await client.post(QUERY, headers=CREDENTIAL)
        assert (reply.status, "errors" in reply.json) == (200, False), reply


def test_nginx_accepts_the_configuration_without_a_warning(tmp_path: Path) -> None:
    configuration = local_configuration(tmp_path, 1, ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], {})
    done = subprocess.run(nginx_command(configuration, "-t"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"\[(warn|error|emerg)\]", done.stderr), done.stderr


def test_the_largest_body_is_the_gateways_own(tmp_path: Path) -> None:
    text = local_configuration(tmp_path, 1, [], {}).read_text()
    most = Settings.model_fields["gateway_max_body_bytes"].default
    assert f"client_max_body_size {most};" in text
    assert f"at most {most} bytes" in text


async def test_queries_are_spread_over_all_three_gateways(
    fleet_over: FleetOver, emulator_url: str, session: aiohttp.ClientSession
) -> None:
    async with fleet_over(emulator_url) as fleet:
        client = GraphQLClient(fleet.proxy.url, session)
        replies = await asyncio.gather(*(client.post(QUERY, headers=CREDENTIAL) for _ in range(30)))
        assert {len(reply.json["data"]["assistants"]["nodes"]) for reply in replies} == {3}
        calls = fleet.proxy.calls(30)
        assert Counter(call.gateways for call in calls) == {(address,): 10 for address in fleet.addresses}
        # The gateways' own key would not serve a caller behind a proxy. Here there is none.
        assert (await client.post(QUERY)).status == 401
        page = await client.get("/", allow_redirects=True, headers={"Accept": "text/html"})
        assert page.status == 200
        assets = set(re.findall(r'"(/graphiql/assets/[^"]+\.js)"', page.body.decode()))
        assert assets
        assert {(await client.get(asset)).status for asset in assets} == {200}
        statuses = {path: (await client.get(path)).status for path in ("/healthz", "/readyz", "/metrics", "/graphqlx")}
        assert statuses == {"/healthz": 200, "/readyz": 200, "/metrics": 404, "/graphqlx": 404}


async def test_a_dead_gateway_is_taken_out(
    fleet_over: FleetOver, emulator_url: str, session: aiohttp.ClientSession
) -> None:
    async with fleet_over(emulator_url) as fleet:
        client = GraphQLClient(fleet.proxy.url, session)
        fleet.processes[1].kill()
        await asyncio.to_thread(fleet.processes[1].wait)
        await ask_in_turn(client, 12)
        # It was never sent to the dead gateway, so it may go to the next.
        assert "errors" not in (await client.post(WRITE, headers=CREDENTIAL)).json
        calls = fleet.proxy.calls(13)
        assert {call.status for call in calls} == {200}
        # Without removal, it would get every third request. It gets one, and one more if this machine takes over five
        # seconds.
        assert 1 <= sum(fleet.addresses[1] in call.gateways for call in calls) <= 2


async def test_a_gateway_that_is_stopped_loses_no_request(
    fleet_over: FleetOver, upstream: Upstream, session: aiohttp.ClientSession
) -> None:
    async with fleet_over(upstream.url) as fleet:
        client = GraphQLClient(fleet.proxy.url, session)
        written = asyncio.create_task(client.post(WRITE, headers=CREDENTIAL))
        await upstream.requested.wait()
        fleet.processes[0].send_signal(signal.SIGTERM)
        direct = GraphQLClient(fleet.urls[0], session)
        while (await direct.get("/readyz")).json["checks"] != {"gateway": "stopping"}:
            pass
        await ask_in_turn(client, 12)
        upstream.let.set()
        assert (await written).json == {"data": {"createThread": {"thread": {"upstreamId": "thread_1"}}}}
        assert await asyncio.to_thread(fleet.processes[0].wait, 20) == 0
        await ask_in_turn(client, 12)
        calls = fleet.proxy.calls(25)
        (write,) = [call for call in calls if call.gateways == (fleet.addresses[0],)]
        assert (write.status, upstream.thread_requests) == (200, 1)
        refused = [call for call in calls if call.statuses[0] == "503"]
        assert refused
        assert {(call.status, call.statuses[-1]) for call in refused} == {(200, "200")}


async def test_a_write_that_a_stop_ends_is_not_repeated(
    fleet_over: FleetOver, upstream: Upstream, session: aiohttp.ClientSession
) -> None:
    async with fleet_over(upstream.url, "--shutdown-seconds", "0.05") as fleet:
        client = GraphQLClient(fleet.proxy.url, session)
        written = asyncio.create_task(client.post(WRITE, headers=CREDENTIAL))
        await upstream.requested.wait()
        fleet.processes[0].send_signal(signal.SIGTERM)
        reply = await written
        assert (reply.status, reply.json["errors"][0]["extensions"]["retryable"]) == (503, False)
        assert upstream.thread_requests == 1
        assert [call.gateways for call in fleet.proxy.calls(1)] == [(fleet.addresses[0],)]
        upstream.let.set()
