"""Tests the viewer's list at two gateways with one database and one Redis, also while either of them is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.run_log import viewer_hub
from schema.contract.keys import RunKey, ThreadKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.gateway import Gateway
from tests.support.mutations import WEATHER, assistant, succeed
from tests.support.postgresql import PostgreSQL
from tests.support.record_gateways import USAGE, VIEWER_EVENTS, eventually, record_gateway, titles, waiting
from tests.support.signed_in import UserClient
from tests.support.subscription_clients import open_socket
from tests.support.valkey import Valkey


@asynccontextmanager
async def two_gateways(
    emulator: Emulator, postgresql: PostgreSQL, valkey: Valkey, **settings: Any
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    url = postgresql.create_database()
    shared = {"redis_url": valkey.url, "redis_deadline_seconds": 5.0, **settings}
    async with record_gateway(emulator, url, **shared) as first, record_gateway(emulator, url, **shared) as other:
        yield first, other


async def create(client: UserClient, text: str) -> str:
    made = await succeed(client, "createThread", "thread { upstreamId }", messages=[{"content": [{"text": text}]}])
    thread_id: str = made["thread"]["upstreamId"]
    return thread_id


async def test_what_changes_at_one_gateway_is_told_and_listed_at_the_other(
    emulator: Emulator, postgresql: PostgreSQL, valkey: Valkey
) -> None:
    async with two_gateways(emulator, postgresql, valkey) as (first, other):
        here, there, bob = UserClient(first, "ann"), UserClient(other, "ann"), UserClient(other, "bob")
        async with open_socket(there, key="ann") as socket, open_socket(bob, key="bob") as bobs:
            reader = await socket.subscribe(VIEWER_EVENTS)
            strangers = await bobs.subscribe(VIEWER_EVENTS)
            thread_id = await create(here, "Hello")
            await reader.wait_until(
                lambda one: any(event["thread"]["title"] == "Hello" for event in one.of_type("ThreadChanged"))
            )
            await eventually(lambda: titles(there), ["Hello"])
            await succeed(here, "updateThread", "thread { id }", threadId=thread_id, title="Named", isArchived=True)
            await reader.wait_until(
                lambda one: any(event["thread"]["isArchived"] for event in one.of_type("ThreadChanged"))
            )
            cursor = reader.cursor
            await socket.unsubscribe(reader)
            await succeed(here, "deleteThread", "deletedId", threadId=thread_id)
            resumed = await socket.subscribe(VIEWER_EVENTS, after=cursor)
            await resumed.wait_for_event("ThreadRemoved", deletedId=to_global_id(ThreadKey(thread_id)))
            assert resumed.events[0]["type"] == "ThreadRemoved"
            assert await titles(there, isArchived=None) == []
            await create(bob, "Bob's")
            await strangers.wait_for_event("ThreadChanged")
            assert {event["thread"]["title"] for event in strangers.of_type("ThreadChanged")} == {"Bob's"}


async def test_a_waiting_run_is_told_once_and_answered_at_the_other_gateway(
    emulator: Emulator, postgresql: PostgreSQL, valkey: Valkey
) -> None:
    async with two_gateways(emulator, postgresql, valkey) as (first, other):
        here, there = UserClient(first, "ann"), UserClient(other, "ann")
        async with open_socket(here, key="ann") as on_first, open_socket(there, key="ann") as on_other:
            readers = [await socket.subscribe(VIEWER_EVENTS) for socket in (on_first, on_other)]
            thread_id = await create(here, "What is the weather?")
            assistant_id = await assistant(emulator, tools=[WEATHER])
            made = await succeed(here, "createRun", "run { upstreamId }", threadId=thread_id, assistantId=assistant_id)
            run_id = made["run"]["upstreamId"]
            emulator.clock.advance(LONG_SECONDS)
            for reader in readers:
                await reader.wait_for_event("RunStatusChange", status="REQUIRES_ACTION")
            await eventually(lambda: waiting(there), [run_id])
            run = await emulator.get(f"/threads/{thread_id}/runs/{run_id}")
            (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
            await succeed(
                there,
                "submitToolOutputs",
                "run { id }",
                runId=to_global_id(RunKey(thread_id, run_id)),
                toolOutputs=[{"callId": call["id"], "output": "Rain"}],
            )
            await eventually(lambda: waiting(there), [])
            emulator.clock.advance(LONG_SECONDS)
            for reader in readers:
                await reader.wait_for_event("RunStatusChange", status="COMPLETED")
            for reader in readers:
                told = [event["status"] for event in reader.of_type("RunStatusChange")]
                assert told.count("REQUIRES_ACTION") == told.count("COMPLETED") == 1
            run = await emulator.get(f"/threads/{thread_id}/runs/{run_id}")

            async def total() -> object:
                return (await here.data(USAGE))["viewer"]["usage"]["totalTokens"]

            await eventually(total, run["usage"]["total_tokens"])


async def test_while_the_database_is_away_only_what_it_keeps_is_null_and_all_is_made_good(
    emulator: Emulator, postgresql: PostgreSQL, valkey: Valkey
) -> None:
    async with two_gateways(emulator, postgresql, valkey, gateway_ledger_deadline_seconds=0.5) as (first, other):
        ann, there = UserClient(first, "ann"), UserClient(other, "ann")
        thread_id = await create(ann, "Hello")
        await titles(ann)
        document = "query ($id: ID!) { thread(id: $id) { title isArchived messages(last: 5) { nodes { text } } } }"
        assert (await ann.data(document, {"id": thread_id}))["thread"]["title"] == "Hello"
        postgresql.kill()
        try:
            answer = await ann.execute(document, {"id": thread_id})
            assert answer["data"]["thread"]["title"] is None
            assert answer["data"]["thread"]["messages"]["nodes"] == [{"text": "Hello"}]
            (error,) = answer["errors"]
            assert error["extensions"]["code"] == "LEDGER_UNAVAILABLE"
            await succeed(
                ann, "createMessage", "message { id }", threadId=thread_id, content=[{"text": "While it was away"}]
            )
        finally:
            postgresql.start()
        await eventually(lambda: titles_or_error(there, text="away"), ["Hello"])


async def titles_or_error(client: UserClient, **conditions: Any) -> object:
    try:
        return await titles(client, **conditions)
    except AssertionError as error:
        return str(error)


async def test_while_redis_is_away_each_gateway_tells_of_its_own_changes_and_then_of_all_again(
    emulator: Emulator, postgresql: PostgreSQL, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_hub, "RETURN_SECONDS", 0.1)
    async with two_gateways(emulator, postgresql, valkey, redis_deadline_seconds=0.2) as (first, other):
        here, there = UserClient(first, "ann"), UserClient(other, "ann")
        async with open_socket(here, key="ann") as socket:
            reader = await socket.subscribe(VIEWER_EVENTS)
            await create(there, "Before")
            await reader.wait_for_event("ThreadChanged")
            valkey.kill()
            try:
                await create(here, "Meanwhile")
                await reader.wait_until(
                    lambda one: any(event["thread"]["title"] == "Meanwhile" for event in one.of_type("ThreadChanged"))
                )
            finally:
                valkey.start()
            await reader.wait_for_event("StreamError", code="CURSOR_EXPIRED")

            async def is_told() -> bool:
                await create(there, "After")
                await asyncio.sleep(0.1)
                return any(event["thread"]["title"] == "After" for event in reader.of_type("ThreadChanged"))

            await eventually(is_told, expected=True)
