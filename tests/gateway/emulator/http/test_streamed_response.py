import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.emulator.app import STREAMS, create_app
from gateway.emulator.clock import ManualClock, SystemClock
from gateway.emulator.http.request_counts import COUNTS
from gateway.emulator.http.streamed_response import StreamedResponse
from tests.gateway.emulator.api_client import Api, event_names

Connect = Callable[[web.Application], Awaitable[TestClient[Any, Any]]]
SIMPLE_RUN = Path(__file__).with_name("simple_run.sse")


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds. The server shares this event loop."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


async def test_a_simple_run_streams_exactly_these_bytes(api: Api) -> None:
    assistant_id, thread_id = await api.new_assistant(instructions="Be brief."), await api.new_thread()
    async with api.stream(f"/threads/{thread_id}/runs", {"assistant_id": assistant_id}) as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["x-request-id"].startswith("req_")
        assert "Content-Length" not in stream.response.headers
        api.clock.advance(20)
        sent = await stream.response.read()
    (run,) = (await api.ok("GET", f"/threads/{thread_id}/runs"))["data"]
    (step,) = (await api.ok("GET", f"/threads/{thread_id}/runs/{run['id']}/steps"))["data"]
    ids = {"asst": assistant_id, "thread": thread_id, "run": run["id"], "step": step["id"]}
    ids["msg"] = step["step_details"]["message_creation"]["message_id"]
    expected = SIMPLE_RUN.read_bytes()
    for name, value in ids.items():
        expected = expected.replace(b"{" + name.encode() + b"}", value.encode())
    assert sent == expected


async def test_a_stream_is_counted_as_soon_as_it_is_open(api: Api) -> None:
    thread_id = await api.new_thread("Hi")
    async with api.stream(f"/threads/{thread_id}/runs", {"assistant_id": await api.new_assistant()}) as stream:
        await stream.next()
        assert (await (await api.client.get("/_emulator/requests")).json())["by_operation"]["createRun"] == 1
        api.clock.advance(60)
        await stream.rest()


async def test_closing_a_stream_does_not_stop_its_run(api: Api) -> None:
    thread_id = await api.new_thread("Hi")
    async with api.stream(f"/threads/{thread_id}/runs", {"assistant_id": await api.new_assistant()}) as stream:
        _, run = await stream.next()
        api.clock.advance(1.5)
        await stream.until("thread.message.delta")
        stream.response.close()
    path = f"/threads/{thread_id}/runs/{run['id']}"
    assert (await api.ok("GET", path))["status"] == "in_progress"
    api.clock.advance(60)
    assert (await api.ok("GET", path))["status"] == "completed"
    streams = api.client.app[STREAMS]
    await until(lambda: len(streams) == 0)


async def test_an_idle_stream_ends_when_its_client_disconnects(api: Api) -> None:
    thread_id = await api.new_thread("Hi")
    streams = api.client.app[STREAMS]
    async with api.stream(f"/threads/{thread_id}/runs", {"assistant_id": await api.new_assistant()}) as stream:
        await stream.until("thread.run.queued")
        await until(lambda: len(streams) == 1)
        stream.response.close()
    await until(lambda: len(streams) == 0)


async def test_a_stopping_server_ends_its_streams_and_leaves_nothing(clock: ManualClock) -> None:
    client = TestClient(TestServer(create_app(clock=clock)))
    await client.start_server()
    api = Api(client, clock)
    thread_id = await api.new_thread("Hi")
    async with api.stream(f"/threads/{thread_id}/runs", {"assistant_id": await api.new_assistant()}) as stream:
        assert event_names([await stream.next(), await stream.next()]) == ["run.created", "run.queued"]
        closing = asyncio.create_task(client.server.close())
        assert await stream.rest() == []
    await closing
    await client.close()


async def test_many_streams_run_side_by_side(aiohttp_client: Connect, clock: ManualClock) -> None:
    api = Api(await aiohttp_client(create_app(clock=clock)), clock)
    assistant_id = await api.new_assistant()
    threads = [await api.new_thread("Hi") for _ in range(30)]

    async def read(thread_id: str) -> list[str]:
        async with api.stream(f"/threads/{thread_id}/runs", {"assistant_id": assistant_id}) as stream:
            return event_names([await stream.next(), *await stream.rest()])

    reads = [asyncio.create_task(read(thread_id)) for thread_id in threads]
    streams = api.client.app[STREAMS]
    await until(lambda: len(streams) == len(threads))
    for _ in range(10):
        clock.advance(0.5)
        await asyncio.sleep(0)
    assert all(names[-1] == "done" for names in await asyncio.gather(*reads))


async def test_a_run_completes_by_the_system_clock(aiohttp_client: Connect) -> None:
    client = await aiohttp_client(create_app(clock=SystemClock()))
    api = Api(client, ManualClock())
    thread_id = await api.new_thread("Hi")
    body = {"assistant_id": await api.new_assistant(), "metadata": {"emulator": "rate_limit"}}
    async with api.stream(f"/threads/{thread_id}/runs", body) as stream:
        names = event_names(await stream.rest())
    assert names == ["run.created", "run.queued", "run.in_progress", "run.failed", "done"]
    assert client.app[COUNTS].by_operation["createRun"] == 1


async def test_a_slow_reader_delays_only_its_own_stream(aiohttp_client: Connect) -> None:
    made: list[int] = []
    chunk = b"x" * 65_536

    async def endless() -> AsyncGenerator[bytes, None]:
        while True:
            made.append(len(made))
            yield chunk

    async def stream(_: web.Request) -> web.StreamResponse:
        return StreamedResponse(endless(), {"Content-Type": "text/event-stream"})

    async def other(_: web.Request) -> web.StreamResponse:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/stream", stream)
    app.router.add_get("/other", other)
    client = await aiohttp_client(app)
    async with client.get("/stream") as slow:
        seen = -1
        while seen != len(made):
            seen = len(made)
            for _ in range(20):
                async with client.get("/other") as reply:
                    assert await reply.text() == "here"
        # The generator made no more chunks than the sockets' buffers hold.
        assert 0 < seen < 1000
        slow.close()
