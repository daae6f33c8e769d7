"""Tests the gateway's own key: one that the upstream refuses, and one in a file that changes meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.server.app import listening
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    RUN_STATUS,
    THREAD_EVENTS,
    start_run_without_gateway,
    statuses,
)
from tests.support.gateway import Gateway, running_command, running_gateway, url_in
from tests.support.graphql import GraphQLClient, Reply
from tests.support.mutations import assistant, thread_with_question
from tests.support.subscription_clients import open_socket
from tests.support.subscription_gateway import until

OLD, NEW = "own-key-number-1", "own-key-number-2"
ASSISTANTS = {"query": "{ assistants { nodes { id } } }"}
CREATE_THREAD = {"query": "mutation { createThread(input: {}) { thread { id } userErrors { code } } }"}
GRAPHQL = {"Accept": "application/graphql-response+json"}
REFUSED = {"code": "UPSTREAM_REFUSED", "retryable": False, "upstreamRequestId": "req_refused"}
SENTENCE = "The upstream refuses the gateway itself; its log says more."


class KeyedUpstream:
    """The emulator behind keys that a test changes: those that are `accepted` have the same data."""

    def __init__(self, emulator: Emulator) -> None:
        self.url = ""
        self.accepted = {OLD}
        self.refusal_status = 401
        self.refused: list[str] = []
        self.refuses_in_streams = False
        self._emulator = emulator

    async def handle(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        message = f"Incorrect API key provided: {key[:7]}*****{key[-2:]}. Or was it {key}?"
        body = {"error": {"message": message, "code": "invalid_api_key"}}
        if self.refuses_in_streams and request.method == "POST" and request.path.endswith("/runs"):
            events = f"event: error\ndata: {json.dumps(body)}\n\ndata: [DONE]\n\n"
            headers = {"Content-Type": "text/event-stream", "X-Request-Id": "req_refused"}
            return web.Response(text=events, headers=headers)
        if key not in self.accepted:
            self.refused.append(key)
            return web.json_response(body, status=self.refusal_status, headers={"X-Request-Id": "req_refused"})
        headers = {name: value for name, value in request.headers.items() if name not in {"Host", "Authorization"}}
        async with self._emulator.session.request(
            request.method,
            self._emulator.root_url + request.path_qs,
            headers={**headers, "Authorization": AUTHORIZATION},
            data=await request.read(),
        ) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), headers={"Content-Type": answer.headers["Content-Type"]}
            )


@pytest.fixture
async def upstream(emulator: Emulator) -> AsyncIterator[KeyedUpstream]:
    upstream, app = KeyedUpstream(emulator), web.Application()
    app.router.add_route("*", "/{path:.*}", upstream.handle)
    async with listening(app, "127.0.0.1", 0) as url:
        upstream.url = f"{url}/v1"
        yield upstream


def write_key(path: Path, key: str) -> None:
    """Replace the file in one step, as programs that write secrets do."""
    written = path.with_name("written")
    written.write_text(f"{key}\n")
    written.rename(path)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    write_key(path, OLD)
    return path


async def ask(gateway: Gateway, body: dict[str, Any], **headers: str) -> Reply:
    return await gateway.post(body, headers={**GRAPHQL, **headers})


def check_nothing_is_shown(caplog: pytest.LogCaptureFixture, *replies: Reply) -> None:
    for text in (caplog.text, *(reply.body.decode() for reply in replies)):
        assert "own-key" not in text
        assert "*****" not in text


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_of_the_own_key_signs_no_user_out(
    upstream: KeyedUpstream, emulator: Emulator, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    upstream.accepted, upstream.refusal_status = set(), status
    thread_id, assistant_id = await thread_with_question(emulator), await assistant(emulator)
    ids = f'threadId: "{thread_id}", assistantId: "{assistant_id}"'
    run = f"mutation {{ createRun(input: {{{ids}}}) {{ run {{ id }} userErrors {{ code }} }} }}"
    single = {"query": f'{{ thread(id: "{thread_id}") {{ metadata }} }}'}
    async with running_gateway(upstream.url, upstream_api_key=OLD) as gateway:
        replies = [await ask(gateway, body) for body in (CREATE_THREAD, {"query": run}, single)]
        for reply in replies:
            (error,) = reply.json["errors"]
            del error["extensions"]["requestId"]
            assert (error["message"], error["extensions"]) == (SENTENCE, REFUSED)
            assert "WWW-Authenticate" not in reply.headers
        # A write has no data at all, and a read has a null in its place.
        assert [(reply.status, reply.json["data"]) for reply in replies] == [
            (503, None),
            (503, None),
            (200, {"thread": None}),
        ]
        assert (await ask(gateway, CREATE_THREAD, Accept="application/json")).status == 200
        check_nothing_is_shown(caplog, *replies)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors
    assert all(line.startswith(f"the upstream refused the gateway's own key (status {status} of") for line in errors)


async def test_a_refusal_of_the_own_key_within_a_stream_is_told_like_any_other(
    upstream: KeyedUpstream, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.refuses_in_streams = True
    ids = f'threadId: "{await thread_with_question(emulator)}", assistantId: "{await assistant(emulator)}"'
    run = {"query": f"mutation {{ createRun(input: {{{ids}}}) {{ run {{ id }} userErrors {{ code }} }} }}"}
    async with running_gateway(upstream.url, upstream_api_key=OLD) as gateway:
        reply = await ask(gateway, run)
        callers = await ask(gateway, run, Authorization="Bearer somebody-else")
        check_nothing_is_shown(caplog, reply)
    (error,) = reply.json["errors"]
    assert (reply.status, reply.json["data"]) == (503, None)
    assert (error["message"], error["extensions"]["code"]) == (SENTENCE, "UPSTREAM_REFUSED")
    assert callers.json["errors"][0]["extensions"]["code"] != "UPSTREAM_REFUSED"
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(lines) == 1
    assert lines[0].startswith("the upstream refused the gateway's own key (the stream of createRun, request id req_")


@pytest.mark.parametrize(("status", "code"), [(401, "UNAUTHENTICATED"), (403, "FORBIDDEN")])
async def test_a_refusal_of_a_callers_own_credential_stays_the_callers(
    upstream: KeyedUpstream, caplog: pytest.LogCaptureFixture, status: int, code: str
) -> None:
    upstream.accepted, upstream.refusal_status = {OLD}, status
    async with running_gateway(upstream.url, upstream_api_key=OLD) as gateway:
        for body in (ASSISTANTS, CREATE_THREAD):
            reply = await ask(gateway, body, Authorization="Bearer somebody-else")
            assert reply.json["errors"][0]["extensions"]["code"] == code
        assert "errors" not in (await ask(gateway, ASSISTANTS)).json
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_refused_own_key_refuses_subscriptions_and_readiness(
    upstream: KeyedUpstream, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    run = await start_run_without_gateway(emulator)
    upstream.accepted = set()
    async with running_gateway(upstream.url, upstream_api_key=OLD) as gateway:
        async with open_socket(gateway, key=None) as socket:
            for query, variables in ((RUN_STATUS, {"run": run.id}), (THREAD_EVENTS, {"thread": run.thread_id})):
                reader = await (await socket.subscribe(query, **variables)).wait_for_end()
                assert reader.error_codes == ["UPSTREAM_REFUSED"]
        ready = await gateway.get("/readyz")
        assert (ready.status, ready.json["checks"]) == (503, {"upstream": f"UPSTREAM_REFUSED: {SENTENCE}"})
        check_nothing_is_shown(caplog, ready)


async def test_readiness_does_not_depend_on_what_the_own_key_may_do(upstream: KeyedUpstream) -> None:
    upstream.accepted, upstream.refusal_status = set(), 403
    async with running_gateway(upstream.url, upstream_api_key=OLD) as gateway:
        assert (await gateway.get("/readyz")).status == 200
    assert upstream.refused == [OLD]


async def test_a_key_that_changes_during_a_subscription_loses_no_event(
    upstream: KeyedUpstream, emulator: Emulator, key_file: Path
) -> None:
    """The upstream refuses the old key before the file has the new one, as a token that has ended is refused."""
    run = await start_run_without_gateway(emulator)
    async with (
        running_gateway(upstream.url, upstream_api_key_file=str(key_file)) as gateway,
        open_socket(gateway, key=None) as socket,
    ):
        reader = await socket.subscribe(RUN_STATUS, run=run.id)
        await reader.wait_for_event("RunStatusChange", status="QUEUED")
        upstream.accepted = {NEW}
        await until(lambda: OLD in upstream.refused)
        emulator.clock.advance(LONG_SECONDS)
        write_key(key_file, NEW)
        events = await reader.wait_for_completion()
        assert statuses(events)[-1] == "COMPLETED"
        # The same socket, and a new request, use the new key too.
        calls = len(upstream.refused)
        after = await socket.subscribe(ASSISTANTS["query"])
        await after.wait_for_completion()
        assert "errors" not in (await ask(gateway, ASSISTANTS)).json
        assert len(upstream.refused) == calls


async def test_a_bad_file_keeps_the_last_key(
    upstream: KeyedUpstream, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_gateway(upstream.url, upstream_api_key_file=str(key_file)) as gateway:

        async def asks_until(condition: Callable[[Reply], bool]) -> None:
            async with asyncio.timeout(20):
                while not condition(await ask(gateway, ASSISTANTS)):
                    pass

        write_key(key_file, "no key at all")
        await asks_until(lambda reply: "UPSTREAM_API_KEY_FILE cannot be used" in caplog.text)
        assert "errors" not in (await ask(gateway, ASSISTANTS)).json
        write_key(key_file, NEW)
        upstream.accepted = {NEW}
        await asks_until(lambda reply: "errors" not in reply.json)
    assert caplog.text.count("UPSTREAM_API_KEY_FILE cannot be used") == 1


async def test_with_a_new_key_nothing_is_read_that_was_kept_for_the_old_one(
    upstream: KeyedUpstream, emulator: Emulator, key_file: Path
) -> None:
    """In local mode nobody says whether both keys are of one account."""
    await assistant(emulator)
    upstream.accepted = {OLD, NEW}
    async with running_gateway(upstream.url, upstream_api_key_file=str(key_file), gateway_cache=True) as gateway:
        for _ in range(2):
            await ask(gateway, ASSISTANTS)
        assert emulator.counts.by_operation["listAssistants"] == 1
        write_key(key_file, NEW)
        async with asyncio.timeout(20):
            while emulator.counts.by_operation["listAssistants"] < 2:
                assert "errors" not in (await ask(gateway, ASSISTANTS)).json


async def test_serve_takes_the_file(emulator: Emulator, key_file: Path) -> None:
    arguments = ("serve", "--port", "0", "--upstream-url", emulator.url, "--upstream-api-key-file", str(key_file))
    with running_command(*arguments) as (_, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), emulator.session)
        assert (await client.post(ASSISTANTS)).json == {"data": {"assistants": {"nodes": []}}}
