"""Tests that no principal can take all connections."""

import asyncio

from aiohttp import web

from gateway.server.app import listening
from gateway.upstream.threads_api_client import UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.keys import ThreadKey


async def test_a_caller_with_many_slow_operations_does_not_block_another() -> None:
    under_way, most, all_taken, release = 0, 0, asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal under_way, most
        if request.headers["Authorization"] == "Bearer greedy":
            under_way += 1
            most = max(most, under_way)
            if under_way == 3:
                all_taken.set()
            await release.wait()
            under_way -= 1
        thread_id = request.path.rpartition("/")[2]
        return web.json_response({"id": thread_id, "object": "thread", "created_at": 1})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with listening(app, "127.0.0.1", 0) as url:
        options = UpstreamOptions(base_url=url, pool_size=4, max_concurrency_per_principal=3)
        async with UpstreamClient(options) as client:
            keys = [ThreadKey(f"thread_{number}") for number in range(5)]
            greedy = [asyncio.create_task(client.bind("Bearer greedy").get_threads(keys)) for _ in range(3)]
            async with asyncio.timeout(20):
                await all_taken.wait()
                (found,) = await client.bind("Bearer modest").get_threads([ThreadKey("thread_mine")])
            assert getattr(found, "id", found) == "thread_mine"
            release.set()
            answers = await asyncio.gather(*greedy)
    assert most <= 3
    assert all(len(answer) == len(keys) for answer in answers)


async def test_each_principal_has_one_concurrency_limit_for_all_its_operations() -> None:
    async with UpstreamClient(UpstreamOptions(base_url="http://127.0.0.1:9")) as client:
        slots = client.principal_slots("Bearer a")
        assert client.principal_slots("Bearer a") is slots
        assert client.principal_slots("Bearer b") is not slots
        assert client.principal_slots(None) is not slots
