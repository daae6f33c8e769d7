"""Tests the schema over an upstream with conversations and responses, as a frontend uses it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway
from tests.support.mutations import mutate, refusal, succeed
from tests.support.responses_gateway import (
    DIALECTS,
    FUNCTION,
    QUESTION,
    new_assistant,
    new_thread,
    read_run,
    read_thread,
    running_responses_gateway,
    start_response_run,
)


@pytest.fixture(params=long_except(DIALECTS, ["openai-responses"]))
async def gateway(request: pytest.FixtureRequest, emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_responses_gateway(emulator, request.param) as gateway:
        yield gateway


async def ask(emulator: Emulator, gateway: Gateway, **options: Any) -> tuple[str, Any]:
    """Create a thread with a question and run an assistant on it until the run ends or waits."""
    assistant_id = await new_assistant(gateway, tools=options.pop("tools", []))
    thread_id = await new_thread(gateway)
    run = await start_response_run(gateway, thread_id, assistant_id, **options)
    emulator.clock.advance(LONG_SECONDS)
    return thread_id, run


async def failure(gateway: Gateway, mutation: str, **values: Any) -> Any:
    """Return the only error of a mutation that the upstream failed."""
    query = (
        f"mutation ($input: {mutation[0].upper()}{mutation[1:]}Input!) {{ {mutation}(input: $input) {{ __typename }} }}"
    )
    answer = await gateway.execute(query, {"input": values})
    (error,) = answer["errors"]
    return error


async def test_a_thread_is_created_with_its_messages_changed_and_deleted(emulator: Emulator, gateway: Gateway) -> None:
    created = await succeed(
        gateway,
        "createThread",
        "thread { id upstreamId metadata createdAt messages { nodes { role text createdAt run { id } } } }",
        metadata={"topic": "tea"},
        messages=[
            {"content": [{"text": "Green or black?"}]},
            {"role": "ASSISTANT", "content": [{"text": "Green."}, {"text": "Really."}]},
        ],
    )
    thread = created["thread"]
    assert thread["upstreamId"].startswith("conv_")
    assert thread["metadata"] == {"topic": "tea"}
    assert [(node["role"], node["text"]) for node in thread["messages"]["nodes"]] == [
        ("USER", "Green or black?"),
        ("ASSISTANT", "Green.\nReally."),
    ]
    assert all(node["createdAt"] and node["run"] is None for node in thread["messages"]["nodes"])
    updated = await succeed(
        gateway, "updateThread", "thread { metadata }", threadId=thread["id"], metadata={"topic": "coffee"}
    )
    assert updated["thread"] == {"metadata": {"topic": "coffee"}}
    deleted = await succeed(gateway, "deleteThread", "deletedId", threadId=thread["upstreamId"])
    assert deleted["deletedId"] == thread["id"]
    assert await gateway.data("query ($id: ID!) { node(id: $id) { id } }", {"id": thread["id"]}) == {"node": None}


@pytest.mark.parametrize("count", [20, 21, 32])
async def test_a_thread_may_begin_with_more_messages_than_one_call_takes(
    emulator: Emulator, gateway: Gateway, count: int
) -> None:
    texts = [f"Message {number}" for number in range(count)]
    thread_id = await new_thread(gateway, *({"content": [{"text": text}]} for text in texts))
    assert emulator.counts.by_operation.get("createConversationItems", 0) == (count - 1) // 20
    thread = await read_thread(gateway, thread_id, "messages(first: 50) { nodes { text } }")
    assert [node["text"] for node in thread["messages"]["nodes"]] == texts


async def test_a_thread_whose_later_messages_are_refused_is_deleted_again(emulator: Emulator, gateway: Gateway) -> None:
    emulator.misbehave("createConversationItems:500")
    error = await failure(gateway, "createThread", messages=[QUESTION] * 21)
    assert error["extensions"]["code"] == "UPSTREAM_FAILED"
    assert error["message"].endswith(" The thread was deleted again.")
    assert emulator.counts.by_operation == {
        "createConversation": 1,
        "createConversationItems": 1,
        "deleteConversation": 1,
    }


async def test_a_run_answers_and_its_message_steps_and_usage_are_shown(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, run = await ask(emulator, gateway)
    assert run["upstreamId"].startswith("resp_")
    shown = await read_run(
        gateway,
        run["id"],
        """status isTerminal usage { promptTokens completionTokens totalTokens } assistant { model }
           steps { nodes { type status } } messages { nodes { id text } } thread { id }""",
    )
    assert (shown["status"], shown["isTerminal"]) == ("COMPLETED", True)
    assert shown["usage"]["totalTokens"] == shown["usage"]["promptTokens"] + shown["usage"]["completionTokens"] > 0
    assert shown["assistant"] == {"model": "gpt-4o"}
    assert shown["steps"]["nodes"] == [{"type": "MESSAGE_CREATION", "status": "COMPLETED"}]
    assert shown["thread"] == {"id": thread_id}
    thread = await read_thread(
        gateway,
        thread_id,
        "activeRun { id } runs { nodes { id } } messages { nodes { id role text run { id } assistant { model } } }",
    )
    question, answer = thread["messages"]["nodes"]
    assert (question["text"], question["run"]) == ("What is the weather?", None)
    assert (answer["run"], answer["assistant"]) == ({"id": run["id"]}, {"model": "gpt-4o"})
    assert shown["messages"]["nodes"] == [{"id": answer["id"], "text": answer["text"]}]
    assert (thread["runs"]["nodes"], thread["activeRun"]) == ([{"id": run["id"]}], None)


async def test_a_run_waits_for_a_function_and_goes_on_with_its_output(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, run = await ask(emulator, gateway, tools=[FUNCTION])
    waiting = await read_run(
        gateway,
        run["id"],
        "status requiredAction { ... on SubmitToolOutputsAction { toolCalls { callId name } } }",
    )
    assert waiting["status"] == "REQUIRES_ACTION"
    (call,) = waiting["requiredAction"]["toolCalls"]
    assert call["name"] == "get_weather"
    error = await refusal(gateway, "createRun", threadId=thread_id, assistantId=await new_assistant(gateway))
    assert error["code"] == "ACTIVE_RUN"
    error = await refusal(gateway, "createMessage", threadId=thread_id, content=[{"text": "Hello?"}])
    assert error["code"] == "ACTIVE_RUN"

    outputs = [{"callId": call["callId"], "output": "22 °C"}]
    await succeed(gateway, "submitToolOutputs", "run { id status }", runId=run["id"], toolOutputs=outputs)
    emulator.clock.advance(LONG_SECONDS)
    done = await read_run(
        gateway,
        run["id"],
        """status usage { totalTokens } messages { nodes { text } }
           steps { nodes { type status details { ... on ToolCallsDetails { toolCalls {
             ... on FunctionToolCall { callId output } } } } } }""",
    )
    assert done["status"] == "COMPLETED"
    assert "22 °C" in done["messages"]["nodes"][0]["text"]
    tool, message = done["steps"]["nodes"]
    assert (tool["type"], tool["status"]) == ("TOOL_CALLS", "COMPLETED")
    assert tool["details"]["toolCalls"] == [{"callId": call["callId"], "output": "22 °C"}]
    assert message["type"] == "MESSAGE_CREATION"
    runs = await read_thread(gateway, thread_id, "runs { nodes { id status } }")
    assert runs["runs"]["nodes"] == [{"id": run["id"], "status": "COMPLETED"}]
    error = await refusal(gateway, "submitToolOutputs", runId=run["id"], toolOutputs=outputs)
    assert error["code"] == "WRONG_STATE"


async def test_a_cancelled_run_leaves_a_thread_that_can_go_on(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, run = await ask(emulator, gateway, tools=[FUNCTION])
    cancelled = await succeed(gateway, "cancelRun", "run { status requiredAction { __typename } }", runId=run["id"])
    assert cancelled["run"] == {"status": "CANCELLED", "requiredAction": None}
    shown = await read_run(gateway, run["id"], "status steps { nodes { status } }")
    assert shown == {"status": "CANCELLED", "steps": {"nodes": [{"status": "CANCELLED"}]}}
    error = await refusal(gateway, "cancelRun", runId=run["id"])
    assert error["code"] == "WRONG_STATE"
    following = await start_response_run(gateway, thread_id, await new_assistant(gateway))
    emulator.clock.advance(LONG_SECONDS)
    assert (await read_run(gateway, following["id"], "status"))["status"] == "COMPLETED"


async def test_the_second_of_two_runs_of_a_thread_is_refused(emulator: Emulator, gateway: Gateway) -> None:
    for faults in ("", "createResponse:no-lock"):
        emulator.misbehave(faults)
        assistant_id, thread_id = await new_assistant(gateway), await new_thread(gateway)
        first = await start_response_run(gateway, thread_id, assistant_id)
        error = await refusal(gateway, "createRun", threadId=thread_id, assistantId=assistant_id)
        assert error["code"] == "ACTIVE_RUN"
        emulator.clock.advance(LONG_SECONDS)
        assert (await read_run(gateway, first["id"], "status"))["status"] == "COMPLETED"
        await start_response_run(gateway, thread_id, assistant_id)
        emulator.clock.advance(LONG_SECONDS)


async def test_a_deleted_thread_takes_the_responses_of_its_runs_along(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, run = await ask(emulator, gateway)
    await read_run(gateway, run["id"], "status")
    await succeed(gateway, "deleteThread", "deletedId", threadId=thread_id)
    assert emulator.counts.by_operation["deleteResponse"] == 1
    assert await read_run(gateway, run["id"], "status") is None
    assert await read_thread(gateway, thread_id, "runs { nodes { id } }") is None


async def test_a_thread_and_its_run_are_created_together_or_not_at_all(emulator: Emulator, gateway: Gateway) -> None:
    assistant_id = await new_assistant(gateway)
    values: dict[str, Any] = {"assistantId": assistant_id, "thread": {"messages": [QUESTION]}}
    made = await succeed(gateway, "createThreadAndRun", "run { id } thread { id upstreamId }", **values)
    emulator.clock.advance(LONG_SECONDS)
    shown = await read_run(gateway, made["run"]["id"], "status thread { id }")
    assert shown == {"status": "COMPLETED", "thread": {"id": made["thread"]["id"]}}
    emulator.misbehave("createResponse:503")
    emulator.counts.reset()
    error = await failure(gateway, "createThreadAndRun", **values)
    assert error["extensions"]["code"] == "UPSTREAM_FAILED"
    assert error["message"].endswith(" The thread was deleted again.")
    assert emulator.counts.by_operation == {"createConversation": 1, "createResponse": 1, "deleteConversation": 1}


async def test_messages_are_added_paged_both_ways_and_deleted(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, _ = await ask(emulator, gateway, tools=[{"builtIn": "CODE_INTERPRETER"}])
    for number in range(3):
        await succeed(gateway, "createMessage", "message { id }", threadId=thread_id, content=[{"text": f"{number}"}])
    every = await read_thread(gateway, thread_id, "messages { nodes { id text createdAt } }")
    ids = [node["id"] for node in every["messages"]["nodes"]]
    times = [node["createdAt"] for node in every["messages"]["nodes"]]
    assert len(ids) == 5
    assert times == sorted(times)
    page = "nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    for paging, forwards in (("first: 2, after: $cursor", True), ("last: 2, before: $cursor", False)):
        seen: list[str] = []
        cursor, more = None, True
        while more:
            query = f"query ($id: ID!, $cursor: String) {{ thread(id: $id) {{ messages({paging}) {{ {page} }} }} }}"
            found = (await gateway.data(query, {"id": thread_id, "cursor": cursor}))["thread"]["messages"]
            nodes, info = [node["id"] for node in found["nodes"]], found["pageInfo"]
            seen = [*seen, *nodes] if forwards else [*nodes, *seen]
            more = info["hasNextPage" if forwards else "hasPreviousPage"]
            cursor = info["endCursor" if forwards else "startCursor"]
        assert seen == ids
    deleted = await succeed(gateway, "deleteMessage", "deletedId", messageId=ids[-1])
    assert deleted["deletedId"] == ids[-1]
    left = await read_thread(gateway, thread_id, "messages { nodes { id } }")
    assert [node["id"] for node in left["messages"]["nodes"]] == ids[:-1]


async def test_assistants_are_the_gateways_own(emulator: Emulator, gateway: Gateway) -> None:
    tools = [FUNCTION, {"fileSearch": {"maxNumResults": 5}}]
    fields = "assistant { id upstreamId name model instructions temperature metadata tools { __typename } }"
    made = (
        await succeed(gateway, "createAssistant", fields, model="gpt-4o", name="Ann", tools=tools, metadata={"a": "b"})
    )["assistant"]
    assert made["upstreamId"].startswith("asst_")
    assert [tool["__typename"] for tool in made["tools"]] == ["FunctionTool", "FileSearchTool"]
    changed = await succeed(
        gateway, "updateAssistant", fields, assistantId=made["id"], name=None, instructions="Be brief.", temperature=0.5
    )
    assert changed["assistant"] == {**made, "name": None, "instructions": "Be brief.", "temperature": 0.5}
    others = [await new_assistant(gateway) for _ in range(2)]
    listed = await gateway.data("{ assistants { nodes { id } } }")
    assert {node["id"] for node in listed["assistants"]["nodes"]} == {made["id"], *others}
    await succeed(gateway, "deleteAssistant", "deletedId", assistantId=made["id"])
    assert await gateway.data("query ($id: ID!) { assistant(id: $id) { id } }", {"id": made["id"]}) == {
        "assistant": None
    }
    error = await refusal(gateway, "createRun", threadId=await new_thread(gateway), assistantId=made["id"])
    assert error["code"] == "NOT_FOUND"
    error = await refusal(gateway, "deleteAssistant", assistantId=made["id"])
    assert error["code"] == "NOT_FOUND"


async def test_what_cannot_be_mapped_is_refused_by_name_before_any_call(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, run = await ask(emulator, gateway)
    message = (await read_thread(gateway, thread_id, "messages { nodes { id } }"))["messages"]["nodes"][0]["id"]
    assistant_id = await new_assistant(gateway)
    emulator.counts.reset()
    content = [{"text": "Hi"}]
    search = [{"fileId": "file-abc123", "tools": ["FILE_SEARCH"]}]
    run_of_thread = {"threadId": thread_id, "assistantId": assistant_id}
    newest = {"type": "LAST_MESSAGES", "lastMessages": 1}
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("updateMessage", {"messageId": message, "metadata": {"a": "b"}}, "no operation modifyMessage"),
        ("updateRun", {"runId": run["id"], "metadata": {"a": "b"}}, "no operation modifyRun"),
        ("createMessage", {"threadId": thread_id, "content": content, "metadata": {"a": "b"}}, "the metadata of a"),
        ("createMessage", {"threadId": thread_id, "content": content, "attachments": search}, "for file search"),
        ("createRun", {**run_of_thread, "maxPromptTokens": 300}, "'maxPromptTokens'"),
        (
            "createRun",
            {**run_of_thread, "truncationStrategy": newest},
            "'LAST_MESSAGES'",
        ),
        ("createThread", {"toolResources": {"codeInterpreter": {"fileIds": ["file-abc123"]}}}, "resources of a thread"),
    ]
    for mutation, values, named in refused:
        payload = await mutate(gateway, mutation, "__typename", **values)
        (error,) = payload["userErrors"]
        assert (error["code"], named in error["message"]) == ("UNSUPPORTED_BY_UPSTREAM", True), error
    assert emulator.counts.by_operation == {}
