"""Tests that a frontend reads the upstream's data through the gateway, in as few calls as the data allow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.server.app import listening
from schema.contract.keys import MessageKey, RunKey, ThreadKey, to_file_id, to_global_id
from tests.support.emulator import Emulator
from tests.support.faces import both_faces, both_faces_always, counts_calls, second_dialect, unmapped
from tests.support.gateway import Gateway, running_gateway

pytestmark = both_faces

CALCULATOR = {"model": "gpt-4o", "name": "Calculator", "tools": [{"type": "code_interpreter"}]}


async def finished_run(emulator: Emulator, question: str = "What is 2 + 2?") -> tuple[str, str]:
    """Create a thread with a question that a run answered by running code. Returns the ids of thread and run."""
    assistant = await emulator.post("/assistants", CALCULATOR)
    thread = await emulator.post("/threads", {"messages": [{"role": "user", "content": question}]})
    run = await emulator.post(f"/threads/{thread['id']}/runs", {"assistant_id": assistant["id"]})
    emulator.clock.advance(60)
    emulator.counts.reset()
    return thread["id"], run["id"]


@both_faces_always
async def test_one_query_gives_thread_messages_run_steps_and_assistant(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, run_id = await finished_run(emulator)
    data = await gateway.data(
        """query ($id: ID!) { thread(id: $id) { upstreamId createdAt messages(last: 10) { nodes {
             role text assistant { name } run { upstreamId status isTerminal usage { totalTokens }
               steps(first: 10) { nodes { type status details {
                 ... on ToolCallsDetails { toolCalls {
                   ... on CodeInterpreterToolCall { input outputs { __typename } } } }
                 ... on MessageCreationDetails { message { text } } } } } } } } } }""",
        {"id": thread_id},
    )
    thread = data["thread"]
    question, answer = thread["messages"]["nodes"]
    rest_messages = (await emulator.get(f"/threads/{thread_id}/messages?order=asc"))["data"]
    rest_run = await emulator.get(f"/threads/{thread_id}/runs/{run_id}")
    assert thread["upstreamId"] == thread_id
    assert [question["text"], answer["text"]] == [item["content"][0]["text"]["value"] for item in rest_messages]
    assert (question["role"], question["run"], answer["role"]) == ("USER", None, "ASSISTANT")
    assert answer["assistant"] == {"name": "Calculator"}
    assert answer["run"]["upstreamId"] == run_id
    assert (answer["run"]["status"], answer["run"]["isTerminal"]) == ("COMPLETED", True)
    assert answer["run"]["usage"]["totalTokens"] == rest_run["usage"]["total_tokens"]
    calls, message = answer["run"]["steps"]["nodes"]
    assert (calls["type"], message["type"]) == ("TOOL_CALLS", "MESSAGE_CREATION")
    assert calls["details"]["toolCalls"][0]["input"]
    assert message["details"]["message"]["text"] == answer["text"]


@counts_calls
async def test_a_thread_with_its_messages_costs_two_calls(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, _ = await finished_run(emulator)
    await gateway.data(
        "query ($id: ID!) { thread(id: $id) { createdAt messages { nodes { text } } } }", {"id": thread_id}
    )
    assert emulator.counts.by_operation == {"getThread": 1, "listMessages": 1}


@counts_calls
async def test_the_id_of_a_reference_costs_no_call(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, run_id = await finished_run(emulator)
    data = await gateway.data(
        "query ($id: ID!) { thread(id: $id) { messages(last: 1) { nodes { run { id upstreamId thread { id } } } } } }",
        {"id": thread_id},
    )
    assert data["thread"]["messages"]["nodes"][0]["run"] == {
        "id": to_global_id(RunKey(thread_id, run_id)),
        "upstreamId": run_id,
        "thread": {"id": to_global_id(ThreadKey(thread_id))},
    }
    assert emulator.counts.by_operation == {"listMessages": 1}


@counts_calls
async def test_the_same_thread_under_twenty_aliases_costs_one_call(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, _ = await finished_run(emulator)
    aliases = " ".join(f"t{number}: thread(id: $id) {{ createdAt }}" for number in range(20))
    data = await gateway.data(f"query ($id: ID!) {{ {aliases} }}", {"id": thread_id})
    assert len(data) == 20
    assert emulator.counts.by_operation == {"getThread": 1}


@counts_calls
async def test_an_upstream_id_and_a_global_id_find_the_same_thread_in_one_call(
    emulator: Emulator, gateway: Gateway
) -> None:
    thread_id, _ = await finished_run(emulator)
    data = await gateway.data(
        """query ($upstream: ID!, $global: ID!) {
             a: thread(id: $upstream) { createdAt } b: thread(id: $global) { createdAt } }""",
        {"upstream": thread_id, "global": to_global_id(ThreadKey(thread_id))},
    )
    assert data["a"] == data["b"]
    assert emulator.counts.by_operation == {"getThread": 1}


async def test_thread_and_messages_are_fetched_together_not_in_a_row() -> None:
    """The upstream responds only after both calls have arrived. One after the other, the first would wait forever."""
    both_here = asyncio.Barrier(2)

    async def answer(request: web.Request) -> web.Response:
        async with asyncio.timeout(20):
            await both_here.wait()
        if request.path.endswith("/messages"):
            return web.json_response({"object": "list", "data": [], "has_more": False})
        return web.json_response({"id": "thread_a", "object": "thread", "created_at": 1})

    async with upstream(answer) as url, running_gateway(url) as gateway:
        data = await gateway.data('{ thread(id: "thread_a") { createdAt messages { nodes { id } } } }')
    assert data == {"thread": {"createdAt": "1970-01-01T00:00:01Z", "messages": {"nodes": []}}}


async def test_one_failing_part_does_not_take_its_siblings_with_it() -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/runs"):
            body = {"error": {"message": "The server had an error.", "type": "server_error"}}
            return web.json_response(body, status=500, headers={"x-request-id": "req_42"})
        if request.path.endswith("/messages"):
            message = {"id": "msg_1", "object": "thread.message", "created_at": 2, "role": "user", "content": []}
            return web.json_response({"object": "list", "data": [message], "has_more": False})
        return web.json_response({"id": "thread_a", "object": "thread", "created_at": 1})

    async with upstream(answer) as url, running_gateway(url) as gateway:
        result = await gateway.execute(
            '{ thread(id: "thread_a") { createdAt messages { nodes { role } } runs { nodes { status } } } }'
        )
    assert result["data"]["thread"] == {
        "createdAt": "1970-01-01T00:00:01Z",
        "messages": {"nodes": [{"role": "USER"}]},
        "runs": None,
    }
    (error,) = result["errors"]
    assert error["path"] == ["thread", "runs"]
    del error["extensions"]["requestId"]
    assert error["extensions"] == {"code": "UPSTREAM_FAILED", "retryable": True, "upstreamRequestId": "req_42"}


@second_dialect
async def test_version_1_shows_files_where_version_2_shows_attachments(
    emulator: Emulator, gateway: Gateway, gateway_v1: Gateway
) -> None:
    thread = await emulator.post(
        "/threads", {"messages": [{"role": "user", "content": "Read this.", "file_ids": ["file-abc123"]}]}, version="v1"
    )
    query = """query ($id: ID!) { thread(id: $id) { toolResources { vectorStoreIds } messages { nodes {
        fileIds attachments { fileId } files { nodes { upstreamId message { id } } } } } } upstream { version } }"""
    v1 = await gateway_v1.data(query, {"id": thread["id"]})
    (message,) = v1["thread"]["messages"]["nodes"]
    assert v1["upstream"] == {"version": "V1"}
    assert message["fileIds"] == [to_file_id("file-abc123")]
    assert message["attachments"] == []
    assert [file["upstreamId"] for file in message["files"]["nodes"]] == ["file-abc123"]

    v2 = await gateway.execute(query, {"id": thread["id"]})
    (message,) = v2["data"]["thread"]["messages"]["nodes"]
    assert message["fileIds"] == []
    assert [attachment["fileId"] for attachment in message["attachments"]] == [to_file_id("file-abc123")]
    assert message["files"] is None
    assert [error["extensions"]["code"] for error in v2["errors"]] == ["UNSUPPORTED_BY_UPSTREAM"]


@unmapped
async def test_every_kind_of_object_is_found_again_by_its_global_id(
    emulator: Emulator, gateway: Gateway, gateway_v1: Gateway
) -> None:
    thread_id, _ = await finished_run(emulator)
    everything = await gateway.data(
        """query ($id: ID!) { thread(id: $id) { id messages { nodes { id } }
             runs { nodes { id assistant { id } steps { nodes { id } } } } } }""",
        {"id": thread_id},
    )
    thread = everything["thread"]
    (run,) = thread["runs"]["nodes"]
    nodes = [thread, *thread["messages"]["nodes"], run, run["assistant"], *run["steps"]["nodes"]]
    ids = [node["id"] for node in nodes]
    again = await gateway.data("query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", {"ids": ids})
    assert [node["id"] for node in again["nodes"]] == ids
    assert [node["__typename"] for node in again["nodes"]] == [
        "Thread", "Message", "Message", "Run", "Assistant", "RunStep", "RunStep",
    ]  # fmt: skip

    body = {"messages": [{"role": "user", "content": "Read this.", "file_ids": ["file-abc123"]}]}
    thread_v1 = await emulator.post("/threads", body, version="v1")
    files = await gateway_v1.data(
        "query ($id: ID!) { thread(id: $id) { messages { nodes { files { nodes { id createdAt } } } } } }",
        {"id": thread_v1["id"]},
    )
    (file,) = files["thread"]["messages"]["nodes"][0]["files"]["nodes"]
    found = await gateway_v1.data(
        "query ($id: ID!) { node(id: $id) { __typename id ... on MessageFile { createdAt message { text } } } }",
        {"id": file["id"]},
    )
    assert found["node"] == {"__typename": "MessageFile", **file, "message": {"text": "Read this."}}


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ('{ thread(id: "T") { messages(first: 0) { nodes { id } } } }', "first"),
        ('{ thread(id: "T") { messages(last: -1) { nodes { id } } } }', "last"),
        ('{ thread(id: "T") { messages(first: 1001) { nodes { id } } } }', "first"),
        ('{ thread(id: "T") { messages(first: 1, last: 1) { nodes { id } } } }', "last"),
        ('{ thread(id: "T") { messages(after: "no cursor") { nodes { id } } } }', "after"),
        ('{ thread(id: "T") { runs(last: 1, before: "no cursor") { nodes { id } } } }', "before"),
        ('{ thread(id: "T") { messages(runId: "!") { nodes { id } } } }', "runId"),
        ('{ node(id: "T") { id } }', "id"),
        ('{ run(id: "run_abc") { id } }', "id"),
        ('{ nodes(ids: ["??"]) { id } }', "ids"),
    ],
)
async def test_a_bad_argument_gets_an_error_that_names_it(
    emulator: Emulator, gateway: Gateway, query: str, argument: str
) -> None:
    thread = await emulator.post("/threads")
    result = await gateway.execute(query.replace('"T"', f'"{thread["id"]}"'))
    (error,) = result["errors"]
    del error["extensions"]["requestId"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "retryable": False, "argument": argument}
    assert f"'{argument}': expected" in error["message"]
    assert ", got " in error["message"]


async def test_what_is_not_there_is_null_without_an_error(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, _ = await finished_run(emulator)
    absent = "0" * 24
    data = await gateway.data(
        """query ($thread: ID!, $message: ID!, $run: ID!) {
             thread(id: $thread) { createdAt } message(id: $message) { text } run(id: $run) { status }
             node(id: $run) { id } lists: thread(id: $thread) { messages { nodes { id } } } }""",
        {
            "thread": f"thread_{absent}",
            "message": to_global_id(MessageKey(thread_id, f"msg_{absent}")),
            "run": to_global_id(RunKey(thread_id, f"run_{absent}")),
        },
    )
    assert data == {"thread": None, "message": None, "run": None, "node": None, "lists": None}


async def test_another_callers_data_are_not_there(emulator: Emulator, gateway: Gateway) -> None:
    thread_id, run_id = await finished_run(emulator)
    query = "query ($thread: ID!, $run: ID!) { thread(id: $thread) { createdAt } run(id: $run) { status } }"
    variables = {"thread": thread_id, "run": to_global_id(RunKey(thread_id, run_id))}
    other_result = await gateway.execute(query, variables, headers={"Authorization": "Bearer another-key"})
    assert other_result == {"data": {"thread": None, "run": None}}


@asynccontextmanager
async def upstream(answer: Any) -> AsyncIterator[str]:
    """A server of the test itself as the upstream."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with listening(app, "127.0.0.1", 0) as url:
        yield url
