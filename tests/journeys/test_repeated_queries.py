"""Tests that a repeated query gets the earlier response, byte for byte, until any part of it may have changed."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from schema.contract.errors import ErrorCode
from schema.operations.gateway_schema import GatewaySchema
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import answered_thread, assistant, succeed
from tests.support.subscription_gateway import SUBPROTOCOL, Socket
from tests.support.valkey import Valkey

pytestmark = pytest.mark.usefixtures("shared_clock")

CONVERSATION = """query ($id: ID!, $size: Int = 10) { thread(id: $id) { metadata messages(last: $size) { nodes {
    role text run { status steps { nodes { type } } } } pageInfo { hasPreviousPage } } } }"""


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The documents that were executed, and not served from the response cache."""
    documents: list[str] = []
    execute = GatewaySchema.execute_document

    async def noted(schema: Any, document: Any, *arguments: Any, **named: Any) -> Any:
        documents.append(document.text)
        return await execute(schema, document, *arguments, **named)

    monkeypatch.setattr(GatewaySchema, "execute_document", noted)
    return documents


@pytest.fixture
async def thread_id(emulator: Emulator) -> str:
    return await answered_thread(emulator)


@pytest.fixture
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_gateway(emulator.url, gateway_cache=True) as gateway:
        yield gateway


async def ask(gateway: Gateway, variables: Mapping[str, Any], /, **headers: str) -> bytes:
    """Return the exact bytes of the response."""
    body = {"query": CONVERSATION, "variables": variables}
    reply = await gateway.post(body, headers={"Authorization": AUTHORIZATION, **headers})
    assert reply.status == 200
    return reply.body


async def test_the_second_response_equals_the_first_byte_for_byte_and_costs_no_call(
    gateway: Gateway, emulator: Emulator, thread_id: str, executed: list[str]
) -> None:
    first = await ask(gateway, {"id": thread_id})
    assert json.loads(first)["data"]["thread"]["messages"]["nodes"][1]["run"]["status"] == "COMPLETED"
    assert emulator.counts.total > 0
    emulator.counts.reset()
    assert [await ask(gateway, {"id": thread_id}) for _ in range(3)] == [first] * 3
    assert (emulator.counts.total, len(executed)) == (0, 1)


async def test_every_transport_reuses_the_response_of_another(
    gateway: Gateway, thread_id: str, executed: list[str]
) -> None:
    first = await ask(gateway, {"id": thread_id})
    credential = {"Authorization": AUTHORIZATION}
    request_body = {"query": CONVERSATION, "variables": {"id": thread_id}}
    in_url = {"query": CONVERSATION, "variables": json.dumps({"id": thread_id})}
    assert (await gateway.get(params=in_url, headers=credential)).body == first
    stream = await gateway.post(request_body, headers={**credential, "Accept": "text/event-stream"})
    assert stream.body == b"event: next\ndata: " + first + b"\n\nevent: complete\ndata: \n\n"
    async with gateway.session.ws_connect(f"{gateway.url}/graphql", protocols=(SUBPROTOCOL,)) as ws:
        socket = Socket(ws)
        await socket.initialise(credential)
        await socket.subscribe(query=CONVERSATION, variables={"id": thread_id})
        assert await socket.receive() == {"id": "1", "type": "next", "payload": json.loads(first)}
        assert await socket.receive() == {"id": "1", "type": "complete"}
    assert len(executed) == 1


@pytest.mark.parametrize("shared", [False, True])
async def test_a_mutation_through_any_gateway_is_seen(
    emulator: Emulator, thread_id: str, valkey: Valkey, shared: bool
) -> None:
    redis = {"redis_url": valkey.url, "redis_deadline_seconds": 5} if shared else {}
    async with AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(running_gateway(emulator.url, gateway_cache=True, **redis))
            for _ in range(2 if shared else 1)
        ]
        writer, reader = gateways[0], gateways[-1]
        for number in range(3):
            for _ in range(2):
                await ask(reader, {"id": thread_id})
            await succeed(writer, "updateThread", "__typename", threadId=thread_id, metadata={"edit": str(number)})
            assert json.loads(await ask(reader, {"id": thread_id}))["data"]["thread"]["metadata"] == {
                "edit": str(number)
            }
            text = f"And {number}?"
            await succeed(writer, "createMessage", "__typename", threadId=thread_id, content=[{"text": text}])
            thread = json.loads(await ask(reader, {"id": thread_id}))["data"]["thread"]
            assert thread["messages"]["nodes"][-1]["text"] == text


async def test_a_change_behind_the_gateway_is_seen_after_the_lifetime(
    gateway: Gateway, emulator: Emulator, thread_id: str, executed: list[str]
) -> None:
    query = "query ($id: ID!) { thread(id: $id) { metadata } }"
    await gateway.data(query, {"id": thread_id})
    await emulator.post(f"/threads/{thread_id}", {"metadata": {"seen": "yes"}})
    emulator.clock.advance(59)
    assert await gateway.data(query, {"id": thread_id}) == {"thread": {"metadata": {}}}
    assert len(executed) == 1
    emulator.clock.advance(1)
    assert await gateway.data(query, {"id": thread_id}) == {"thread": {"metadata": {"seen": "yes"}}}
    assert len(executed) == 2


async def test_another_caller_and_other_variables_are_executed(
    gateway: Gateway, thread_id: str, executed: list[str]
) -> None:
    first = await ask(gateway, {"id": thread_id})
    assert await ask(gateway, {"id": thread_id}, Authorization="Bearer somebody-else") == b'{"data":{"thread":null}}'
    shorter = json.loads(await ask(gateway, {"id": thread_id, "size": 1}))["data"]["thread"]["messages"]
    assert (len(shorter["nodes"]), shorter["pageInfo"]) == (1, {"hasPreviousPage": True})
    assert len(executed) == 3
    assert await ask(gateway, {"id": thread_id}) == first
    assert len(executed) == 3


async def test_a_requested_cost_is_the_cost_of_the_execution(
    gateway: Gateway, emulator: Emulator, thread_id: str
) -> None:
    costs = []
    for _ in range(2):
        emulator.counts.reset()
        answer = json.loads(await ask(gateway, {"id": thread_id}, **{"GraphQL-Cost": "1"}))
        costs.append(answer["extensions"]["cost"])
        assert costs[-1]["upstreamCalls"] == emulator.counts.total
        assert b"extensions" not in await ask(gateway, {"id": thread_id})
    assert [cost["upstreamCalls"] > 0 for cost in costs] == [True, False]
    assert costs[0]["cacheHits"] == 0 < costs[1]["cacheHits"]


async def test_a_response_with_an_active_run_is_never_reused(
    gateway: Gateway, emulator: Emulator, executed: list[str]
) -> None:
    assistant_id = await assistant(emulator)
    thread = {"messages": [{"content": [{"text": "Tell me a long story."}]}]}
    made = await succeed(gateway, "createThreadAndRun", "run { id }", assistantId=assistant_id, thread=thread)
    query = "query ($id: ID!) { run(id: $id) { status } }"
    for number in range(1, 4):
        await gateway.data(query, {"id": made["run"]["id"]})
        assert executed.count(query) == number
    emulator.clock.advance(3600)
    assert (await gateway.data(query, {"id": made["run"]["id"]}))["run"]["status"] == "COMPLETED"


async def test_an_upstream_that_fails_is_not_hidden_for_longer_than_the_lifetime(
    gateway: Gateway, emulator: Emulator, thread_id: str
) -> None:
    query = "query ($id: ID!) { thread(id: $id) { metadata } }"
    fresh = await gateway.execute(query, {"id": thread_id})
    emulator.misbehave("GET:500")
    assert await gateway.execute(query, {"id": thread_id}) == fresh
    emulator.clock.advance(61)
    assert await gateway.execute(query, {"id": thread_id}) == {**fresh, "extensions": {"staleAnswers": 1}}
    emulator.clock.advance(86_400)
    failed = await gateway.execute(query, {"id": thread_id})
    assert failed["errors"][0]["extensions"]["code"] == ErrorCode.UPSTREAM_FAILED


async def test_many_long_responses_stay_within_the_memory_limit(
    emulator: Emulator, thread_id: str, executed: list[str]
) -> None:
    await emulator.post(f"/threads/{thread_id}/messages", {"role": "user", "content": "word " * 300})
    emulator.clock.advance(86_400)
    async with running_gateway(emulator.url, gateway_cache=True, gateway_cache_bytes=400_000) as gateway:
        answers = [await ask(gateway, {"id": thread_id, "size": size}) for size in range(1, 31)]
        assert len(executed) == 30
        assert await ask(gateway, {"id": thread_id, "size": 30}) == answers[-1]
        assert len(executed) == 30
        assert await ask(gateway, {"id": thread_id, "size": 1}) == answers[0]
        assert len(executed) == 31  # the first of thirty was evicted
