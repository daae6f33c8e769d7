"""A write that sets a run going answers as soon as its stream tells of the run, and is sent once like any other."""

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
from schema.contract.wire import RunObject
from tests.support.scripted_upstream import (
    RESET,
    Answer,
    ScriptedUpstream,
    answer,
    cut_short,
    echo,
    stream,
)
from tests.support.upstream_client import (
    CREDENTIAL,
    LAST_EVENT,
    RUN_OBJECT,
    T1,
    ClientMaker,
    Taker,
    create_run,
    run_event,
)

THREAD, RUN = ThreadKey("thread_1"), RunKey("thread_1", "run_1")
OUTPUTS = ToolOutputsBody.model_validate({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]})
Start = Callable[[BoundThreadsApi], Awaitable[RunObject]]


def create_thread_and_run(api: BoundThreadsApi) -> Awaitable[RunObject]:
    return api.create_thread_and_run(ThreadAndRunBody(assistant_id="asst_1"))


def submit(api: BoundThreadsApi) -> Awaitable[RunObject]:
    return api.submit_tool_outputs(RUN, OUTPUTS)


STARTS: list[tuple[Start, str, dict[str, Any], str | None]] = [
    (create_run, "/v1/threads/thread_1/runs", {"assistant_id": "asst_1"}, "thread_1"),
    (create_thread_and_run, "/v1/threads/runs", {"assistant_id": "asst_1"}, None),
    (submit, "/v1/threads/thread_1/runs/run_1/submit_tool_outputs", OUTPUTS.to_wire(), "thread_1"),
]
EACH_START = pytest.mark.parametrize(("start", "target", "body", "thread_id"), STARTS, ids=["run", "both", "submit"])


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
async def client(make_client: ClientMaker) -> UpstreamClient:
    return make_client(max_streams=1)


@pytest.fixture
async def api(client: UpstreamClient, taker: Taker) -> BoundThreadsApi:
    return client.bind(CREDENTIAL, taker)


def free(client: UpstreamClient) -> bool:
    return not client.stream_slots.locked()


@EACH_START
async def test_the_run_is_given_as_soon_as_its_stream_tells_of_it(
    client: UpstreamClient,
    api: BoundThreadsApi,
    upstream: ScriptedUpstream,
    taker: Taker,
    start: Start,
    target: str,
    body: dict[str, Any],
    thread_id: str | None,
) -> None:
    more = asyncio.Event()
    upstream.plan(stream(run_event("queued"), more, run_event("completed"), LAST_EVENT))
    assert (await start(api)).status == "queued"
    assert api.cost.upstream_calls == len(api.cost.spans) == 1
    assert [stream.thread_id for stream in taker.streams] == [thread_id]
    assert not free(client)
    more.set()
    await taker.finished()
    assert len(taker.events) == 3
    assert taker.failure is None
    assert free(client)
    (request,) = upstream.requests
    assert (request.method, request.target) == ("POST", target)
    assert request.json == body | {"stream": True}
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == CREDENTIAL
    assert request.headers["openai-beta"] == "assistants=v2"


@EACH_START
async def test_no_stream_is_asked_for_where_nobody_takes_it(
    client: UpstreamClient,
    upstream: ScriptedUpstream,
    start: Start,
    target: str,
    body: dict[str, Any],
    thread_id: str | None,
) -> None:
    upstream.plan(answer(200, RUN_OBJECT))
    await start(client.bind(CREDENTIAL))
    (request,) = upstream.requests
    assert request.json == body
    assert request.headers["accept"] == "application/json"


REFUSALS = [
    answer(400, {"error": {"message": "Invalid 'assistant_id': 'x'. Expected an ID that begins with 'asst'."}}),
    answer(400, {"error": {"message": "Thread thread_1 already has an active run run_2."}}),
    answer(404, {"error": {"message": "No thread found with id 'thread_1'."}}),
    answer(429, {"error": {"message": "Slow down."}}, Retry_After="3"),
    answer(500, b"Internal Server Error", Content_Type="text/plain"),
    answer(503, b"", Retry_After="3"),
    answer(307, b"", Location="/elsewhere"),
    stream(b'data: {"error": "no"}\n\n', status=422),
    answer(200, b"<html><title>Log in</title>", Content_Type="text/html"),
    answer(200, b""),
    answer(200, b'{"id": "run_'),
    answer(200, RUN_OBJECT | {"thread_id": "thread_2"}),
    cut_short(answer(400, {"error": {"message": "x"}})),
    cut_short(answer(200, RUN_OBJECT)),
    answer(200, b"x" * 2000),
    answer(200, b" " * 2000, Content_Length="", Transfer_Encoding=""),
    RESET,
    Answer(b"SSH-2.0-OpenSSH_9.2\r\n", then="close"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_is_the_same_as_without_a_stream(
    make_client: ClientMaker, upstream: ScriptedUpstream, taker: Taker, refusal: Answer
) -> None:
    if b"Content-Length" not in refusal.sent and refusal.then == "keep" and not refusal.later:
        refusal = Answer(refusal.sent, then="close")
    client = make_client(max_streams=1, max_response_bytes=1000)
    upstream.always = refusal
    with pytest.raises(GatewayError) as streamed:
        await create_run(client.bind(CREDENTIAL, taker))
    with pytest.raises(GatewayError) as plain:
        await create_run(client.bind(CREDENTIAL))
    assert streamed.value.extensions == plain.value.extensions
    assert streamed.value.message == plain.value.message
    assert len(upstream.requests) == 2
    assert not taker.streams
    assert free(client)


async def test_a_body_that_the_version_does_not_have_is_not_sent(
    make_client: ClientMaker, upstream: ScriptedUpstream, taker: Taker
) -> None:
    api = make_client(dialect_name="openai-v1").bind(None, taker)
    with pytest.raises(GatewayError) as caught:
        await api.create_run(THREAD, RunBody.model_validate({"assistant_id": "a", "tools": [{"type": "file_search"}]}))
    assert caught.value.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM
    with pytest.raises(GatewayError):
        await api.create_run(ThreadKey(".."), RunBody(assistant_id="a"))
    assert not upstream.requests


@pytest.mark.parametrize(
    "answered",
    [
        answer(200, RUN_OBJECT),
        answer(201, b"\xef\xbb\xbf" + json.dumps(RUN_OBJECT, indent=2).encode()),
        answer(200, RUN_OBJECT, Content_Type="text/event-stream"),
        stream(b"  \n", json.dumps(RUN_OBJECT).encode(), Content_Type="text/event-stream"),
    ],
)
async def test_a_server_that_knows_nothing_of_streams_is_believed(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream, taker: Taker, answered: Answer
) -> None:
    upstream.plan(answered)
    assert (await create_run(api)).id == "run_1"
    assert not taker.streams
    assert free(client)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "", "text/event-stream"])
@pytest.mark.parametrize(
    "beginning", [b"", b"\xef\xbb\xbf", b": hello\n\n", b"\r\n\r\n", b"event: thread.run.created\n"]
)
async def test_a_stream_is_known_by_its_bytes(
    api: BoundThreadsApi, upstream: ScriptedUpstream, taker: Taker, content_type: str, beginning: bytes
) -> None:
    whole = beginning + run_event("queued") + run_event("completed")
    upstream.plan(stream(*(whole[at : at + 1] for at in range(20)), whole[20:], Content_Type=content_type))
    assert (await create_run(api)).status == "queued"
    await taker.finished()
    assert taker.failure is None
    assert len(taker.events) == 2


async def test_an_error_under_a_status_that_promised_more_is_told(
    api: BoundThreadsApi, upstream: ScriptedUpstream, taker: Taker
) -> None:
    upstream.plan(answer(200, {"error": {"message": "The server had an error."}}))
    with pytest.raises(GatewayError) as caught:
        await create_run(api)
    assert caught.value.code is ErrorCode.UPSTREAM_FAILED
    assert caught.value.message == f"The server had an error. {MAY_HAVE_TAKEN_PLACE}"
    assert not taker.streams


BROKEN = {
    "cut": stream(b": hello\n\n", then="close", whole=False),
    "ended": stream(b": hello\n\n"),
    "error": stream(b'event: error\ndata: {"error": {"message": "No."}}\n\n'),
    "another thread": stream(run_event("queued").replace(b"thread_1", b"thread_2")),
    "only deltas": stream(b'data: {"object": "thread.message.delta", "delta": {}}\n\n', LAST_EVENT),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_stream_that_tells_of_no_run_is_a_write_that_may_have_taken_place(
    client: UpstreamClient, api: BoundThreadsApi, upstream: ScriptedUpstream, taker: Taker, broken: Answer
) -> None:
    upstream.plan(broken)
    with pytest.raises(GatewayError, match=MAY_HAVE_TAKEN_PLACE) as caught:
        await create_run(api)
    assert not caught.value.retryable
    await taker.finished()
    assert len(upstream.requests) == 1
    assert free(client)


async def test_the_upstream_is_asked_as_before_for_all_else(
    api: BoundThreadsApi, upstream: ScriptedUpstream, taker: Taker
) -> None:
    upstream.always = echo
    await api.get_threads([T1])
    await api.cancel_run(RunKey("thread_1", "cancel"))
    assert not taker.streams


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
def test_how_a_body_begins_says_what_it_is(beginning: bytes, declared: bool, expected: bool | None) -> None:
    assert looks_like_events(beginning, declared=declared) is expected
