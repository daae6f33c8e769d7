"""Tests the calls that reads and writes cost over conversations and responses, at the emulator's counters."""

from typing import Any

import pytest

from gateway.ledger.memory_kept_records import make_memory_records
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.gateway import Gateway
from tests.support.mutations import succeed
from tests.support.responses_gateway import (
    FUNCTION,
    QUESTION,
    new_assistant,
    new_thread,
    read_run,
    running_responses_gateway,
    start_response_run,
)

CONVERSATION = """query ($id: ID!) { thread(id: $id) { id metadata createdAt
  messages(last: 50) { nodes {
    role text createdAt run { id status usage { totalTokens } assistant { model } } } } } }"""


async def converse(emulator: Emulator, gateway: Gateway, answers: int) -> str:
    """Create a thread in which an assistant has answered so often. Nobody has read the runs."""
    assistant_id, thread_id = await new_assistant(gateway), await new_thread(gateway)
    for number in range(answers):
        if number:
            await succeed(gateway, "createMessage", "message { id }", threadId=thread_id, **QUESTION)
        await start_response_run(gateway, thread_id, assistant_id)
        emulator.clock.advance(LONG_SECONDS)
    return thread_id


async def cost_of(gateway: Gateway, query: str, **variables: Any) -> tuple[Any, Any]:
    """Return the data of a query and its cost."""
    answer = await gateway.execute(query, variables)
    assert "errors" not in answer, answer
    cost = answer["extensions"]["cost"]
    assert cost["upstreamCalls"] <= cost["predictedCalls"]
    return answer["data"], cost


async def test_a_thread_with_its_messages_and_their_runs_is_one_round_of_two_calls(emulator: Emulator) -> None:
    async with running_responses_gateway(emulator, gateway_cost=True) as gateway:
        thread_id = await converse(emulator, gateway, 3)
        await cost_of(gateway, CONVERSATION, id=thread_id)
        emulator.counts.reset()
        data, cost = await cost_of(gateway, CONVERSATION, id=thread_id)
        messages = data["thread"]["messages"]["nodes"]
        assert [message["role"] for message in messages] == ["USER", "ASSISTANT"] * 3
        assert all(message["run"]["status"] == "COMPLETED" for message in messages[1::2])
        assert len({message["run"]["id"] for message in messages[1::2]}) == 3
        assert emulator.counts.by_operation == {"getConversation": 1, "listConversationItems": 1}
        assert (cost["upstreamCalls"], cost["longestChain"]) == (2, 1)


async def test_runs_that_ended_while_nobody_read_them_are_read_once_each(emulator: Emulator) -> None:
    """Another gateway, that has died since, has started them."""
    kept = make_memory_records()
    async with running_responses_gateway(emulator, kept=kept) as first:
        thread_id = await converse(emulator, first, 1)
        await succeed(first, "createMessage", "message { id }", threadId=thread_id, **QUESTION)
        run = await start_response_run(first, thread_id, await new_assistant(first))
    emulator.clock.advance(LONG_SECONDS)
    async with running_responses_gateway(emulator, kept=kept, gateway_cost=True) as gateway:
        emulator.counts.reset()
        data, _ = await cost_of(gateway, CONVERSATION, id=thread_id)
        newest = data["thread"]["messages"]["nodes"][-1]["run"]
        assert (newest["id"], newest["status"]) == (run["id"], "COMPLETED")
        calls = emulator.counts.by_operation
        assert calls == {"getConversation": 1, "listConversationItems": 1, "getResponse": 1}
        await cost_of(gateway, CONVERSATION, id=thread_id)
        assert emulator.counts.by_operation["getResponse"] == 1


@pytest.mark.parametrize("tools", [[], [FUNCTION]])
async def test_writes_cost_what_the_table_says(emulator: Emulator, tools: list[dict[str, Any]]) -> None:
    async with running_responses_gateway(emulator, gateway_cost=True) as gateway:
        assistant_id = await new_assistant(gateway, tools=tools)
        emulator.counts.reset()
        thread_id = await new_thread(gateway)
        assert emulator.counts.by_operation == {"createConversation": 1}
        run = await start_response_run(gateway, thread_id, assistant_id)
        emulator.clock.advance(LONG_SECONDS)
        assert emulator.counts.by_operation == {"createConversation": 1, "createResponse": 1}
        if not tools:
            return
        action = "requiredAction { ... on SubmitToolOutputsAction { toolCalls { callId } } }"
        (call,) = (await read_run(gateway, run["id"], action))["requiredAction"]["toolCalls"]
        emulator.counts.reset()
        outputs = [{"callId": call["callId"], "output": "22 °C"}]
        query = """mutation ($input: SubmitToolOutputsInput!) {
          submitToolOutputs(input: $input) { run { status } userErrors { code } } }"""
        await cost_of(gateway, query, input={"runId": run["id"], "toolOutputs": outputs})
        assert emulator.counts.by_operation == {"getResponse": 1, "createResponse": 1}


async def test_an_ended_run_with_its_steps_costs_two_calls_and_once_its_end_is_known_none(
    emulator: Emulator,
) -> None:
    query = """query ($id: ID!) { run(id: $id) { status usage { totalTokens } assistant { model }
      steps { nodes { type status } } messages { nodes { id text } } } }"""
    kept = make_memory_records()
    async with running_responses_gateway(emulator, kept=kept) as first:
        assistant_id, thread_id = await new_assistant(first), await new_thread(first)
        run = await start_response_run(first, thread_id, assistant_id)
        emulator.clock.advance(LONG_SECONDS)
        assert (await read_run(first, run["id"], "status"))["status"] == "COMPLETED"
    async with running_responses_gateway(emulator, kept=kept, gateway_cost=True, gateway_cache=True) as gateway:
        emulator.counts.reset()
        found, _ = await cost_of(gateway, query, id=run["id"])
        # The steps and the messages, from one read; that the caller may see the thread.
        assert emulator.counts.by_operation == {"getResponse": 1, "getConversation": 1}
        # Only what is read after the run's end is known is sure to be complete, and is kept.
        assert (await cost_of(gateway, query, id=run["id"]))[0] == found
        again, cost = await cost_of(gateway, query, id=run["id"])
        assert (again, cost["upstreamCalls"]) == (found, 0)
