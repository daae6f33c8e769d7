"""Tests that a gateway reads nothing twice, shares nothing between callers, and shows every write at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.support.emulator import Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import answered_thread, assistant, succeed
from tests.support.valkey import Valkey

pytestmark = pytest.mark.usefixtures("shared_clock")

CONVERSATION = """query ($id: ID!) { thread(id: $id) { metadata messages(last: 10) { nodes { role text
    run { status steps { nodes { type } } } } pageInfo { hasPreviousPage } } } }"""


@asynccontextmanager
async def processes(emulator: Emulator, count: int, **settings: Any) -> AsyncIterator[list[Gateway]]:
    """Gateways with a cache."""
    async with AsyncExitStack() as stack:
        options = {"gateway_cache": True, "gateway_cost": True, "redis_deadline_seconds": 5, **settings}
        yield [await stack.enter_async_context(running_gateway(emulator.url, **options)) for _ in range(count)]


async def test_a_repeated_conversation_costs_no_call(emulator: Emulator) -> None:
    thread_id = await answered_thread(emulator)
    async with processes(emulator, 1) as (gateway,):
        first = await gateway.execute(CONVERSATION, {"id": thread_id})
        assert first["extensions"]["cost"]["upstreamCalls"] == emulator.counts.total > 0
        emulator.counts.reset()
        again = await gateway.execute(CONVERSATION, {"id": thread_id})
    assert again["data"] == first["data"]
    assert emulator.counts.total == again["extensions"]["cost"]["upstreamCalls"] == 0
    assert again["extensions"]["cost"]["cacheHits"] > 0


async def test_data_cached_by_one_process_cost_another_no_call(emulator: Emulator, valkey: Valkey) -> None:
    thread_id = await answered_thread(emulator)
    async with processes(emulator, 2, redis_url=valkey.url) as (one, other):
        first = await one.data(CONVERSATION, {"id": thread_id})
        for _ in range(20):  # its entries take a moment to arrive in Redis
            emulator.counts.reset()
            assert await other.data(CONVERSATION, {"id": thread_id}) == first
            if emulator.counts.total == 0:
                return
    raise AssertionError(f"expected no call, got {emulator.counts.by_operation}")


@pytest.mark.parametrize("shared", [False, True])
async def test_a_write_is_seen_by_every_process_at_once(emulator: Emulator, valkey: Valkey, shared: bool) -> None:
    thread_id = await answered_thread(emulator)
    redis = {"redis_url": valkey.url} if shared else {}
    async with processes(emulator, 2 if shared else 1, **redis) as gateways:
        writer, reader = gateways[0], gateways[-1]
        for gateway in gateways:
            await gateway.data(CONVERSATION, {"id": thread_id})
        await succeed(writer, "createMessage", "__typename", threadId=thread_id, content=[{"text": "And now?"}])
        await succeed(writer, "updateThread", "__typename", threadId=thread_id, metadata={"seen": "yes"})
        emulator.counts.reset()
        thread = (await reader.data(CONVERSATION, {"id": thread_id}))["thread"]
    assert thread["messages"]["nodes"][-1]["text"] == "And now?"
    assert thread["metadata"] == {"seen": "yes"}
    # The writes did not change the run and its steps, so they are not read again.
    assert emulator.counts.by_operation == {"getThread": 1, "listMessages": 1}


async def test_ten_equal_queries_at_once_cost_the_calls_of_one(emulator: Emulator) -> None:
    thread_id = await answered_thread(emulator)
    async with processes(emulator, 1) as (gateway,):
        answers = await asyncio.gather(*(gateway.data(CONVERSATION, {"id": thread_id}) for _ in range(10)))
    assert all(answer == answers[0] for answer in answers)
    assert emulator.counts.by_operation == {"getThread": 1, "listMessages": 1, "getRun": 1, "listRunSteps": 1}


async def test_another_caller_gets_nothing_from_the_cache(emulator: Emulator, valkey: Valkey) -> None:
    thread_id = await answered_thread(emulator)
    async with processes(emulator, 2, redis_url=valkey.url) as (one, other):
        assert (await one.data(CONVERSATION, {"id": thread_id}))["thread"] is not None
        for gateway in (one, other):
            other_result = await gateway.execute(
                CONVERSATION, {"id": thread_id}, {"Authorization": "Bearer somebody-else"}
            )
            assert other_result["data"] == {"thread": None}


async def test_a_failing_upstream_is_replaced_by_stale_data_that_is_marked(emulator: Emulator) -> None:
    thread_id = await answered_thread(emulator)
    query = "query ($id: ID!) { thread(id: $id) { messages(first: 20) { nodes { text } } } }"
    async with processes(emulator, 1, upstream_timeout_seconds=2) as (gateway,):
        fresh = await gateway.execute(query, {"id": thread_id})
        await succeed(gateway, "createMessage", "__typename", threadId=thread_id, content=[{"text": "And now?"}])
        emulator.misbehave("GET:500")
        outdated = await gateway.execute(query, {"id": thread_id})
    assert "staleAnswers" not in fresh["extensions"]
    # A write has outdated the page, so the old entry is not returned as if it were still true.
    assert outdated["data"]["thread"] is None or outdated["data"]["thread"]["messages"] is None
    assert [error["extensions"]["code"] for error in outdated["errors"]] == ["UPSTREAM_FAILED"]


async def test_a_missing_redis_costs_only_speed(emulator: Emulator, tmp_path: Any) -> None:
    thread_id = await answered_thread(emulator)
    missing = f"unix://{tmp_path}/nobody.sock"
    async with processes(emulator, 1, redis_url=missing, redis_deadline_seconds=0.05) as (gateway,):
        answers = [await gateway.data(CONVERSATION, {"id": thread_id}) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["thread"] is not None


async def test_a_poll_that_sees_the_end_of_a_run_sees_its_complete_messages(emulator: Emulator) -> None:
    assistant_id = await assistant(emulator)
    thread = {"messages": [{"content": [{"text": "Tell me a long story."}]}]}
    query = """query ($id: ID!) { run(id: $id) { status messages { nodes { text } } steps { nodes { status } }
        thread { messages(last: 5) { nodes { role text } } } } }"""
    async with processes(emulator, 1) as (gateway,):
        made = await succeed(gateway, "createThreadAndRun", "run { id }", assistantId=assistant_id, thread=thread)
        variables = {"id": made["run"]["id"]}
        seen: Any = {"status": "QUEUED"}
        for _ in range(100):
            emulator.clock.advance(0.25)
            seen = (await gateway.data(query, variables))["run"]
            if seen["status"] == "COMPLETED":
                break
        emulator.clock.advance(3600)
        assert seen == (await gateway.data(query, variables))["run"]
    assert seen["status"] == "COMPLETED"
    assert seen["thread"]["messages"]["nodes"][-1]["text"] == seen["messages"]["nodes"][0]["text"] != ""
