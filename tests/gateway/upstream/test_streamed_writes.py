"""Tests that a write that starts a run returns as soon as its stream holds the run, and is sent once like any other."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.upstream.retry import MAY_HAVE_TAKEN_PLACE
from gateway.upstream.streamed_writes import looks_like_events
from gateway.upstream.threads_api_client import BoundThreadsApi, UpstreamClient
from schema.contract.bodies import RunBody, ThreadAndRunBody, ToolOutputsBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import THREADS
from schema.contract.wire import RunObject
from schema.contract.writes import CANCEL_RUN, CREATE_RUN, CREATE_THREAD_AND_RUN, SUBMIT_TOOL_OUTPUTS
from tests.support.scripted_upstream import (
    RESET,
    ScriptedResponse,
    ScriptedUpstream,
    chunked_response,
    echo,
    response,
    truncated,
)
from tests.support.upstream_client import (
    CREDENTIAL,
    LAST_EVENT,
    RUN_OBJECT,
    T1,
    ClientMaker,
    StreamRecorder,
    create_run,
    run_event,
)

THREAD, RUN = ThreadKey("thread_1"), RunKey("thread_1", "run_1")
OUTPUTS = ToolOutputsBody.model_validate({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]})
Start = Callable[[BoundThreadsApi], Awaitable[RunObject]]


def create_thread_and_run(api: BoundThreadsApi) -> Awaitable[RunObject]:
    return api.write(CREATE_THREAD_AND_RUN, None, ThreadAndRunBody(assistant_id="asst_1"))


def submit(api: BoundThreadsApi) -> Awaitable[RunObject]:
    return api.write(SUBMIT_TOOL_OUTPUTS, RUN, OUTPUTS)


STARTS: list[tuple[Start, str, dict[str, Any], str | None]] = [
    (create_run, "/v1/threads/thread_1/runs", {"assistant_id": "asst_1"}, "thread_1"),
    (create_thread_and_run, "/v1/threads/runs", {"assistant_id": "asst_1"}, None),
    (submit, "/v1/threads/thread_1/runs/run_1/submit_tool_outputs", OUTPUTS.to_wire(), "thread_1"),
]
EACH_START = pytest.mark.parametrize(("start", "target", "body", "thread_id"), STARTS, ids=["run", "both", "submit"])


@pytest.fixture
def recorder() -> StreamRecorder:
    return StreamRecorder()


@pytest.fixture
async def client(make_client: ClientMaker) -> UpstreamClient:
    return make_client(max_streams=1)


@pytest.fixture
async def api(client: UpstreamClient, recorder: StreamRecorder) -> BoundThreadsApi:
    return client.bind(CREDENTIAL, recorder)


def free(client: UpstreamClient) -> bool:
    return not client.stream_slots.locked()


@EACH_START
async def test_the_run_is_returned_as_soon_as_its_stream_holds_it(
    client: UpstreamClient,
    api: BoundThreadsApi,
    upstream: ScriptedUpstream,
    recorder: StreamRecorder,
    start: Start,
    target: str,
    body: dict[str, Any],
    thread_id: str | None,
) -> None:
    more = asyncio.Event()
    upstream.queue_responses(chunked_response(run_event("queued"), more, run_event("completed"), LAST_EVENT))
    assert (await start(api)).status == "queued"
    assert api.cost.upstream_calls == len(api.cost.spans) == 1
    assert [stream.thread_id for stream in recorder.streams] == [thread_id]
    assert not free(client)
    more.set()
    await recorder.finished()
    assert len(recorder.events) == 3
    assert recorder.failure is None
    assert free(client)
    (request,) = upstream.requests
    assert (request.method, request.target.partition("?")[0]) == ("POST", target)
    assert request.json == body | {"stream": True}
    assert request.headers["accept"] == "text/event-stream, application/json"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == CREDENTIAL
    assert request.headers["openai-beta"] == "assistants=v2"


@EACH_START
async def test_no_stream_is_requested_without_a_recorder(
    client: UpstreamClient,
    upstream: ScriptedUpstream,
    start: Start,
    target: str,
    body: dict[str, Any],
    thread_id: str | None,
) -> None:
    upstream.queue_responses(response(200, RUN_OBJECT))
    await start(client.bind(CREDENTIAL))
    (request,) = upstream.requests
    assert request.json == body
    assert request.headers["accept"] == "application/json"


REFUSALS = [
    response(400, {"error": {"message": "Invalid 'assistant_id': 'x'. Expected an ID that begins with 'asst'."}}),
    response(400, {"error": {"message": "Thread thread_1 already has an active run run_2."}}),
    response(404, {"error": {"message": "No thread found with id 'thread_1'."}}),
    response(429, {"error": {"message": "Slow down."}}, Retry_After="3"),
    response(500, b"Internal Server Error", Content_Type="text/plain"),
    response(503, b"", Retry_After="3"),
    response(307, b"", Location="/elsewhere"),
    chunked_response(b'data: {"error": "no"}\n\n', status=422),
    response(200, b"<html><title>Log in</title>", Content_Type="text/html"),
    response(200, b""),
    response(200, b'{"id": "run_'),
    response(200, RUN_OBJECT | {"thread_id": "thread_2"}),
    truncated(response(400, {"error": {"message": "x"}})),
    truncated(response(200, RUN_OBJECT)),
    response(200, b"x" * 2000),
    response(200, b" " * 2000, Content_Length="", Transfer_Encoding=""),
    RESET,
    ScriptedResponse(b"SSH-2.0-OpenSSH_9.2\r\n", then="close"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_is_the_same_as_without_a_stream(
    make_client: ClientMaker, upstream: ScriptedUpstream, recorder: StreamRecorder, refusal: ScriptedResponse
) -> None:
    if b"Content-Length" not in refusal.data and refusal.then == "keep" and not refusal.pieces:
        refusal = ScriptedResponse(refusal.data, then="close")
    client = make_client(max_streams=1, max_response_bytes=1000)
    upstream.default_response = refusal
    with pytest.raises(GatewayError) as streamed:
        await create_run(client.bind(CREDENTIAL, recorder))
    with pytest.raises(GatewayError) as plain:
        await create_run(client.bind(f"{CREDENTIAL}-else"))  # the first may have been asked for a pause
    assert streamed.value.extensions == plain.value.extensions
    assert streamed.value.message == plain.value.message
    assert len(upstream.requests) == 2
    assert not recorder.streams
    assert free(client)


async def test_a_body_that_the_version_does_not_have_is_not_sent(
    make_client: ClientMaker, upstream: ScriptedUpstream, recorder: StreamRecorder
) -> None:
    api = make_client(dialect_name="openai-v1").bind(None, recorder)
    with pytest.raises(GatewayError) as caught:
        await api.write(
            CREATE_RUN, THREAD, RunBody.model_validate({"assistant_id": "a", "tools": [{"type": "file_search"}]})
        )
    assert caught.value.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM
    with pytest.raises(GatewayError):
        await api.write(CREATE_RUN, ThreadKey(".."), RunBody(assistant_id="a"))
    assert not upstream.requests


@pytest.mark.parametrize(
    "scripted_response",
    [
        response(200, RUN_OBJECT),
        response(201, b"\xef\xbb\xbf" + json.dumps(RUN_OBJECT, indent=2).encode()),
        response(200, RUN_OBJECT, Content_Type="text/event-stream"),
        chunked_response(b"  \n", json.dumps(RUN_OBJECT).encode(), Content_Type="text/event-stream"),
    ],
)
async def test_a_server_without_streaming_returns_the_run(
    client: UpstreamClient,
    api: BoundThreadsApi,
    upstream: ScriptedUpstream,
    recorder: StreamRecorder,
    scripted_response: ScriptedResponse,
) -> None:
    upstream.queue_responses(scripted_response)
    assert (await create_run(api)).id == "run_1"
    assert not recorder.streams
    assert free(client)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "", "text/event-stream"])
@pytest.mark.parametrize(
    "beginning", [b"", b"\xef\xbb\xbf", b": hello\n\n", b"\r\n\r\n", b"event: thread.run.created\n"]
)
async def test_a_stream_is_recognised_by_its_bytes(
    api: BoundThreadsApi, upstream: ScriptedUpstream, recorder: StreamRecorder, content_type: str, beginning: bytes
) -> None:
    whole = beginning + run_event("queued") + run_event("completed")
    upstream.queue_responses(
        chunked_response(*(whole[at : at + 1] for at in range(20)), whole[20:], Content_Type=content_type)
    )
    assert (await create_run(api)).status == "queued"
    await recorder.finished()
    assert recorder.failure is None
    assert len(recorder.events) == 2


async def test_an_error_body_under_a_successful_status_is_reported(
    api: BoundThreadsApi, upstream: ScriptedUpstream, recorder: StreamRecorder
) -> None:
    upstream.queue_responses(response(200, {"error": {"message": "The server had an error."}}))
    with pytest.raises(GatewayError) as caught:
        await create_run(api)
    assert caught.value.code is ErrorCode.UPSTREAM_FAILED
    assert caught.value.message == f"The server had an error. {MAY_HAVE_TAKEN_PLACE}"
    assert not recorder.streams


BROKEN = {
    "cut": chunked_response(b": hello\n\n", then="close", whole=False),
    "ended": chunked_response(b": hello\n\n"),
    "error": chunked_response(b'event: error\ndata: {"error": {"message": "No."}}\n\n'),
    "another thread": chunked_response(run_event("queued").replace(b"thread_1", b"thread_2")),
    "only deltas": chunked_response(b'data: {"object": "thread.message.delta", "delta": {}}\n\n', LAST_EVENT),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_stream_without_a_run_is_a_write_that_may_have_taken_place(
    client: UpstreamClient,
    api: BoundThreadsApi,
    upstream: ScriptedUpstream,
    recorder: StreamRecorder,
    broken: ScriptedResponse,
) -> None:
    upstream.queue_responses(broken)
    with pytest.raises(GatewayError, match=MAY_HAVE_TAKEN_PLACE) as caught:
        await create_run(api)
    assert not caught.value.retryable
    await recorder.finished()
    assert len(upstream.requests) == 1
    assert free(client)


async def test_all_other_writes_request_no_stream(
    api: BoundThreadsApi, upstream: ScriptedUpstream, recorder: StreamRecorder
) -> None:
    upstream.default_response = echo
    await api.get(THREADS, [T1])
    await api.write(CANCEL_RUN, RunKey("thread_1", "cancel"), None)
    assert not recorder.streams


@pytest.mark.parametrize(
    ("beginning", "declared", "expected"),
    [
        (b"", True, None),
        (b"\xef\xbb", True, None),
        (b"\xef\xbb\xbf", False, None),
        (b" \r\n", True, None),
        (b"\xef\xbb\xbf {", True, False),
        (b"[", True, False),
        (b"x", True, True),
        (b"x", False, False),
        (b"even", False, None),
        (b"event:", False, True),
        (b"\n\ndata:{", False, True),
        (b":", False, True),
        (b"<html", False, False),
        (b"dataset", False, False),
    ],
)
def test_the_first_bytes_decide_between_events_and_json(
    beginning: bytes, declared: bool, expected: bool | None
) -> None:
    assert looks_like_events(beginning, declared=declared) is expected
