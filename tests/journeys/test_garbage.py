"""Tests that what an operation made is freed when it ends, and does not wait in cycles for the garbage collector."""

import asyncio
import contextlib
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from types import FrameType
from typing import Any

import pytest
from graphql.language import Location, Visitor

from gateway.server.app import OPERATION_TASKS
from schema.engine.selection_walker import SelectionFold, SelectionWalker
from tests.attacks.wires import INIT, TRIVIAL, UPGRADE, frame, get, post, subscribe
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.file_client import target, upload, uploaded
from tests.support.file_samples import PNG, part, raw_form
from tests.support.file_upstream import file_upstream
from tests.support.gateway import Gateway, running_gateway
from tests.support.graphql import Reply
from tests.support.recorded_listeners import record_listeners
from tests.support.subscription_gateway import SUBPROTOCOL, until

START = "mutation ($input: CreateRunInput!) { createRun(input: $input) { run { id } } }"
EVENTS = """subscription ($id: ID!) {
  runEvents(runId: $id) { __typename ... on RunStatusChange { run { status assistant { name } } } }
}"""
OPERATIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "missing thread": ('{ thread(id: "thread_missing") { createdAt } }', {}),
    "nested page": ("{ assistants { nodes { id name tools { __typename } } } }", {}),
    "failed field": ('{ thread(id: "thread_missing") { id messages { nodes { id } } } }', {}),
    "long document": ("{ " + "a" * 200_000 + " }", {}),
    "long variable": ("query ($id: ID!) { thread(id: $id) { id } }", {"id": "a" * 200_000}),
    "long list": ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["a"] * 2_000}),
    "missing operation": ("query A { __typename } query B { __typename }", {}),
    "refused mutation": ('mutation { deleteThread(input: {threadId: "thread_missing"}) { userErrors { code } } }', {}),
}


@pytest.fixture
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_gateway(emulator.url, gateway_cache=True) as gateway:
        yield gateway


@pytest.fixture
def collector() -> Iterator[None]:
    """Nothing is collected but by a test itself."""
    gc.disable()
    yield
    gc.enable()


async def own_garbage(action: Callable[[], Awaitable[object]], times: int = 3) -> Mapping[str, int]:
    """Return the objects of the gateway, and the frames, that only the garbage collector could free after an action."""
    await action()  # it may fill caches
    gc.freeze()  # what is there is left out, earlier tests' too
    for _ in range(times):
        await action()
    for _ in range(5):  # tasks that were cancelled a moment ago have to end
        await asyncio.sleep(0)
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = Counter(_name(each) for each in gc.garbage if _is_own(each))
    gc.garbage.clear()
    return found


def _is_own(each: object) -> bool:
    if isinstance(each, Visitor | SelectionFold | SelectionWalker | Location):
        return False  # graphql-core's validation: visitors that are cycles, and where a validation broke off
    module = each.f_globals["__name__"] if isinstance(each, FrameType) else type(each).__module__
    return module.startswith(("gateway.", "schema.")) and not module.startswith("gateway.emulator.")


def _name(each: object) -> str:
    return each.f_code.co_qualname if isinstance(each, FrameType) else type(each).__qualname__


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_leaves_no_garbage(gateway: Gateway, name: str) -> None:
    query, variables = OPERATIONS[name]
    assert await own_garbage(lambda: gateway.execute(query, variables)) == {}


TRANSFERS: Mapping[str, Callable[[Gateway, str], Awaitable[Reply]]] = {
    "upload": lambda gateway, _: upload(gateway, PNG),
    "large upload": lambda gateway, _: upload(gateway, b"x" * 1_000_000),
    "refused form": lambda gateway, _: upload(gateway, b""),
    "refused purpose": lambda gateway, _: upload(gateway, PNG, purpose="two words"),
    "download": lambda gateway, address: gateway.send("GET", target(address)),
    "refused address": lambda gateway, address: gateway.send("GET", target(address)[:-9]),
    "refused range": lambda gateway, address: gateway.send("GET", target(address), headers={"Range": "bytes=9999999-"}),
}


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("name", TRANSFERS)
async def test_a_transfer_leaves_no_garbage(gateway: Gateway, name: str) -> None:
    address = (await uploaded(gateway, PNG))["contentUrl"]
    assert await own_garbage(lambda: TRANSFERS[name](gateway, address)) == {}


@pytest.mark.usefixtures("collector")
async def test_a_client_that_leaves_while_it_sends_or_loads_a_file_leaves_no_garbage() -> None:
    async with file_upstream() as upstream, running_gateway(upstream.url) as gateway:
        address = target((await uploaded(gateway, PNG))["contentUrl"])
        upstream.content_bytes = 10 << 20

        async def leave_upload() -> None:
            sent = raw_form(part("file", b"x" * 50_000, "a"), ends=False)
            head = "".join(f"{name}: {value}\r\n" for name, value in sent["headers"].items())
            request = (
                f"POST /files HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nContent-Length: 90000\r\n{head}\r\n"
            )
            count = len(upstream.uploads)
            writer = await send_raw(gateway, request.encode() + sent["data"])
            await until(lambda: len(upstream.uploads) == count + 1)
            writer.transport.abort()
            await upstream.uploads[-1].is_over.wait()

        async def leave_download() -> None:
            writer = await send_raw(gateway, f"GET {address} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            count = len(upstream.requests)
            await until(lambda: len(upstream.requests) == count + 1)
            writer.transport.abort()

        for leave in (leave_upload, leave_download):
            found = await own_garbage(leave)
            # The upstream of this test is served by the same code.
            assert {name: count for name, count in found.items() if name != "Connection"} == {}


@pytest.mark.usefixtures("collector")
async def test_an_upload_that_the_upstream_refuses_leaves_no_garbage() -> None:
    async with file_upstream() as upstream, running_gateway(upstream.url) as gateway:
        upstream.upload_status = 400
        assert await own_garbage(lambda: upload(gateway, PNG)) == {}


async def send_raw(gateway: Gateway, data: bytes) -> asyncio.StreamWriter:
    host, port = gateway.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    return writer


async def start_run(gateway: Gateway, emulator: Emulator) -> str:
    assistant = await emulator.post("/assistants", {"model": "m"})
    thread = await emulator.post("/threads", {"messages": [{"role": "user", "content": "Hello"}]})
    data = await gateway.data(START, {"input": {"threadId": thread["id"], "assistantId": assistant["id"]}})
    run_id: str = data["createRun"]["run"]["id"]
    return run_id


async def follow_by_event_stream(gateway: Gateway, run_id: str) -> str:
    body = {"query": EVENTS, "variables": {"id": run_id}}
    headers = {"Authorization": AUTHORIZATION, "Accept": "text/event-stream"}
    reply = await gateway.post(body, headers=headers)
    return reply.body.decode()


async def follow_by_socket(gateway: Gateway, run_id: str) -> str:
    headers = {"Authorization": AUTHORIZATION}
    received = ""
    async with gateway.session.ws_connect(f"{gateway.url}/graphql", protocols=[SUBPROTOCOL], headers=headers) as socket:
        await socket.send_json({"type": "connection_init"})
        payload = {"query": EVENTS, "variables": {"id": run_id}}
        await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
        async for message in socket:
            received += str(message.data)
            if json.loads(message.data)["type"] == "complete":
                return received
    raise AssertionError(received)


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("follow", [follow_by_event_stream, follow_by_socket])
async def test_a_run_and_its_events_leave_no_garbage(
    gateway: Gateway, emulator: Emulator, follow: Callable[[Gateway, str], Coroutine[Any, Any, str]]
) -> None:
    async def watch_run() -> None:
        run_id = await start_run(gateway, emulator)
        following = asyncio.create_task(follow(gateway, run_id))
        while not following.done():
            emulator.clock.advance(1)
            await asyncio.sleep(0)
        assert "COMPLETED" in await following

    assert await own_garbage(watch_run) == {}


LONG_DOCUMENT = "{ " + " ".join(f"f{number}" for number in range(300)) + " }"
SLOW_QUERY = '{ thread(id: "thread_missing") { createdAt } }'
SLOW_MUTATION = 'mutation { deleteThread(input: {threadId: "thread_missing"}) { userErrors { code } } }'
LEFT = {
    "no HTTP": b"no HTTP at all\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nX-A: " + b"a" * 400_000,
    "unknown path": b"GET /missing HTTP/1.1\r\nHost: x\r\n\r\n",
    "unfinished body": post(b" " * 300_000, length=400_000),
    "pipelined queries": post(TRIVIAL) * 100,
    "socket without init": UPGRADE,
    "operations that wait": UPGRADE + INIT + b"".join(subscribe(n, LONG_DOCUMENT + f" # {n}") for n in range(20)),
    "operations that run": UPGRADE + INIT + b"".join(subscribe(n, SLOW_QUERY) for n in range(20)),
    "text that is not UTF-8": UPGRADE + INIT + frame(b"\xff\xfe"),
    "message that is too long": UPGRADE + INIT + frame(b" " * 2_000_000)[:100_000],
    "unfinished message": UPGRADE + INIT + frame(b" " * 100_000, is_final=False),
    "pings": UPGRADE + INIT + frame(b"x" * 125, opcode=9) * 200,
    "query": post(json.dumps({"query": SLOW_QUERY}).encode()),
    "mutation": post(json.dumps({"query": SLOW_MUTATION}).encode()),
    "event stream": get(SLOW_QUERY, "text/event-stream"),
}
"""What clients send that do not wait for the rest."""


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("name", LEFT)
async def test_a_client_that_has_left_leaves_no_garbage(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    emulator.misbehave("*:latency=200ms")
    listeners = record_listeners(monkeypatch)
    async with running_gateway(emulator.url, gateway_cache=True) as gateway:
        host, port = gateway.url.removeprefix("http://").split(":")
        operations = gateway.app[OPERATION_TASKS]

        async def send_and_leave() -> None:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(LEFT[name])
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            if name in {"query", "mutation", "event stream"}:
                await until(lambda: len(operations) > 0)
            elif "body" not in name and "header" not in name:
                await reader.read(100)
            for _ in range(50):  # turns in which the gateway reads and begins its work
                await asyncio.sleep(0)
            writer.transport.abort()
            await until(lambda: not any(map(len, listeners)))
            if len(operations):  # a mutation goes on
                emulator.clock.advance(1)
                await until(lambda: not len(operations))

        assert await own_garbage(send_and_leave) == {}
