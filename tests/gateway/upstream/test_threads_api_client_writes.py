import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.upstream.dialects import INCLUDE_SEARCH_CONTENT
from gateway.upstream.threads_api_client import BoundThreadsApi
from schema.contract.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    MessageBody,
    MetadataUpdateBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
    ToolOutputsBody,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageKey, RunKey, ThreadKey
from schema.contract.kinds import THREADS
from schema.contract.writes import (
    CANCEL_RUN,
    CREATE_ASSISTANT,
    CREATE_MESSAGE,
    CREATE_RUN,
    CREATE_THREAD,
    CREATE_THREAD_AND_RUN,
    DELETE_ASSISTANT,
    DELETE_MESSAGE,
    DELETE_THREAD,
    SUBMIT_TOOL_OUTPUTS,
    UPDATE_ASSISTANT,
    UPDATE_MESSAGE,
    UPDATE_RUN,
    UPDATE_THREAD,
)
from tests.support.scripted_upstream import SILENCE, Request, ScriptedResponse, ScriptedUpstream, response
from tests.support.upstream_client import WHOLE, ClientMaker

THREAD, MESSAGE, RUN, ASSISTANT = ThreadKey("t"), MessageKey("t", "m"), RunKey("t", "r"), AssistantKey("a")
HELLO: dict[str, Any] = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
TAG = MetadataUpdateBody(metadata={"a": "b"})
OUTPUTS = ToolOutputsBody.model_validate({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]})
DELETED = {"deleted": True}


def made(id: str, **fields: object) -> dict[str, object]:
    return {"id": id, "created_at": 1} | fields


Write = Callable[[BoundThreadsApi], Awaitable[Any]]
WRITES: list[tuple[Write, object, str, object]] = [
    (lambda api: api.write(CREATE_THREAD, None, ThreadBody()), made("t"), "POST /v1/threads", {}),
    (
        lambda api: api.write(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata=None)),
        made("t"),
        "POST /v1/threads/t",
        {"metadata": None},
    ),
    (lambda api: api.write(DELETE_THREAD, THREAD, None), DELETED, "DELETE /v1/threads/t", None),
    (
        lambda api: api.write(CREATE_MESSAGE, THREAD, MessageBody.model_validate(HELLO)),
        made("m"),
        "POST /v1/threads/t/messages",
        {"role": "user", "content": "Hi"},
    ),
    (
        lambda api: api.write(UPDATE_MESSAGE, MESSAGE, TAG),
        made("m"),
        "POST /v1/threads/t/messages/m",
        {"metadata": {"a": "b"}},
    ),
    (lambda api: api.write(DELETE_MESSAGE, MESSAGE, None), DELETED, "DELETE /v1/threads/t/messages/m", None),
    (
        lambda api: api.write(CREATE_RUN, THREAD, RunBody(assistant_id="a", model=None)),
        made("r", thread_id="t"),
        f"POST /v1/threads/t/runs?{INCLUDE_SEARCH_CONTENT}",
        {"assistant_id": "a"},
    ),
    (
        lambda api: api.write(CREATE_THREAD_AND_RUN, None, ThreadAndRunBody(assistant_id="a")),
        made("r", thread_id="t"),
        "POST /v1/threads/runs",
        {"assistant_id": "a"},
    ),
    (lambda api: api.write(UPDATE_RUN, RUN, TAG), made("r"), "POST /v1/threads/t/runs/r", {"metadata": {"a": "b"}}),
    (lambda api: api.write(CANCEL_RUN, RUN, None), made("r"), "POST /v1/threads/t/runs/r/cancel", None),
    (
        lambda api: api.write(SUBMIT_TOOL_OUTPUTS, RUN, OUTPUTS),
        made("r"),
        "POST /v1/threads/t/runs/r/submit_tool_outputs",
        {"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]},
    ),
    (
        lambda api: api.write(CREATE_ASSISTANT, None, AssistantBody(model="m")),
        made("a"),
        "POST /v1/assistants",
        {"model": "m"},
    ),
    (
        lambda api: api.write(UPDATE_ASSISTANT, ASSISTANT, AssistantUpdateBody(name=None)),
        made("a"),
        "POST /v1/assistants/a",
        {"name": None},
    ),
    (lambda api: api.write(DELETE_ASSISTANT, ASSISTANT, None), DELETED, "DELETE /v1/assistants/a", None),
]
EACH_WRITE = pytest.mark.parametrize(("write", "response_body", "call", "sent"), WRITES, ids=[row[2] for row in WRITES])


@EACH_WRITE
@pytest.mark.parametrize("status", [200, 201])
async def test_each_write_is_one_call(
    api: BoundThreadsApi,
    upstream: ScriptedUpstream,
    write: Write,
    response_body: object,
    call: str,
    sent: object,
    status: int,
) -> None:
    upstream.default_response = response(status, response_body)
    got = await write(api)
    assert getattr(got, "id", None) == (response_body.get("id") if isinstance(response_body, dict) else None)
    (request,) = upstream.requests
    assert f"{request.method} {request.target}" == call
    assert api.cost.upstream_calls == 1
    if sent is None:
        # A server may refuse a Content-Type without a body.
        assert request.body == b""
        assert "content-type" not in request.headers
    else:
        assert request.json == sent
        assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer key-of-somebody"
    assert request.headers["openai-beta"] == "assistants=v2"


@pytest.mark.parametrize("confirmed", [response(204), response(200), response(200, {"id": "t", "deleted": True})])
async def test_a_deletion_needs_no_body(
    api: BoundThreadsApi, upstream: ScriptedUpstream, confirmed: ScriptedResponse
) -> None:
    upstream.default_response = confirmed
    await api.write(DELETE_THREAD, THREAD, None)
    assert len(upstream.requests) == 1


async def test_a_write_to_an_id_that_cannot_be_a_path_is_not_sent(
    api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    with pytest.raises(GatewayError) as caught:
        await api.write(DELETE_THREAD, ThreadKey(".."), None)
    assert caught.value.code is ErrorCode.BAD_USER_INPUT
    assert (upstream.requests, api.cost.upstream_calls) == ([], 0)


async def test_a_body_that_the_version_does_not_have_is_not_sent(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    api = make_client(dialect_name="openai-v1").bind(None)
    attached = HELLO | {"attachments": [{"file_id": "file-1", "tools": []}]}
    with pytest.raises(GatewayError) as caught:
        await api.write(CREATE_THREAD, None, ThreadBody.model_validate({"messages": [attached]}))
    assert (caught.value.code, caught.value.argument) == (
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        "messages.0.attachments",
    )
    with pytest.raises(GatewayError, match="has no operation deleteMessage"):
        await api.write(DELETE_MESSAGE, MESSAGE, None)
    assert (upstream.requests, api.cost.upstream_calls) == ([], 0)


async def test_a_write_on_an_idle_connection_that_was_lost_is_not_sent_again(
    api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    upstream.queue_responses(response(200, WHOLE), ScriptedResponse(then="close"))
    await api.write(CREATE_THREAD, None, ThreadBody())
    with pytest.raises(GatewayError) as caught:
        await api.write(DELETE_THREAD, THREAD, None)
    assert not caught.value.retryable
    assert [request.method for request in upstream.requests] == ["POST", "DELETE"]


async def test_writes_share_the_connections_of_reads(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    upstream.default_response = response(200, WHOLE)
    await api.get(THREADS, [ThreadKey("thread_1")])
    await api.write(CREATE_THREAD, None, ThreadBody())
    assert upstream.connections == 1


async def test_a_write_that_never_got_a_slot_was_not_sent(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    requested = asyncio.Event()

    def note(_: Request) -> ScriptedResponse:
        requested.set()
        return SILENCE

    upstream.default_response = note
    api = make_client(timeout_seconds=0.2, max_concurrency_per_operation=1).bind(None)
    reading = asyncio.create_task(_read(api))
    await requested.wait()
    api._client.options = dataclasses.replace(api._client.options, timeout_seconds=0.05)
    with pytest.raises(GatewayError) as caught:
        await api.write(CREATE_THREAD, None, ThreadBody())
    assert (caught.value.code, caught.value.retryable) == (ErrorCode.UPSTREAM_TIMEOUT, True)
    await reading
    assert [request.method for request in upstream.requests] == ["GET"]


async def _read(api: BoundThreadsApi) -> None:
    await api.get(THREADS, [THREAD])


async def test_a_cancelled_write_leaves_nothing_behind(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    requested = asyncio.Event()

    def note(_: Request) -> ScriptedResponse:
        requested.set()
        return SILENCE

    upstream.default_response = note
    api = make_client().bind(None)
    writing = asyncio.ensure_future(api.write(CREATE_THREAD, None, ThreadBody()))
    await requested.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert len(upstream.requests) == 1


async def test_bodies_are_sent_as_utf_8(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    upstream.default_response = response(200, made("t"))
    await api.write(CREATE_THREAD, None, ThreadBody(metadata={"tag": "é 📊"}))
    assert upstream.requests[0].body == '{"metadata":{"tag":"é 📊"}}'.encode()


async def test_azure_openai_gets_a_key_and_a_version(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    upstream.default_response = response(200, made("t"))
    api = make_client(dialect_name="azure-openai", api_version="2024-05-01-preview").bind("Bearer 0123abcd")
    await api.write(CREATE_THREAD, None, ThreadBody())
    (request,) = upstream.requests
    assert request.target == "/v1/threads?api-version=2024-05-01-preview"
    assert request.headers["api-key"] == "0123abcd"
    assert not {"authorization", "openai-beta"} & request.headers.keys()
