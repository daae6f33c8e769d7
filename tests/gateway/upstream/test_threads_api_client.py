import pytest

from gateway.upstream.connection_pool import NO_CONVERSATION
from gateway.upstream.threads_api_client import BoundThreadsApi, UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import (
    ASSISTANTS,
    MESSAGE_FILES,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    THREADS,
    AssistantPageKey,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.paging import Window
from schema.contract.wire import Page, ThreadObject
from tests.support.scripted_upstream import (
    RESET,
    SILENCE,
    Request,
    ScriptedResponse,
    ScriptedUpstream,
    echo,
    response,
)
from tests.support.upstream_client import T1, WHOLE, ClientMaker, RecordedSleeps, create_run, read_failure


async def test_each_function_sends_its_operation(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    api = make_client(dialect_name="openai-v1").bind(None)
    newest = Window(5, "desc")
    answers = [
        *await api.get(THREADS, [T1]),
        *await api.get(MESSAGES, [MessageKey("t", "m")]),
        *await api.get(RUNS, [RunKey("t", "r")]),
        *await api.get(RUN_STEPS, [RunStepKey("t", "r", "s")]),
        *await api.get(ASSISTANTS, [AssistantKey("a")]),
        *await api.get(MESSAGE_FILES, [MessageFileKey("t", "m", "f")]),
        *await api.list(MESSAGES, [MessagePageKey("t", "r", newest)]),
        *await api.list(RUNS, [RunPageKey("t", newest)]),
        *await api.list(RUN_STEPS, [RunStepPageKey("t", "r", newest)]),
        *await api.list(ASSISTANTS, [AssistantPageKey(newest)]),
        *await api.list(MESSAGE_FILES, [MessageFilePageKey("t", "m", newest)]),
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
    assert api.cost.upstream_calls == 11


async def test_the_headers_of_a_call(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    client = make_client(dialect_name="openai-v1", organization="org-1", project="proj_1")
    await client.bind("Custom  as it  came").get(THREADS, [T1])
    headers = upstream.requests[0].headers
    assert headers["authorization"] == "Custom  as it  came"
    assert headers["openai-beta"] == "assistants=v1"
    assert headers["openai-organization"] == "org-1"
    assert headers["openai-project"] == "proj_1"
    assert headers["user-agent"] == "threads-gateway"
    assert headers["accept"] == "application/json"


async def test_without_a_credential_none_is_sent(make_client: ClientMaker, upstream: ScriptedUpstream) -> None:
    await make_client().bind(None).get(THREADS, [T1])
    headers = upstream.requests[0].headers
    assert not {"authorization", "openai-organization", "openai-project", "cookie"} & headers.keys()
    assert headers["openai-beta"] == "assistants=v2"


async def test_two_principals_share_connections_but_no_credential_and_no_cookie(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.queue_responses(response(body=WHOLE, Set_Cookie="session=first; Path=/"))
    client = make_client()
    await client.bind("Bearer first").get(THREADS, [T1])
    await client.bind("Bearer second").get(THREADS, [T1])
    assert upstream.connections == 1
    assert [request.headers["authorization"] for request in upstream.requests] == ["Bearer first", "Bearer second"]
    assert "cookie" not in upstream.requests[1].headers


@pytest.mark.parametrize("credential", ["Bearer a\r\nX-Evil: 1", "Bearer \x00", "Bearer \x7f"])
async def test_a_credential_that_cannot_be_a_header_is_refused(make_client: ClientMaker, credential: str) -> None:
    with pytest.raises(GatewayError) as caught:
        make_client().bind(credential)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


async def test_every_call_carries_the_query_of_the_base_url(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    api = make_client(base_url=f"{upstream.url}/?api-version=2024-05-01%2Bpreview").bind(None)
    await api.get(THREADS, [T1])
    await api.list(RUNS, [RunPageKey("t", Window(1, "asc"))])
    assert upstream.targets == [
        "/v1/threads/thread_1?api-version=2024-05-01%2Bpreview",
        "/v1/threads/t/runs?limit=1&order=asc&api-version=2024-05-01%2Bpreview",
    ]


async def test_an_encoded_id_arrives_unchanged(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    await api.get(THREADS, [ThreadKey("a/../b?c=%2F#d é")])
    assert upstream.targets == ["/v1/threads/a%2F..%2Fb%3Fc%3D%252F%23d%20%C3%A9"]


async def test_a_key_that_cannot_be_a_path_fails_alone_and_without_a_call(
    api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    bad, good = await api.get(THREADS, [ThreadKey(".."), T1])
    assert isinstance(bad, GatewayError)
    assert bad.code is ErrorCode.BAD_USER_INPUT
    assert isinstance(good, ThreadObject)
    assert upstream.targets == ["/v1/threads/thread_1"]


async def test_no_keys_make_no_calls(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    assert await api.get(THREADS, []) == []
    assert not upstream.requests


async def test_results_are_in_key_order_and_duplicates_cost_one_call(
    api: BoundThreadsApi, upstream: ScriptedUpstream
) -> None:
    names = ["b", "a", "b", "c", "a", "b"]
    got = await api.get(THREADS, [ThreadKey(name) for name in names])
    assert [thread.id for thread in got if isinstance(thread, ThreadObject)] == names
    assert sorted(upstream.targets) == ["/v1/threads/a", "/v1/threads/b", "/v1/threads/c"]
    assert api.cost.upstream_calls == 3


async def test_one_failing_key_does_not_affect_the_others(api: BoundThreadsApi, upstream: ScriptedUpstream) -> None:
    def only_b_is_there(request: Request) -> ScriptedResponse:
        return echo(request) if request.target.endswith("/b") else response(404, {"error": {"message": "No."}})

    upstream.default_response = only_b_is_there
    a, b, c = await api.get(THREADS, [ThreadKey("a"), ThreadKey("b"), ThreadKey("c")])
    assert isinstance(b, ThreadObject)
    for missing in (a, c):
        assert isinstance(missing, GatewayError)
        assert missing.code is ErrorCode.NOT_FOUND


async def test_version_2_has_no_message_files_and_gets_no_call(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    api = make_client(dialect_name="openai-v2").bind(None)
    got = [
        *await api.get(MESSAGE_FILES, [MessageFileKey("t", "m", "f")] * 2),
        *await api.list(MESSAGE_FILES, [MessageFilePageKey("t", "m", Window(1, "asc"))]),
    ]
    assert [error.code for error in got if isinstance(error, GatewayError)] == [ErrorCode.UNSUPPORTED_BY_UPSTREAM] * 3
    assert not upstream.requests


@pytest.mark.parametrize("status", [200, 204, 302, 401, 404, 499])
async def test_ping_accepts_any_response_and_sends_no_credential(
    make_client: ClientMaker, upstream: ScriptedUpstream, status: int
) -> None:
    upstream.default_response = response(status, b"", Location="/")
    assert await make_client().ping() is None
    assert upstream.targets == ["/v1/"]
    assert "authorization" not in upstream.requests[0].headers


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (response(500, b""), ErrorCode.UPSTREAM_FAILED),
        (response(503, b""), ErrorCode.UPSTREAM_FAILED),
        (RESET, ErrorCode.UPSTREAM_UNREACHABLE),
        (SILENCE, ErrorCode.UPSTREAM_TIMEOUT),
    ],
)
async def test_ping_returns_the_error(
    make_client: ClientMaker, upstream: ScriptedUpstream, said: ScriptedResponse, code: ErrorCode
) -> None:
    upstream.default_response = said
    error = await make_client().ping(timeout_seconds=0.2)
    assert error is not None
    assert error.code is code


@pytest.mark.parametrize("status", [200, 204, 302, 403, 404, 429, 499, 501])
async def test_ping_with_a_key_lists_one_assistant(
    make_client: ClientMaker, upstream: ScriptedUpstream, status: int
) -> None:
    upstream.default_response = response(status, b"", Location="/")
    assert await make_client().ping("Bearer own") is None
    (request,) = upstream.requests
    assert (request.method, request.target) == ("GET", "/v1/assistants?limit=1&order=asc")
    assert request.headers["authorization"] == "Bearer own"
    assert request.headers["openai-beta"] == "assistants=v2"


async def test_ping_with_a_key_asks_the_successor_for_a_conversation(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    upstream.default_response = response(404, {"error": {"message": "Conversation not found."}})
    assert await make_client(dialect_name="openai-responses").ping("Bearer own") is None
    (request,) = upstream.requests
    assert (request.target, request.headers["authorization"]) == (f"/v1/conversations/{NO_CONVERSATION}", "Bearer own")


async def test_ping_fails_if_the_upstream_refuses_the_key(
    make_client: ClientMaker, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.default_response = response(401, {"error": {"message": "Incorrect key: ow*n"}})
    error = await make_client().ping("Bearer own")
    assert isinstance(error, OwnKeyRefusedError)
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert line.startswith("the upstream refused the gateway's own key (status 401 of listAssistants);")


async def test_refusals_of_the_gateways_own_key_are_logged_once_a_second(
    make_client: ClientMaker,
    upstream: ScriptedUpstream,
    pauses: RecordedSleeps,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upstream.default_response = response(403, {"error": {"message": "Secret words."}}, X_Request_Id="req_9")
    api = make_client().bind("Bearer own", is_own_key=True)
    for _ in range(3):
        assert isinstance(await read_failure(api), OwnKeyRefusedError)
    pauses.advance(1.0)
    with pytest.raises(OwnKeyRefusedError):
        await create_run(api)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    beginning, count = "the upstream refused the gateway's own key (status 403 of", "; since the last such line:"
    assert lines == [
        f"{beginning} getThread, request id req_9){count} 1",
        f"{beginning} createRun, request id req_9){count} 3",
    ]


async def test_ping_after_closing_is_an_error(make_client: ClientMaker) -> None:
    client = make_client()
    await client.close()
    assert await client.ping() is not None


async def test_the_client_closes_with_its_block(upstream: ScriptedUpstream) -> None:
    async with UpstreamClient(UpstreamOptions(upstream.url)) as client:
        await client.bind(None).get(THREADS, [T1])
        assert upstream.open_connections == 1
    assert client.write_session.closed
