import asyncio
import gzip
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.upstream.client import BoundThreadsApi, UpstreamClient
from gateway.upstream.options import UpstreamOptions
from schema.errors import ErrorCode, GatewayError
from schema.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.paging import Window
from schema.ports import (
    AssistantPageKey,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
    ThreadsApi,
)
from schema.wire import Page, ThreadObject
from tests.support.scripted_upstream import (
    CLOSED,
    RESET,
    SILENCE,
    Answer,
    Request,
    ScriptedUpstream,
    answer,
    cut_short,
    scripted_upstream,
)

CREDENTIAL = "Bearer key-of-somebody"
T1 = ThreadKey("thread_1")
WHOLE = {"id": "thread_1", "object": "thread", "created_at": 1}


def echo(request: Request) -> Answer:
    """The object whose id ends the path, of the kind that the path says; or an empty list."""
    path, _, query = request.target.partition("?")
    if query:
        return answer(body={"object": "list", "data": [], "has_more": False})
    return answer(body={"id": path.rsplit("/", 1)[1], "created_at": 1})


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with scripted_upstream() as running:
        running.always = echo
        yield running
    assert running.open_connections == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Pauses(list[float]):
    """Stands for sleeping: remembers how long, and takes no time."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


ClientMaker = Callable[..., UpstreamClient]


@pytest.fixture
async def make_client(upstream: ScriptedUpstream, pauses: Pauses) -> AsyncIterator[ClientMaker]:
    made: list[UpstreamClient] = []

    defaults: dict[str, Any] = {"base_url": upstream.url, "timeout_seconds": 20.0}

    def make(**options: Any) -> UpstreamClient:
        client = UpstreamClient(
            UpstreamOptions(**defaults | options),
            sleep=pauses,
            random_fraction=lambda: 0.5,
            now_seconds=lambda: 0.0,
        )
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


@pytest.fixture
async def api(make_client: ClientMaker) -> BoundThreadsApi:
    return make_client().bind(CREDENTIAL)


async def failure(api: ThreadsApi) -> GatewayError:
    (got,) = await api.get_threads([T1])
    assert isinstance(got, GatewayError)
    return got


async def test_each_function_asks_its_operation(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    api = make_client(version="v1").bind(None)
    newest = Window(5, "desc")
    answers = [
        *await api.get_threads([T1]),
        *await api.get_messages([MessageKey("t", "m")]),
        *await api.get_runs([RunKey("t", "r")]),
        *await api.get_run_steps([RunStepKey("t", "r", "s")]),
        *await api.get_assistants([AssistantKey("a")]),
        *await api.get_message_files([MessageFileKey("t", "m", "f")]),
        *await api.list_messages([MessagePageKey("t", "r", newest)]),
        *await api.list_runs([RunPageKey("t", newest)]),
        *await api.list_run_steps([RunStepPageKey("t", "r", newest)]),
        *await api.list_assistants([AssistantPageKey(newest)]),
        *await api.list_message_files([MessageFilePageKey("t", "m", newest)]),
    ]
    assert not [got for got in answers if isinstance(got, GatewayError)]
    assert [isinstance(got, Page) for got in answers] == [False] * 6 + [True] * 5
    assert upstream.targets == [
        "/v1/threads/thread_1",
        "/v1/threads/t/messages/m",
        "/v1/threads/t/runs/r",
        "/v1/threads/t/runs/r/steps/s",
        "/v1/assistants/a",
        "/v1/threads/t/messages/m/files/f",
        "/v1/threads/t/messages?limit=5&order=desc&run_id=r",
        "/v1/threads/t/runs?limit=5&order=desc",
        "/v1/threads/t/runs/r/steps?limit=5&order=desc",
        "/v1/assistants?limit=5&order=desc",
        "/v1/threads/t/messages/m/files?limit=5&order=desc",
    ]
    assert api.calls == 11


async def test_what_is_sent(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    client = make_client(version="v1", organization="org-1", project="proj_1")
    await client.bind("Custom  as it  came").get_threads([T1])
    headers = upstream.requests[0].headers
    assert headers["authorization"] == "Custom  as it  came"
    assert headers["openai-beta"] == "assistants=v1"
    assert headers["openai-organization"] == "org-1"
    assert headers["openai-project"] == "proj_1"
    assert headers["user-agent"] == "threads-gateway"
    assert headers["accept"] == "application/json"


async def test_without_a_credential_none_is_sent(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    await make_client().bind(None).get_threads([T1])
    headers = upstream.requests[0].headers
    assert not {"authorization", "openai-organization", "openai-project", "cookie"} & headers.keys()
    assert headers["openai-beta"] == "assistants=v2"


async def test_two_principals_share_connections_but_no_credential_and_no_cookie(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.plan(answer(body=WHOLE, Set_Cookie="session=first; Path=/"))
    client = make_client()
    await client.bind("Bearer first").get_threads([T1])
    await client.bind("Bearer second").get_threads([T1])
    assert upstream.connections == 1
    assert [request.headers["authorization"] for request in upstream.requests] == ["Bearer first", "Bearer second"]
    assert "cookie" not in upstream.requests[1].headers


@pytest.mark.parametrize("credential", ["Bearer a\r\nX-Evil: 1", "Bearer \x00", "Bearer \x7f"])
async def test_a_credential_that_is_no_header_is_refused(make_client: ClientMaker, credential: str) -> None:
    with pytest.raises(GatewayError) as caught:
        make_client().bind(credential)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


async def test_the_query_of_the_base_url_goes_with_every_call(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    api = make_client(base_url=f"{upstream.url}/?api-version=2024-05-01%2Bpreview").bind(None)
    await api.get_threads([T1])
    await api.list_runs([RunPageKey("t", Window(1, "asc"))])
    assert upstream.targets == [
        "/v1/threads/thread_1?api-version=2024-05-01%2Bpreview",
        "/v1/threads/t/runs?limit=1&order=asc&api-version=2024-05-01%2Bpreview",
    ]


async def test_an_encoded_id_arrives_as_it_was_encoded(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    await api.get_threads([ThreadKey("a/../b?c=%2F#d é")])
    assert upstream.targets == ["/v1/threads/a%2F..%2Fb%3Fc%3D%252F%23d%20%C3%A9"]


async def test_a_key_that_is_no_path_costs_only_itself_and_no_call(
    api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    bad, good = await api.get_threads([ThreadKey(".."), T1])
    assert isinstance(bad, GatewayError)
    assert bad.code is ErrorCode.BAD_USER_INPUT
    assert isinstance(good, ThreadObject)
    assert upstream.targets == ["/v1/threads/thread_1"]


async def test_no_keys_no_calls(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    assert await api.get_threads([]) == []
    assert not upstream.requests


async def test_results_are_in_the_order_of_the_keys_and_duplicates_cost_one_call(
    api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    names = ["b", "a", "b", "c", "a", "b"]
    got = await api.get_threads([ThreadKey(name) for name in names])
    assert [thread.id for thread in got if isinstance(thread, ThreadObject)] == names
    assert sorted(upstream.targets) == ["/v1/threads/a", "/v1/threads/b", "/v1/threads/c"]
    assert api.calls == 3


async def test_one_failing_key_does_not_touch_the_others(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    def only_b_is_there(request: Request) -> Answer:
        return echo(request) if request.target.endswith("/b") else answer(404, {"error": {"message": "No."}})

    upstream.always = only_b_is_there
    a, b, c = await api.get_threads([ThreadKey("a"), ThreadKey("b"), ThreadKey("c")])
    assert isinstance(b, ThreadObject)
    for missing in (a, c):
        assert isinstance(missing, GatewayError)
        assert missing.code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("most", [1, 7])
async def test_an_operation_takes_no_more_than_its_places(
    make_client: ClientMaker, upstream: ScriptedUpstream, most: int
) -> None:
    api = make_client(max_concurrency_per_operation=most).bind(None)
    got = await api.get_threads([ThreadKey(f"t{place}") for place in range(40)])
    assert all(isinstance(thread, ThreadObject) for thread in got)
    assert upstream.most_at_once <= most
    assert upstream.connections <= most


async def test_version_2_has_no_message_files_and_is_not_asked(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    api = make_client(version="v2").bind(None)
    got = [
        *await api.get_message_files([MessageFileKey("t", "m", "f")] * 2),
        *await api.list_message_files([MessageFilePageKey("t", "m", Window(1, "asc"))]),
    ]
    assert [error.code for error in got if isinstance(error, GatewayError)] == [ErrorCode.UNSUPPORTED_BY_UPSTREAM] * 3
    assert not upstream.requests


@pytest.mark.parametrize(
    "passing",
    [
        RESET,
        CLOSED,
        answer(429, b""),
        answer(502, b"<html>"),
        answer(503, b"busy"),
        answer(504, b""),
        cut_short(answer(200, WHOLE)),
        cut_short(answer(200, b"5\r\n{    \r\n0\r\n\r\n", Content_Length="", Transfer_Encoding="chunked"), 5),
        cut_short(answer(200, WHOLE, Content_Length="")),
        answer(200, b'{"id": "thre'),
        answer(200, b"not gzip", Content_Encoding="gzip"),
    ],
)
async def test_a_passing_failure_is_met_by_another_try(
    api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: Pauses, passing: Answer
) -> None:
    upstream.plan(passing, passing)
    (thread,) = await api.get_threads([T1])
    assert isinstance(thread, ThreadObject)
    assert len(upstream.requests) == 3
    assert api.calls == 3
    assert pauses == [0.1, 0.2]


@pytest.mark.parametrize(
    ("lasting", "code"),
    [
        (RESET, ErrorCode.UPSTREAM_UNREACHABLE),
        (answer(429, b""), ErrorCode.RATE_LIMITED),
        (answer(503, b""), ErrorCode.UPSTREAM_FAILED),
        (cut_short(answer(200, WHOLE)), ErrorCode.UPSTREAM_INVALID_RESPONSE),
    ],
)
async def test_after_two_further_tries_the_failure_is_the_answer(
    api: BoundThreadsApi, upstream: ScriptedUpstream, lasting: Answer, code: ErrorCode
) -> None:
    upstream.always = lasting
    error = await failure(api)
    assert (error.code, error.retryable) == (code, True)
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    ("lasting", "code"),
    [
        (answer(400, {"error": {"message": "x", "param": "limit"}}), ErrorCode.BAD_USER_INPUT),
        (answer(401, {"error": {"message": "x"}}), ErrorCode.UNAUTHENTICATED),
        (answer(404, {"detail": "Not Found"}), ErrorCode.UNSUPPORTED_BY_UPSTREAM),
        (answer(500, b"Internal Server Error", Content_Type="text/plain"), ErrorCode.UPSTREAM_FAILED),
        (answer(200, b"<html>please log in</html>", Content_Type="text/html"), ErrorCode.UPSTREAM_INVALID_RESPONSE),
        (answer(200, {"id": "thread_2", "created_at": 1}), ErrorCode.UPSTREAM_INVALID_RESPONSE),
        (Answer(b"SSH-2.0-OpenSSH_9.2\r\n", then="close"), ErrorCode.UPSTREAM_INVALID_RESPONSE),
        (answer(200, WHOLE, X_Long="x" * 20_000), ErrorCode.UPSTREAM_INVALID_RESPONSE),
    ],
)
async def test_a_lasting_failure_is_not_tried_again(
    api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: Pauses, lasting: Answer, code: ErrorCode
) -> None:
    upstream.always = lasting
    assert (await failure(api)).code is code
    assert len(upstream.requests) == 1
    assert not pauses


async def test_retry_after_is_obeyed(api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: Pauses) -> None:
    upstream.plan(answer(429, b"", Retry_After="3"), answer(503, b"", Retry_After="Thu, 01 Jan 1970 00:00:04 GMT"))
    (thread,) = await api.get_threads([T1])
    assert isinstance(thread, ThreadObject)
    assert list(pauses) == pytest.approx([3.1, 4.2])


async def test_a_wait_beyond_the_deadline_is_not_begun(
    api: BoundThreadsApi, upstream: ScriptedUpstream, pauses: Pauses
) -> None:
    upstream.always = answer(429, {"error": {"message": "Slow down."}}, Retry_After="60", X_Request_Id="req_7")
    error = await failure(api)
    assert error.extensions == {
        "code": "RATE_LIMITED",
        "retryable": True,
        "retryAfterMs": 60_000,
        "upstreamRequestId": "req_7",
    }
    assert error.message == "Slow down."
    assert not pauses
    assert len(upstream.requests) == 1


async def test_a_pause_leaves_its_place_to_others(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    client = make_client(max_concurrency_per_operation=1)
    other_is_done = asyncio.Event()

    async def until_the_other_is_done(_: float) -> None:
        await other_is_done.wait()

    def serve(request: Request) -> Answer:
        if request.target.endswith("/b"):
            other_is_done.set()
        return echo(request)

    client.sleep = until_the_other_is_done
    upstream.plan(answer(503, b""))
    upstream.always = serve
    got = await client.bind(None).get_threads([ThreadKey("a"), ThreadKey("b")])
    assert all(isinstance(thread, ThreadObject) for thread in got)
    assert upstream.targets == ["/v1/threads/a", "/v1/threads/b", "/v1/threads/a"]


async def test_a_redirect_is_not_followed(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    upstream.always = answer(307, b"", Location=f"{upstream.url}/elsewhere")
    assert (await failure(api)).code is ErrorCode.UPSTREAM_INVALID_RESPONSE
    assert upstream.targets == ["/v1/threads/thread_1"]


async def test_an_echoed_credential_does_not_come_back(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    upstream.always = answer(403, {"error": {"message": "key-of-somebody may not"}}, X_Request_Id="key-of-somebody")
    error = await failure(api)
    assert (error.message, error.upstream_request_id) == ("[removed] may not", "[removed]")


async def test_the_deadline_keeps_what_came_in_time(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    def only_a(request: Request) -> Answer:
        return echo(request) if request.target.endswith("/a") else SILENCE

    upstream.always = only_a
    api = make_client(timeout_seconds=0.2).bind(None)
    a, b, again = await api.get_threads([ThreadKey("a"), ThreadKey("b"), ThreadKey("b")])
    assert isinstance(a, ThreadObject)
    for late in (b, again):
        assert isinstance(late, GatewayError)
        assert (late.code, late.retryable) == (ErrorCode.UPSTREAM_TIMEOUT, True)
        assert late.message == "Expected an answer of the upstream within 0.2 s, got none."


async def test_those_who_wait_for_a_place_have_the_same_deadline(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.always = SILENCE
    api = make_client(timeout_seconds=0.1, max_concurrency_per_operation=1).bind(None)
    got = await api.get_threads([ThreadKey("a"), ThreadKey("b")])
    assert [error.code for error in got if isinstance(error, GatewayError)] == [ErrorCode.UPSTREAM_TIMEOUT] * 2
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("stalled", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"])
async def test_an_answer_that_stalls_is_late(
    make_client: ClientMaker, upstream: ScriptedUpstream, stalled: bytes
) -> None:
    upstream.always = Answer(stalled, then="hang")
    error = await failure(make_client(timeout_seconds=0.1).bind(None))
    assert error.code is ErrorCode.UPSTREAM_TIMEOUT


async def test_cancellation_ends_every_call_before_it_is_through(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    three_are_asked = asyncio.Event()

    def count(_: Request) -> Answer:
        if len(upstream.requests) == 3:
            three_are_asked.set()
        return SILENCE

    upstream.always = count
    api = make_client(max_concurrency_per_operation=3).bind(None)
    before = asyncio.all_tasks()
    loading = asyncio.create_task(_load_many(api))
    await three_are_asked.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    left = asyncio.all_tasks() - before
    assert not [task for task in left if "BoundThreadsApi" in repr(task)]


async def _load_many(api: ThreadsApi) -> None:
    await api.get_threads([ThreadKey(f"t{place}") for place in range(10)])


async def test_a_body_is_read_up_to_its_limit(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    body = b'{"id":"thread_1","created_at":1}'
    exactly = make_client(max_response_bytes=len(body)).bind(None)
    too_small = make_client(max_response_bytes=len(body) - 1).bind(None)
    for whole in (
        answer(200, body),
        answer(200, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), Content_Length="", Transfer_Encoding="chunked"),
        answer(200, gzip.compress(body), Content_Encoding="gzip"),
    ):
        upstream.always = whole
        (thread,) = await exactly.get_threads([T1])
        assert isinstance(thread, ThreadObject)
        error = await failure(too_small)
        assert error.code is ErrorCode.UPSTREAM_INVALID_RESPONSE
        assert error.message == "Upstream operation getThread: expected at most 31 bytes, got more."
        assert not error.retryable


async def test_a_small_body_that_unpacks_to_a_huge_one_is_refused(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.always = answer(200, gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")
    error = await failure(make_client(max_response_bytes=1_000_000).bind(None))
    assert "expected at most 1000000 bytes" in error.message


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


async def test_a_refused_connection_is_tried_again_and_names_no_address(
    make_client: ClientMaker, pauses: Pauses
) -> None:
    port = _free_port()
    api = make_client(base_url=f"http://127.0.0.1:{port}/v1").bind(None)
    error = await failure(api)
    assert (error.code, error.retryable) == (ErrorCode.UPSTREAM_UNREACHABLE, True)
    assert str(port) not in error.message
    assert len(pauses) == 2


async def test_an_upstream_without_the_expected_tls_is_unreachable(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.always = CLOSED
    error = await failure(make_client(base_url=upstream.url.replace("http:", "https:")).bind(None))
    assert error.code is ErrorCode.UPSTREAM_UNREACHABLE
    assert "127.0.0.1" not in error.message


async def test_a_closed_client_answers_with_errors(make_client: ClientMaker, caplog: pytest.LogCaptureFixture) -> None:
    client = make_client()
    await client.close()
    with caplog.at_level(logging.ERROR):
        error = await failure(client.bind(CREDENTIAL))
    assert (error.code, error.message) == (ErrorCode.INTERNAL, "The upstream could not be asked.")
    assert "getThread failed unexpectedly" in caplog.text
    assert "key-of-somebody" not in caplog.text


@pytest.mark.parametrize(("version", "deletes", "files"), [("v1", False, True), ("v2", True, False)])
async def test_capabilities_are_those_of_the_version(
    make_client: ClientMaker, version: str, deletes: bool, files: bool
) -> None:
    got = make_client(version=version).bind(None).capabilities
    assert (got.dialect, got.version) == (f"openai-{version}", version)
    assert (got.streaming, got.lists_threads) == (True, False)
    assert (got.deletes_messages, got.message_files) == (deletes, files)


@pytest.mark.parametrize("status", [200, 204, 302, 401, 404, 499])
async def test_ping_takes_any_answer_and_sends_no_credential(
    make_client: ClientMaker, upstream: ScriptedUpstream, status: int
) -> None:
    upstream.always = answer(status, b"", Location="/")
    assert await make_client().ping() is None
    assert upstream.targets == ["/v1/"]
    assert "authorization" not in upstream.requests[0].headers


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answer(500, b""), ErrorCode.UPSTREAM_FAILED),
        (answer(503, b""), ErrorCode.UPSTREAM_FAILED),
        (RESET, ErrorCode.UPSTREAM_UNREACHABLE),
        (SILENCE, ErrorCode.UPSTREAM_TIMEOUT),
    ],
)
async def test_ping_says_why_not(
    make_client: ClientMaker, upstream: ScriptedUpstream, said: Answer, code: ErrorCode
) -> None:
    upstream.always = said
    error = await make_client().ping(timeout_seconds=0.2)
    assert error is not None
    assert error.code is code


async def test_ping_after_closing_is_an_error(make_client: ClientMaker) -> None:
    client = make_client()
    await client.close()
    assert await client.ping() is not None


async def test_the_client_closes_with_its_block(upstream: ScriptedUpstream) -> None:
    async with UpstreamClient(UpstreamOptions(upstream.url)) as client:
        await client.bind(None).get_threads([T1])
        assert upstream.open_connections == 1
    assert client.session.closed
