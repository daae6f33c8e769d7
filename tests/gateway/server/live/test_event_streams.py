"""Event streams as a client receives them, frame by frame."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.server.http.request_limits import SubscriptionLimits
from gateway.server.live.event_streams import (
    COMPLETE_FRAME,
    HEARTBEAT_FRAME,
    RETRY_FRAME,
    next_frame,
    single_event_response,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.run_events import StatusChange
from tests.support.subscription_gateway import (
    CREDENTIAL,
    DEADLINE_SECONDS,
    STATUS,
    SubscriptionGateway,
    read_frame,
    running_subscription_gateway,
    status,
)
from tests.support.wire_samples import run

LIMITS = SubscriptionLimits()
COMPLETE = {"event": "complete", "data": ""}
STREAM = {**CREDENTIAL, "Accept": "text/event-stream"}


@pytest.fixture
async def gateway() -> AsyncIterator[SubscriptionGateway]:
    async with running_subscription_gateway() as gateway:
        yield gateway
        await gateway.wait_until_idle()


def frames_from_body(body: bytes) -> list[dict[str, str]]:
    return [dict(line.split(": ", 1) for line in frame.splitlines()) for frame in body.decode().split("\n\n") if frame]


def test_a_next_frame_has_a_cursor_only_if_there_is_one() -> None:
    assert next_frame(b'{"data":1}') == b'event: next\ndata: {"data":1}\n\n'
    assert next_frame(b'{"data":1}', "abc=") == b'event: next\nid: abc=\ndata: {"data":1}\n\n'


def test_each_frame_ends_with_an_empty_line_and_complete_has_a_data_line() -> None:
    assert all(frame.endswith(b"\n\n") for frame in (RETRY_FRAME, COMPLETE_FRAME, HEARTBEAT_FRAME))
    assert b"\ndata:" in COMPLETE_FRAME
    assert HEARTBEAT_FRAME.startswith(b":")


def test_a_single_result_is_one_next_and_complete() -> None:
    body = single_event_response({"data": {"text": "two\nlines"}}).body
    assert body == b'event: next\ndata: {"data":{"text":"two\\nlines"}}\n\nevent: complete\ndata: \n\n'


async def test_a_subscription_is_a_stream_of_events_with_their_cursors(gateway: SubscriptionGateway) -> None:
    async with gateway.stream() as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert response.headers["X-Accel-Buffering"] == "no"
        assert "no-store" in response.headers["Cache-Control"]
        assert await response.content.readuntil(b"\n\n") == b":\n\n"
        await gateway.wait_for_feeds()
        gateway.events.push(status("queued"))
        gateway.events.push(status("completed"))
        gateway.events.end()
        for text, cursor in (("QUEUED", "cursor-1"), ("COMPLETED", "cursor-2")):
            frame = await read_frame(response)
            assert (frame["event"], frame["id"]) == ("next", cursor)
            assert json.loads(frame["data"]) == {"data": {"runStatus": {"status": text}}}
        assert await read_frame(response) == COMPLETE
        assert await response.content.read() == b""


async def test_the_feed_begins_after_the_last_event_id(gateway: SubscriptionGateway) -> None:
    async with gateway.stream(**{"Last-Event-ID": "cursor-7"}):
        await gateway.wait_for_feeds()
    async with gateway.stream(**{"Last-Event-ID": ""}):
        await gateway.wait_for_feeds()
    key = RunKey("thread_1", "run_1")
    assert gateway.events.followed == [("status", key, "cursor-7"), ("status", key, None)]


async def test_a_browsers_event_source_sends_a_get(gateway: SubscriptionGateway) -> None:
    async with gateway.session.get(f"{gateway.url}/graphql", params={"query": STATUS}, headers=STREAM) as response:
        await gateway.wait_for_feeds()
        gateway.events.end()
        assert await read_frame(response) == COMPLETE


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("query A { __typename } query B { __typename }", "BAD_USER_INPUT"),
        ("fragment F on Query { __typename }", "BAD_USER_INPUT"),
    ],
)
async def test_a_request_error_stands_in_the_stream(gateway: SubscriptionGateway, query: str, code: str) -> None:
    async with gateway.stream(query) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        first, last = frames_from_body(await response.read())
    body = json.loads(first["data"])
    assert (first["event"], last) == ("next", COMPLETE)
    assert body["errors"][0]["extensions"]["code"] == code
    assert "data" not in body


async def test_a_refused_subscription_is_an_error_in_the_stream(gateway: SubscriptionGateway) -> None:
    gateway.events.refuse = GatewayError(ErrorCode.NOT_FOUND, "No such run.")
    async with gateway.stream() as response:
        first, _ = frames_from_body(await response.read())
    assert json.loads(first["data"])["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_failed_feed_is_an_error_before_complete(gateway: SubscriptionGateway) -> None:
    async with gateway.stream() as response:
        await gateway.wait_for_feeds()
        gateway.events.fail(GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "It is away."))
        assert json.loads((await read_frame(response))["data"])["errors"][0]["message"] == "It is away."
        assert await read_frame(response) == COMPLETE


async def test_a_query_is_one_next_and_complete(gateway: SubscriptionGateway) -> None:
    async with gateway.stream("{ __typename }") as response:
        first, last = frames_from_body(await response.read())
    assert (json.loads(first["data"]), last) == ({"data": {"__typename": "Query"}}, COMPLETE)


@pytest.mark.parametrize(
    ("method", "options", "status"),
    [
        ("POST", {"json": {"query": STATUS}, "headers": {"Accept": "text/event-stream"}}, 401),
        ("POST", {"json": {}, "headers": STREAM}, 400),
        ("POST", {"data": "{}", "headers": {**STREAM, "Content-Type": "text/plain"}}, 415),
        ("GET", {"params": {"query": "mutation { __typename }"}, "headers": STREAM}, 405),
        ("PUT", {"headers": STREAM}, 405),
    ],
)
async def test_a_faulty_http_request_gets_an_http_status(
    gateway: SubscriptionGateway, method: str, options: Any, status: int
) -> None:
    reply = await gateway.send(method, "/graphql", **options)
    assert reply.status == status
    assert reply.json["errors"]


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("application/json, text/event-stream", False),
        ("text/event-stream, application/json", True),
        ("application/json;q=0.5, text/event-stream", True),
        ("application/json, text/event-stream;q=0.5", False),
        ("*/*", False),
        ("text/*, application/json;q=0.1", False),
        ("*/*, text/event-stream;q=0", False),
    ],
)
async def test_a_query_gets_the_type_that_its_accept_header_prefers(
    gateway: SubscriptionGateway, accept: str, streams: bool
) -> None:
    reply = await gateway.post({"query": "{ __typename }"}, headers={**CREDENTIAL, "Accept": accept})
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/event-stream" if streams else "application/json")


async def test_a_subscription_is_a_stream_wherever_a_stream_is_accepted(gateway: SubscriptionGateway) -> None:
    async with gateway.stream(Accept="application/json, text/event-stream;q=0.1") as response:
        await gateway.wait_for_feeds()
        assert response.content_type == "text/event-stream"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/graphql-response+json"])
async def test_a_subscription_without_a_stream_gets_the_right_ways_to_send_it(
    gateway: SubscriptionGateway, accept: str
) -> None:
    reply = await gateway.post({"query": STATUS}, headers={**CREDENTIAL, "Accept": accept})
    assert reply.status == 400
    message = reply.json["errors"][0]["message"]
    assert "graphql-transport-ws" in message
    assert "text/event-stream" in message


async def test_a_client_that_disconnects_leaves_nothing_behind(gateway: SubscriptionGateway) -> None:
    async with gateway.stream():
        await gateway.wait_for_feeds()
    await gateway.wait_until_idle()


async def test_comments_keep_an_idle_stream_open() -> None:
    async with running_subscription_gateway(limits=replace(LIMITS, heartbeat_seconds=0.01)) as gateway:
        async with gateway.stream() as response, asyncio.timeout(DEADLINE_SECONDS):
            for _ in range(3):
                assert await response.content.readuntil(b"\n\n") == b":\n\n"
        await gateway.wait_until_idle()


async def test_a_client_that_reads_nothing_is_disconnected() -> None:
    async with running_subscription_gateway(limits=replace(LIMITS, stalled_client_seconds=0.05)) as gateway:
        query = STATUS.replace("status }", "run { model } }")
        async with gateway.stream(query):
            await gateway.wait_for_feeds()
            heavy = StatusChange(run(status="in_progress", model="x" * 50_000))
            async with asyncio.timeout(DEADLINE_SECONDS):
                while gateway.events.open_feeds:
                    gateway.events.push(heavy)
                    await asyncio.sleep(0)
        await gateway.wait_until_idle()


async def test_a_stop_ends_the_stream_without_complete_so_that_clients_reconnect(gateway: SubscriptionGateway) -> None:
    async with gateway.stream() as response:
        await gateway.wait_for_feeds()
        await gateway.stop()
        assert await read_frame(response) == {"retry": "1000"}
        assert await response.content.read() == b""
    async with gateway.stream() as refused:
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")


async def test_a_stream_ends_when_its_credential_expires(gateway: SubscriptionGateway) -> None:
    claims = base64.urlsafe_b64encode(b'{"exp": %.3f}' % (time.time() + 2)).decode().rstrip("=")
    async with gateway.stream(Authorization=f"Bearer e30.{claims}.sig") as response:
        error = json.loads((await read_frame(response))["data"])["errors"][0]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
        assert await read_frame(response) == COMPLETE
