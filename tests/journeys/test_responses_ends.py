"""Tests how runs end that are chains of responses: cancelled, expired, lost, forgotten, or begun elsewhere."""

import time
from typing import Any

import pytest

from gateway.ledger.memory_kept_records import make_memory_records
from schema.contract.keys import RunKey, ThreadKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS, QUEUED_SECONDS, STEP_SECONDS
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway
from tests.support.mutations import refusal, succeed
from tests.support.responses_gateway import (
    DIALECTS,
    FUNCTION,
    new_assistant,
    new_thread,
    read_run,
    read_thread,
    running_responses_gateway,
    start_response_run,
)

CALLS = "status requiredAction { ... on SubmitToolOutputsAction { toolCalls { callId } } }"


async def completes(emulator: Emulator, gateway: Gateway, thread_id: str) -> bool:
    """Start one more run on a thread. Returns whether it completes."""
    run = await start_response_run(gateway, thread_id, await new_assistant(gateway))
    emulator.clock.advance(LONG_SECONDS)
    shown = await read_run(gateway, run["id"], "status")
    return bool(shown["status"] == "COMPLETED")


@pytest.mark.parametrize("dialect", long_except(DIALECTS, ["openai-responses", "lenient-responses"]))
@pytest.mark.parametrize("tools", [[], [FUNCTION]])
async def test_a_run_that_is_cancelled_while_it_writes_ends_and_frees_its_thread(
    emulator: Emulator, dialect: str, tools: list[Any]
) -> None:
    async with running_responses_gateway(emulator, dialect) as gateway:
        thread_id = await new_thread(gateway)
        run = await start_response_run(gateway, thread_id, await new_assistant(gateway, tools=tools))
        emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS)
        assert (await read_run(gateway, run["id"], "status"))["status"] == "IN_PROGRESS"
        cancelled = await succeed(gateway, "cancelRun", "run { status }", runId=run["id"])
        assert cancelled["run"]["status"] in {"CANCELLING", "CANCELLED"}
        while (shown := await read_run(gateway, run["id"], "status"))["status"] != "CANCELLED":
            assert shown["status"] in {"IN_PROGRESS", "CANCELLING"}
        assert await completes(emulator, gateway, thread_id)


async def test_the_calls_of_a_run_that_expired_are_answered_before_the_next_run(emulator: Emulator) -> None:
    kept = make_memory_records()
    async with running_responses_gateway(emulator, kept=kept) as gateway:
        thread_id = await new_thread(gateway)
        run = await start_response_run(gateway, thread_id, await new_assistant(gateway, tools=[FUNCTION]))
        emulator.clock.advance(LONG_SECONDS)
        waiting = await read_run(gateway, run["id"], CALLS)
        upstream_thread = (await read_thread(gateway, thread_id, "upstreamId"))["upstreamId"]
        # As the worker does that has no key of its own.
        assert await kept.chains.record_status(run["upstreamId"], "expired")
        await kept.locks.release(upstream_thread, run["upstreamId"])
        emulator.counts.reset()
        assert await completes(emulator, gateway, thread_id)
        assert emulator.counts.by_operation["createConversationItems"] == 1
        shown = await read_run(gateway, run["id"], "status requiredAction { __typename } steps { nodes { status } }")
        assert shown == {"status": "EXPIRED", "requiredAction": None, "steps": {"nodes": [{"status": "EXPIRED"}]}}
        call_id = waiting["requiredAction"]["toolCalls"][0]["callId"]
        outputs = [{"callId": call_id, "output": "late"}]
        assert (await refusal(gateway, "submitToolOutputs", runId=run["id"], toolOutputs=outputs))["code"] == (
            "WRONG_STATE"
        )


async def test_the_lease_of_a_gateway_that_was_killed_is_free_after_its_time(emulator: Emulator) -> None:
    now = time.time()
    kept = make_memory_records(unix_seconds=lambda: now)
    async with running_responses_gateway(emulator, "lenient-responses", kept) as gateway:
        thread_id, assistant_id = await new_thread(gateway), await new_assistant(gateway)
        upstream_thread = (await read_thread(gateway, thread_id, "upstreamId"))["upstreamId"]
        assert await kept.locks.acquire(upstream_thread, "start-killed", 30)
        error = await refusal(gateway, "createRun", threadId=thread_id, assistantId=assistant_id)
        assert error["code"] == "ACTIVE_RUN"
        now += 31
        assert await completes(emulator, gateway, thread_id)


async def test_a_run_whose_responses_the_server_has_forgotten_is_left_out(emulator: Emulator) -> None:
    kept = make_memory_records()
    async with running_responses_gateway(emulator, kept=kept) as first:
        thread_id, assistant_id = await new_thread(first), await new_assistant(first)
        forgotten = await start_response_run(first, thread_id, assistant_id)
    emulator.clock.advance(LONG_SECONDS)
    await emulator.delete(f"/responses/{forgotten['upstreamId']}")
    async with running_responses_gateway(emulator, kept=kept) as gateway:
        assert await read_run(gateway, forgotten["id"], "status") is None
        thread = await read_thread(gateway, thread_id, "runs { nodes { id } } messages { nodes { role run { id } } }")
        assert thread["runs"]["nodes"] == []
        assert thread["messages"]["nodes"] == [{"role": "USER", "run": None}, {"role": "ASSISTANT", "run": None}]
        assert await completes(emulator, gateway, thread_id)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_conversation_that_was_made_elsewhere_can_be_read_and_gone_on_with(
    emulator: Emulator, dialect: str
) -> None:
    conversation = await emulator.post("/conversations", {"metadata": {"from": "elsewhere"}})
    body: dict[str, Any] = {"model": "gpt-4o", "conversation": conversation["id"], "background": True, "store": True}
    tools = [{"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}]
    asked = await emulator.post("/responses", {**body, "input": "What is the weather?", "tools": tools})
    emulator.clock.advance(LONG_SECONDS)
    (call,) = (await emulator.get(f"/responses/{asked['id']}"))["output"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "22 °C"}
    await emulator.post("/responses", {**body, "input": [output], "tools": tools})
    emulator.clock.advance(LONG_SECONDS)
    thread_id = to_global_id(ThreadKey(conversation["id"]))
    run_id = to_global_id(RunKey(conversation["id"], asked["id"]))
    async with running_responses_gateway(emulator, dialect) as gateway:
        thread = await read_thread(
            gateway,
            thread_id,
            "metadata messages { nodes { role text run { id } } } runs { nodes { id status usage { totalTokens } } }",
        )
        assert thread["metadata"] == {"from": "elsewhere"}
        question, answer = thread["messages"]["nodes"]
        assert (question["text"], "22 °C" in answer["text"]) == ("What is the weather?", True)
        if dialect == "foundry-responses":
            assert [(run["id"], run["status"]) for run in thread["runs"]["nodes"]] == [(run_id, "COMPLETED")]
            assert answer["run"] == {"id": run_id}
            steps = await read_run(gateway, run_id, "steps { nodes { type } }")
            assert [step["type"] for step in steps["steps"]["nodes"]] == ["TOOL_CALLS", "MESSAGE_CREATION"]
        else:
            assert (thread["runs"]["nodes"], answer["run"]) == ([], None)
        assert await completes(emulator, gateway, thread_id)
