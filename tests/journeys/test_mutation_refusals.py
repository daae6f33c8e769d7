"""Tests that a refusal of a mutation is data for the frontend, with the argument's path in the input."""

from typing import Any

import pytest

from schema.contract.keys import AssistantKey, MessageKey, RunKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway
from tests.support.mutations import assistant, refusal, succeed, thread_with_question

LONG = "x" * 256_001


@pytest.mark.parametrize(
    ("values", "code", "field"),
    [
        ({"content": []}, "INVALID_VALUE", ["content"]),
        ({"content": [{"text": ""}]}, "INVALID_VALUE", ["content", "0", "text"]),
        ({"content": [{"text": "ok"}, {"text": LONG}]}, "TOO_LONG", ["content", "1", "text"]),
        ({"content": [{"text": "a"}], "metadata": {"k" * 65: "v"}}, "TOO_LONG", ["metadata"]),
        ({"content": [{"text": "a"}], "metadata": {"Kind": "v" * 513}}, "TOO_LONG", ["metadata", "Kind"]),
        ({"content": [{"text": "a"}], "metadata": {str(n): "" for n in range(17)}}, "TOO_MANY", ["metadata"]),
        ({"content": [{"text": "a"}], "threadId": "no id!"}, "INVALID_VALUE", ["threadId"]),
        ({"content": [{"text": "a"}], "fileIds": ["file-abc123"]}, "UNSUPPORTED_BY_UPSTREAM", ["fileIds"]),
    ],
)
async def test_a_message_beyond_the_known_limits_is_refused_before_any_call(
    emulator: Emulator, gateway: Gateway, values: dict[str, Any], code: str, field: list[str]
) -> None:
    thread_id = await thread_with_question(emulator)
    emulator.counts.reset()
    error = await refusal(gateway, "createMessage", **{"threadId": thread_id, **values})
    assert (error["code"], error["field"]) == (code, field)
    assert emulator.counts.total == 0


@pytest.mark.parametrize(
    ("values", "code", "field"),
    [
        ({"temperature": 2.5}, "INVALID_VALUE", ["temperature"]),
        ({"topP": -0.1}, "INVALID_VALUE", ["topP"]),
        ({"maxPromptTokens": 255}, "INVALID_VALUE", ["maxPromptTokens"]),
        ({"truncationStrategy": {"type": "LAST_MESSAGES"}}, "INVALID_VALUE", ["truncationStrategy"]),
        ({"tools": [{"function": {"name": "no spaces"}}]}, "INVALID_VALUE", ["tools", "0", "function", "name"]),
        (
            {"tools": [{"function": {"name": "f", "parameters": "{}"}}]},
            "INVALID_VALUE",
            ["tools", "0", "function", "parameters"],
        ),
        ({"tools": [{"builtIn": "CODE_INTERPRETER"}] * 21}, "TOO_MANY", ["tools"]),
        ({"toolChoice": {"function": {"name": ""}}}, "INVALID_VALUE", ["toolChoice", "function", "name"]),
        ({"additionalMessages": [{"content": [{"text": "a"}]}] * 33}, "TOO_MANY", ["additionalMessages"]),
        (
            {"additionalMessages": [{"content": [{"text": ""}]}]},
            "INVALID_VALUE",
            ["additionalMessages", "0", "content", "0", "text"],
        ),
        ({"responseFormat": {"jsonSchema": {"name": "?"}}}, "INVALID_VALUE", ["responseFormat", "jsonSchema", "name"]),
        (
            {"responseFormat": {"jsonSchema": {"name": "s", "schema": [1]}}},
            "INVALID_VALUE",
            ["responseFormat", "jsonSchema", "schema"],
        ),
        ({"tools": [{"builtIn": "RETRIEVAL"}]}, "UNSUPPORTED_BY_UPSTREAM", ["tools", "0"]),
    ],
)
async def test_a_run_beyond_the_known_limits_is_refused_before_any_call(
    emulator: Emulator, gateway: Gateway, values: dict[str, Any], code: str, field: list[str]
) -> None:
    thread_id, assistant_id = await thread_with_question(emulator), await assistant(emulator)
    emulator.counts.reset()
    error = await refusal(gateway, "createRun", **{"threadId": thread_id, "assistantId": assistant_id, **values})
    assert (error["code"], error["field"][: len(field)]) == (code, field)
    assert emulator.counts.total == 0


async def test_a_missing_object_is_a_refusal_that_names_the_argument(emulator: Emulator, gateway: Gateway) -> None:
    thread_id = await thread_with_question(emulator)
    absent = "0" * 24
    content = [{"text": "a"}]
    message_id = to_global_id(MessageKey(thread_id, f"msg_{absent}"))
    run_id = to_global_id(RunKey(thread_id, f"run_{absent}"))
    refusals = [
        await refusal(gateway, "createMessage", threadId=f"thread_{absent}", content=content),
        await refusal(gateway, "createRun", threadId=thread_id, assistantId=f"asst_{absent}"),
        await refusal(gateway, "updateThread", threadId=f"thread_{absent}", metadata={}),
        await refusal(gateway, "deleteMessage", messageId=message_id),
        await refusal(gateway, "cancelRun", runId=run_id),
        await refusal(gateway, "submitToolOutputs", runId=run_id, toolOutputs=[{"callId": "call_a", "output": ""}]),
        await refusal(gateway, "deleteAssistant", assistantId=to_global_id(AssistantKey(f"asst_{absent}"))),
    ]
    assert {error["code"] for error in refusals} == {"NOT_FOUND"}
    assert [error["field"] for error in refusals] == [
        ["threadId"], ["assistantId"], ["threadId"], ["messageId"], ["runId"], ["runId"], ["assistantId"],
    ]  # fmt: skip


async def test_an_active_run_and_a_wrong_state_are_refusals(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, assistant_id = await thread_with_question(emulator), await assistant(emulator)
    run = (await succeed(gateway, "createRun", "run { id }", threadId=thread_id, assistantId=assistant_id))["run"]
    second = await refusal(gateway, "createRun", threadId=thread_id, assistantId=assistant_id)
    message = await refusal(gateway, "createMessage", threadId=thread_id, content=[{"text": "wait"}])
    emulator.clock.advance(60)
    cancel = await refusal(gateway, "cancelRun", runId=run["id"])
    outputs = [{"callId": "call_a", "output": ""}]
    submit = await refusal(gateway, "submitToolOutputs", runId=run["id"], toolOutputs=outputs)
    codes = [error["code"] for error in (second, message, cancel, submit)]
    assert codes == ["ACTIVE_RUN", "ACTIVE_RUN", "WRONG_STATE", "WRONG_STATE"]
    assert submit["field"] == ["runId"]


async def test_a_missing_credential_is_an_error_and_not_a_refusal(gateway: Gateway) -> None:
    reply = await gateway.post({"query": "mutation { createThread(input: {}) { thread { id } } }"})
    assert reply.status == 401
    assert reply.json["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
