"""Tests that a frontend sees none of the many small differences between servers of this API.

Each test is one habit seen at a real server, as the JSON that it sends, read or written through GraphQL.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import pytest

from schema.contract.keys import MessageKey, RunKey, to_file_id, to_global_id
from tests.support.gateway import Gateway, running_gateway
from tests.support.scripted_upstream import Request, ScriptedResponse, ScriptedUpstream, response, scripted_upstream
from tests.support.subscription_clients import open_socket

Serve: TypeAlias = Callable[..., AbstractAsyncContextManager[Gateway]]
NO_ROUTE = response(404, {"detail": "Not Found"})
ERRORS = "userErrors { code message field }"


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with scripted_upstream() as running:
        yield running


@pytest.fixture
def serve(upstream: ScriptedUpstream) -> Serve:
    """A gateway over a server that responds only to these calls (`GET /threads/t`) with this JSON."""

    @asynccontextmanager
    async def serve(routes: dict[str, Any], dialect: str = "lenient", **settings: Any) -> AsyncIterator[Gateway]:
        def route(request: Request) -> ScriptedResponse:
            path = request.target.partition("?")[0].removeprefix("/v1")
            found = routes.get(f"{request.method} {path}", NO_ROUTE)
            return found if isinstance(found, ScriptedResponse) else response(body=found)

        upstream.default_response = route
        async with running_gateway(upstream.url, upstream_dialect=dialect, **settings) as gateway:
            yield gateway

    return serve


async def test_ids_without_a_prefix(serve: Serve) -> None:
    thread_id, run_id = "65f1a7c2d4e8b90012345678", "3f2b8c1e-9d4a-4c6b-8e7f-0a1b2c3d4e5f"
    thread = {"id": thread_id, "object": "thread", "created_at": 1}
    run = {"id": run_id, "object": "thread.run", "created_at": 1, "thread_id": thread_id, "status": "completed"}
    routes = {f"GET /threads/{thread_id}": thread, f"GET /threads/{thread_id}/runs": {"data": [run]}}
    routes[f"GET /threads/{thread_id}/runs/{run_id}"] = run
    async with serve(routes) as gateway:
        data = await gateway.data(
            f'{{ thread(id: "{thread_id}") {{ id upstreamId runs {{ nodes {{ id status }} }} }} }}'
        )
        (found,) = data["thread"]["runs"]["nodes"]
        assert (data["thread"]["upstreamId"], found["status"]) == (thread_id, "COMPLETED")
        node = "query ($id: ID!) { node(id: $id) { ... on Run { upstreamId } } }"
        assert (await gateway.data(node, {"id": found["id"]}))["node"] == {"upstreamId": run_id}


async def test_fractional_times(serve: Serve) -> None:
    run = {"id": "r", "created_at": 1795329859.0, "started_at": 1795329860.25, "status": "in_progress"}
    async with serve({"GET /threads/t/runs": {"data": [run]}}) as gateway:
        data = await gateway.data('{ thread(id: "t") { runs { nodes { createdAt startedAt } } } }')
        (found,) = data["thread"]["runs"]["nodes"]
        assert found["createdAt"].startswith("2026-11-22T06:44:19")
        assert found["startedAt"].startswith("2026-11-22T06:44:20.25")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"metadata_": {"title": "Tea"}, "updated_at": 2}, {"title": "Tea"}),
        ({"metadata_": None}, {}),
        ({"metadata": None}, {}),
        ({}, {}),
    ],
)
async def test_metadata_under_another_name_or_none(serve: Serve, sent: dict[str, Any], shown: object) -> None:
    async with serve({"GET /threads/t": {"id": "t", "object": "thread", "created_at": 1} | sent}) as gateway:
        assert await gateway.data('{ thread(id: "t") { metadata } }') == {"thread": {"metadata": shown}}


async def test_null_tools_and_missing_keys(serve: Serve) -> None:
    assistant = {"id": "a", "created_at": 1, "object": "assistant", "tools": None, "extra_body": {}}
    async with serve({"GET /assistants/a": assistant}) as gateway:
        fields = "model name tools { __typename } metadata temperature toolResources { vectorStoreIds }"
        data = await gateway.data(f'{{ assistant(id: "a") {{ {fields} }} }}')
        assert data["assistant"] == {
            "model": None,
            "name": None,
            "tools": [],
            "metadata": {},
            "temperature": None,
            "toolResources": None,
        }


async def test_a_run_that_waits_for_an_empty_object(serve: Serve) -> None:
    run = {"id": "r", "created_at": 1, "status": "queued", "required_action": {}, "tools": None, "usage": None}
    async with serve({"GET /threads/t/runs": {"data": [run]}}) as gateway:
        query = '{ thread(id: "t") { runs { nodes { requiredAction { __typename } tools { __typename } } } } }'
        assert (await gateway.data(query))["thread"]["runs"]["nodes"] == [{"requiredAction": None, "tools": []}]


async def test_text_without_annotations_and_a_message_without_status(serve: Serve) -> None:
    parts = [{"type": "text", "text": {"value": "Hi."}}, {"type": "text", "text": "Bare."}]
    messages = [{"id": "m1", "created_at": 1, "role": "assistant", "content": parts}]
    messages.append({"id": "m2", "created_at": 2, "role": "user", "content": "A string."})
    async with serve({"GET /threads/t/messages": {"data": messages}}) as gateway:
        query = '{ thread(id: "t") { messages { nodes { text status attachments { fileId } } } } }'
        nodes = (await gateway.data(query))["thread"]["messages"]["nodes"]
        assert [node["text"] for node in nodes] == ["Hi.\nBare.", "A string."]
        assert all(node["attachments"] == [] for node in nodes)


WAITING = {"id": "r", "object": "thread.run", "created_at": 1, "thread_id": "t", "status": "requires_action"}


@pytest.mark.parametrize(("sent", "shown"), [(None, ""), ({"a": 1}, '{"a":1}'), ([], "[]"), ("{}", "{}")])
async def test_a_call_without_arguments_or_with_an_object_can_be_answered(
    serve: Serve, upstream: ScriptedUpstream, sent: object, shown: str
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": sent}}
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [call]}}
    run = WAITING | {"required_action": action}
    routes = {"GET /threads/t/runs/r": run, "POST /threads/t/runs/r/submit_tool_outputs": run | {"status": "queued"}}
    run_id = to_global_id(RunKey("t", "r"))
    async with serve(routes) as gateway:
        calls = "requiredAction { ... on SubmitToolOutputsAction { toolCalls { callId name arguments } } }"
        found = (await gateway.data(f'{{ run(id: "{run_id}") {{ {calls} }} }}'))["run"]["requiredAction"]
        assert found == {"toolCalls": [{"callId": "call_1", "name": "now", "arguments": shown}]}
        outputs = '[{callId: "call_1", output: "12:00"}]'
        answer = f'submitToolOutputs(input: {{runId: "{run_id}", toolOutputs: {outputs}}})'
        reply = (await gateway.data(f"mutation {{ {answer} {{ run {{ status }} {ERRORS} }} }}"))["submitToolOutputs"]
        assert reply == {"run": {"status": "QUEUED"}, "userErrors": []}
    assert upstream.requests[-1].json["tool_outputs"] == [{"tool_call_id": "call_1", "output": "12:00"}]


async def test_one_bad_field_takes_neither_its_object_nor_its_page_along(serve: Serve) -> None:
    text = [{"type": "text", "text": {"value": "Hi.", "annotations": {}}}]
    attachment = {"file_id": "f", "tools": [{"type": None}, "file_search"]}
    messages = [
        {"id": "m1", "created_at": 1, "role": "user", "content": text, "metadata": [], "attachments": {}},
        {"id": "m2", "created_at": 2, "role": "user", "content": text, "attachments": [attachment]},
    ]
    run = {"id": "r1", "created_at": 1, "status": "incomplete", "last_error": "boom", "temperature": "0.5"}
    runs = [run | {"incomplete_details": "max", "tools": ["file_search"]}, run | {"id": "r2", "last_error": None}]
    async with serve({"GET /threads/t/messages": {"data": messages}, "GET /threads/t/runs": {"data": runs}}) as gateway:
        shown = "nodes { upstreamId text metadata attachments { fileId tools } }"
        run_fields = "status lastError { code } temperature incompleteReason tools { ... on UnknownTool { raw } }"
        query = f'{{ thread(id: "t") {{ messages {{ {shown} }} runs {{ nodes {{ {run_fields} }} }} }} }}'
        thread = (await gateway.data(query))["thread"]
    attached = [{"fileId": to_file_id("f"), "tools": ["UNRECOGNIZED", "UNRECOGNIZED"]}]
    assert thread["messages"]["nodes"] == [
        {"upstreamId": "m1", "text": "Hi.", "metadata": {}, "attachments": []},
        {"upstreamId": "m2", "text": "Hi.", "metadata": {}, "attachments": attached},
    ]
    bare = {"status": "INCOMPLETE", "lastError": None, "temperature": None, "incompleteReason": None}
    assert thread["runs"]["nodes"] == [bare | {"tools": [{"raw": "file_search"}]}, bare | {"tools": []}]


async def test_a_step_that_names_a_message_that_is_not_there(serve: Serve) -> None:
    details = {"type": "message_creation", "message_creation": {"message_id": "msg_gone"}}
    step = {"id": "s", "created_at": 1, "type": "message_creation", "status": "completed", "step_details": details}
    routes = {
        "GET /threads/t/runs/r": {"id": "r", "created_at": 1, "status": "completed"},
        "GET /threads/t/runs/r/steps": {"data": [step]},
        "GET /threads/t/messages/msg_gone": response(404, {"detail": "Message msg_gone not found"}),
    }
    routes["GET /threads/t/runs"] = {"data": [routes["GET /threads/t/runs/r"]]}
    async with serve(routes) as gateway:
        inner = "details { ... on MessageCreationDetails { message { text } } }"
        query = f'{{ thread(id: "t") {{ runs {{ nodes {{ steps {{ nodes {{ {inner} }} }} }} }} }} }}'
        reply = await gateway.execute(query)
        (found,) = reply["data"]["thread"]["runs"]["nodes"][0]["steps"]["nodes"]
        assert found["details"] == {"message": None}
        assert [error["extensions"]["code"] for error in reply.get("errors", [])] in ([], ["NOT_FOUND"])


@pytest.mark.parametrize(
    "page",
    [
        {"data": [{"id": "m1", "created_at": 1}, {"id": "m2", "created_at": 2}]},
        {"object": "list", "data": [{"id": "m2", "created_at": 2}, {"id": "m1", "created_at": 1}], "has_more": False},
    ],
)
async def test_lists_without_their_ends_or_in_the_only_order_that_the_server_knows(serve: Serve, page: object) -> None:
    async with serve({"GET /threads/t/messages": page}) as gateway:
        selection = "nodes { upstreamId } pageInfo { hasNextPage hasPreviousPage }"
        lists = f"first: messages(first: 5) {{ {selection} }} last: messages(last: 5) {{ {selection} }}"
        query = f'{{ thread(id: "t") {{ {lists} }} }}'
        data = (await gateway.data(query))["thread"]
        for connection in data.values():
            assert [node["upstreamId"] for node in connection["nodes"]] == ["m1", "m2"]
            assert connection["pageInfo"] == {"hasNextPage": False, "hasPreviousPage": False}


async def test_messages_that_do_not_say_their_run(serve: Serve) -> None:
    run = {"id": "r", "object": "thread.run", "created_at": 1, "thread_id": "t", "status": "completed"}
    answer = {"id": "m", "object": "thread.message", "created_at": 2, "role": "assistant", "content": "Hi"}
    step = {"id": "s", "type": "message_creation", "step_details": {"message_creation": {"message_id": "m"}}}
    lists = {"messages": {"data": [answer]}, "runs/r/steps": {"data": [step | {"status": "completed"}]}}
    routes = {"GET /threads/t/runs/r": run} | {f"GET /threads/t/{path}": page for path, page in lists.items()}
    run_id = to_global_id(RunKey("t", "r"))
    selection = "messages { text } run { messages { nodes { text } } }"
    document = f'subscription {{ runEvents(runId: "{run_id}") {{ ... on RunSnapshot {{ {selection} }} }} }}'
    async with serve(routes) as gateway, open_socket(gateway) as socket:
        (snapshot,) = await (await socket.subscribe(document)).wait_for_completion()
    assert snapshot["messages"] == snapshot["run"]["messages"]["nodes"] == [{"text": "Hi"}]


def listed(*numbers: int) -> ScriptedResponse:
    data = [{"id": f"m{number}", "created_at": number} for number in numbers]
    return response(body={"object": "list", "data": data, "has_more": True})


@pytest.mark.parametrize(
    ("second", "shown"),
    [
        ((1, 2), []),
        ((1, 2, 3), ["m3"]),
        ((2, 1), []),
        ((4, 3, 2), ["m3", "m4"]),
        ((), []),
    ],
)
async def test_paging_ends_at_a_page_that_brings_nothing_new(
    serve: Serve, upstream: ScriptedUpstream, second: tuple[int, ...], shown: list[str]
) -> None:
    query = """
        query ($after: String) {
            thread(id: "t") {
                messages(first: 2, after: $after) { nodes { upstreamId } pageInfo { hasNextPage endCursor } }
            }
        }
    """
    async with serve({}) as gateway:

        def respond(request: Request) -> ScriptedResponse:
            if "/messages" not in request.target:
                return response(body={"id": "t", "object": "thread", "created_at": 1})
            return listed(*second) if "after=" in request.target else listed(1, 2)

        upstream.default_response = respond
        found: list[list[str]] = []
        after = None
        for _ in range(4):
            page = (await gateway.data(query, {"after": after}))["thread"]["messages"]
            found.append([node["upstreamId"] for node in page["nodes"]])
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
    assert found[0] == ["m1", "m2"]
    assert found[1] == shown
    assert not page["pageInfo"]["hasNextPage"]


async def test_creations_with_status_201_and_a_run_that_is_over_at_once(
    serve: Serve, upstream: ScriptedUpstream
) -> None:
    run = {"id": "r", "object": "thread.run", "created_at": 1, "thread_id": "t", "status": "completed"}
    routes = {
        "POST /threads": response(201, {"id": "t", "object": "thread", "created_at": 1}),
        "POST /threads/t/runs": response(201, run),
    }
    async with serve(routes) as gateway:
        create = f"mutation {{ createThread(input: {{}}) {{ thread {{ upstreamId }} {ERRORS} }} }}"
        assert await gateway.data(create) == {"createThread": {"thread": {"upstreamId": "t"}, "userErrors": []}}
        fields = f"run {{ upstreamId status isTerminal }} {ERRORS}"
        start = f'mutation {{ createRun(input: {{threadId: "t", assistantId: "a"}}) {{ {fields} }} }}'
        started = (await gateway.data(start))["createRun"]
        assert started == {
            "run": {"upstreamId": "r", "status": "COMPLETED", "isTerminal": True},
            "userErrors": [],
        }
    assert [request.method for request in upstream.requests] == ["POST", "POST"]


@pytest.mark.parametrize(
    "confirmed",
    [
        response(204),
        response(200),
        response(200, b"null"),
        response(200, {"success": True}),
        response(202, {"id": "t"}),
    ],
)
async def test_a_deletion_in_other_formats(serve: Serve, confirmed: ScriptedResponse) -> None:
    async with serve({"DELETE /threads/t": confirmed}) as gateway:
        delete = f'mutation {{ deleteThread(input: {{threadId: "t"}}) {{ {ERRORS} }} }}'
        deleted = (await gateway.data(delete))["deleteThread"]
        assert deleted == {"userErrors": []}


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (404, {"detail": "Thread t not found"}, "NOT_FOUND", "Thread t not found"),
        (404, {"error": {"code": "not_found", "message": "No thread."}}, "NOT_FOUND", "No thread."),
        (500, b"Internal Server Error", "UPSTREAM_FAILED", "Internal Server Error"),
        (
            404,
            {"message": "Route GET:/v1/threads/t not found", "error": "Not Found", "statusCode": 404},
            "UNSUPPORTED_BY_UPSTREAM",
            "The upstream (dialect lenient) has no operation getThread: Route GET:/v1/threads/t not found",
        ),
        (
            405,
            {"detail": "Method Not Allowed"},
            "UNSUPPORTED_BY_UPSTREAM",
            "The upstream (dialect lenient) has no operation getThread: Method Not Allowed",
        ),
    ],
)
async def test_errors_in_other_formats(serve: Serve, status: int, body: object, code: str, message: str) -> None:
    kind = "text/plain" if isinstance(body, bytes) else "application/json"
    async with serve({"GET /threads/t": response(status, body, Content_Type=kind)}) as gateway:
        reply = await gateway.execute('{ thread(id: "t") { metadata } }')
        if code == "NOT_FOUND":
            assert reply["data"] == {"thread": None}
            return
        (error,) = reply["errors"]
        assert (error["extensions"]["code"], error["message"]) == (code, message)


async def test_an_operation_that_the_server_lacks_is_reported_as_unsupported(
    serve: Serve, upstream: ScriptedUpstream
) -> None:
    message_id = to_global_id(MessageKey("t", "m"))
    delete = f'mutation {{ deleteMessage(input: {{messageId: "{message_id}"}}) {{ {ERRORS} }} }}'
    expected_requests = {"lenient": 1, "azure-openai": 0, "openai-v1": 0}
    for dialect, requests in expected_requests.items():
        upstream.requests.clear()
        async with serve({}, dialect) as gateway:
            (error,) = (await gateway.data(delete))["deleteMessage"]["userErrors"]
            assert error["code"] == "UNSUPPORTED_BY_UPSTREAM"
            assert error["message"].startswith(f"The upstream (dialect {dialect}) has no operation deleteMessage")
        assert len(upstream.requests) == requests


async def test_azure_gets_its_key_its_version_and_no_beta_header(serve: Serve, upstream: ScriptedUpstream) -> None:
    thread = {"id": "t", "object": "thread", "created_at": 1, "metadata": {"a": "b"}}
    async with serve({"GET /threads/t": thread}, "azure-openai") as gateway:
        data = await gateway.data('{ thread(id: "t") { metadata } upstream { dialect version } }')
        assert data["thread"] == {"metadata": {"a": "b"}}
        assert data["upstream"] == {"dialect": "AZURE_OPENAI", "version": "V2"}
    (request,) = upstream.requests
    assert request.target == "/v1/threads/t?api-version=2025-04-01-preview"
    assert request.headers["api-key"] == "test-key"
    assert not {"authorization", "openai-beta"} & request.headers.keys()


async def test_foundry_gets_a_bearer_and_its_version(serve: Serve, upstream: ScriptedUpstream) -> None:
    thread = {"id": "t", "object": "thread", "created_at": 1}
    async with serve({"GET /threads/t": thread}, "azure-foundry", upstream_api_version="2025-05-15-preview") as gateway:
        await gateway.data('{ thread(id: "t") { metadata } }')
    (request,) = upstream.requests
    assert request.target == "/v1/threads/t?api-version=2025-05-15-preview"
    assert request.headers["authorization"] == "Bearer test-key"
    assert not {"api-key", "openai-beta"} & request.headers.keys()


async def test_a_lenient_server_gets_no_special_parameters(serve: Serve, upstream: ScriptedUpstream) -> None:
    async with serve({"GET /threads/t/runs": {"data": []}, "GET /threads/t": {"id": "t", "created_at": 1}}) as gateway:
        await gateway.data('{ thread(id: "t") { runs { nodes { id } } } }')
    assert all("api-version" not in target and "include" not in target for target in upstream.targets)
    assert {request.headers["openai-beta"] for request in upstream.requests} == {"assistants=v2"}
