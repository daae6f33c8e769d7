"""Tests that each operation has one line in the log, over every transport, with the right values."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.telemetry.log_fields import OPERATION_FIELDS
from schema.contract.keys import RunKey, ThreadKey, to_global_id
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.log_lines import Line, LogLines, collected_lines
from tests.support.mutations import assistant, thread_with_question
from tests.support.scripted_upstream import SILENCE, ScriptedUpstream, chunked_response, scripted_upstream
from tests.support.subscription_clients import open_socket, open_stream
from tests.support.subscription_gateway import until

OPERATION_LINE = {"timestamp", "level", "logger", "event", "request_id", *OPERATION_FIELDS}


@pytest.fixture
def lines() -> Iterator[LogLines]:
    with collected_lines() as lines:
        yield lines


def values(line: Line, *names: str) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in names)


async def first_line(lines: LogLines, **wanted: object) -> Line:
    """Wait for a line of an operation with these values."""
    await until(lambda: any(wanted.items() <= line.items() for line in lines.operations if "codes" not in line))
    return next(line for line in lines.operations if "codes" not in line and wanted.items() <= line.items())


async def test_a_query_has_one_line_with_what_it_cost(emulator: Emulator, gateway: Gateway, lines: LogLines) -> None:
    thread_id = await thread_with_question(emulator)
    document = "query ReadThread($id: ID!) { thread(id: $id) { messages { nodes { text } } } }"
    assert (await gateway.execute(document, {"id": thread_id}))["data"]["thread"]
    (line,) = lines.take()
    assert set(line) == OPERATION_LINE - {"events", "codes"}
    assert values(line, "event", "level", "operation", "kind", "transport", "outcome") == (
        "operation ended",
        "info",
        "ReadThread",
        "query",
        "http",
        "ok",
    )
    assert values(line, "upstream_calls", "objects") == (1, 2)
    assert 0 < line["duration_ms"] < 60_000
    assert len(line["caller"]) == 12


async def test_two_callers_have_two_digests_and_one_caller_has_one(gateway: Gateway, lines: LogLines) -> None:
    for key in ("one", "one", "other"):
        await gateway.execute("{ __typename }", headers={"Authorization": f"Bearer {key}"})
    one, same, other = (line["caller"] for line in lines.take())
    assert one == same != other


@pytest.mark.parametrize(
    ("request_", "kind", "outcome", "codes"),
    [
        ({"query": "query Q { nonsense }"}, "query", "refused", ["GRAPHQL_VALIDATION_FAILED"]),
        ({"query": "query Q {"}, None, "refused", ["GRAPHQL_PARSE_FAILED"]),
        ({"query": ""}, None, "refused", ["BAD_USER_INPUT"]),
        ([], None, "refused", ["BAD_USER_INPUT"]),
        ({"query": "query Q { a } query R { b }"}, None, "refused", ["BAD_USER_INPUT"]),
        ({"query": "query Q { a }", "operationName": "R"}, None, "refused", ["BAD_USER_INPUT"]),
        (
            {"query": 'subscription Q { runStatus(runId: "x") { status } }'},
            "subscription",
            "refused",
            ["BAD_USER_INPUT"],
        ),
        ({"query": 'query Q { a: run(id: "x") { id } b: run(id: "y") { id } }'}, "query", "errors", ["BAD_USER_INPUT"]),
        (
            {"query": "query Q { assistants(first: 1000) { nodes { id } } }", "variables": {"deep": [[[[]]]]}},
            "query",
            "ok",
            None,
        ),
    ],
)
async def test_a_faulty_request_has_one_line(
    gateway: Gateway, lines: LogLines, request_: object, kind: str | None, outcome: str, codes: list[str] | None
) -> None:
    for accept in ("application/json", "application/graphql-response+json"):
        await gateway.post(request_, headers={"Authorization": AUTHORIZATION, "Accept": accept})
        (line,) = lines.take()
        assert values(line, "kind", "outcome", "codes", "transport") == (kind, outcome, codes, "http")
        assert line["operation"] == (None if kind is None else "Q")


async def test_refusals_before_the_document_have_one_line(gateway: Gateway, lines: LogLines) -> None:
    for send, code in (
        (gateway.post({"query": "{ assistants { nodes { id } } }"}), "UNAUTHENTICATED"),
        (gateway.send("PUT", "/graphql"), "BAD_USER_INPUT"),
        (gateway.post(data=b"{}", headers={"Content-Type": "text/plain", "Authorization": "x"}), "BAD_USER_INPUT"),
        (gateway.get(headers={"Accept": "image/png"}), "BAD_USER_INPUT"),
    ):
        await send
        (line,) = lines.take()
        assert values(line, "outcome", "codes", "operation") == ("refused", [code], None)


async def test_pages_and_health_have_no_line(gateway: Gateway, lines: LogLines) -> None:
    assert (await gateway.get(headers={"Accept": "text/html"})).status == 200
    assert (await gateway.get("/healthz")).status == 200
    assert lines.take() == []


async def test_names_from_clients_have_a_bound(gateway: Gateway, lines: LogLines) -> None:
    await gateway.execute(f"query {'N' * 190} {{ __typename }}")
    await gateway.execute("{ __typename }")
    assert [line["operation"] for line in lines.take()] == ["N" * 100, None]


async def test_an_upstream_that_fails_is_an_outcome(emulator: Emulator, lines: LogLines) -> None:
    thread_id = await thread_with_question(emulator)
    emulator.misbehave("getThread:503")
    async with running_gateway(emulator.url) as gateway:
        await gateway.execute("query Q($id: ID!) { thread(id: $id) { metadata } }", {"id": thread_id})
    (line,) = lines.take()
    assert values(line, "outcome", "codes", "objects") == ("errors", ["UPSTREAM_FAILED"], 0)
    assert line["upstream_calls"] > 1  # those sent again count too


async def test_a_repeated_query_is_known_by_its_missing_objects(emulator: Emulator, lines: LogLines) -> None:
    thread_id = await thread_with_question(emulator)
    async with running_gateway(emulator.url, gateway_cache=True) as gateway:
        for _ in range(2):
            await gateway.data("query Q($id: ID!) { thread(id: $id) { metadata } }", {"id": thread_id})
    assert [values(line, "upstream_calls", "objects") for line in lines.take()] == [(1, 1), (0, None)]


async def leave_after_upstream_call(gateway: Gateway, upstream: ScriptedUpstream, query: str) -> None:
    """Send an operation, and leave once the upstream has its call."""
    sending = asyncio.create_task(gateway.execute(query))
    await until(lambda: len(upstream.requests) > 0)
    sending.cancel()
    await asyncio.wait([sending])


async def test_a_caller_that_leaves_cancels_its_query(lines: LogLines) -> None:
    async with scripted_upstream() as upstream, running_gateway(upstream.url) as gateway:
        upstream.queue_responses(SILENCE)
        await leave_after_upstream_call(gateway, upstream, "query Slow { assistants { nodes { id } } }")
        line = await first_line(lines, operation="Slow")
    assert values(line, "outcome", "kind", "transport", "upstream_calls") == ("cancelled", "query", "http", 1)


async def test_a_mutation_whose_caller_leaves_is_logged_when_it_ends(lines: LogLines) -> None:
    async with scripted_upstream() as upstream, running_gateway(upstream.url) as gateway:
        answered = asyncio.Event()
        body = b'{"id": "thread_1", "object": "thread", "created_at": 1}'
        upstream.queue_responses(chunked_response(answered, body, Content_Type="application/json"))
        mutation = "mutation Leave { createThread(input: {}) { thread { id } } }"
        await leave_after_upstream_call(gateway, upstream, mutation)
        assert lines.operations == []
        answered.set()
        line = await first_line(lines, operation="Leave")
    assert values(line, "outcome", "upstream_calls") == ("ok", 1)
    (audit,) = lines.audit
    assert values(audit, "request_id", "ids", "outcome") == (line["request_id"], ["thread_1"], "ok")


async def test_queries_over_event_streams_and_sockets_have_one_line(gateway: Gateway, lines: LogLines) -> None:
    headers = {"Authorization": AUTHORIZATION, "Accept": "text/event-stream"}
    await gateway.post({"query": "query Q { __typename }"}, headers=headers)
    await gateway.post({"query": "query Q { nonsense }"}, headers=headers)
    async with open_socket(gateway) as socket:
        for query in ("query Q { __typename }", "query Q { nonsense }", "{ a } { b }"):
            await (await socket.subscribe(query)).wait_for_end()
    assert [values(line, "transport", "operation", "outcome") for line in lines.take()] == [
        ("sse", "Q", "ok"),
        ("sse", "Q", "refused"),
        ("websocket", "Q", "ok"),
        ("websocket", "Q", "refused"),
        ("websocket", None, "refused"),
    ]


@pytest.mark.parametrize("transport", ["sse", "websocket"])
@pytest.mark.parametrize("leaves", [False, True])
async def test_a_subscription_has_a_line_for_its_start_and_one_for_its_end(
    emulator: Emulator, gateway: Gateway, lines: LogLines, transport: str, leaves: bool
) -> None:
    thread_id = await thread_with_question(emulator)
    run = await emulator.post(f"/threads/{thread_id}/runs", {"assistant_id": await assistant(emulator)})
    run_id = to_global_id(RunKey(thread_id, run["id"]))
    document = "subscription Follow($id: ID!) { runStatus(runId: $id) { type: __typename cursor status } }"
    async with AsyncExitStack() as stack:
        if transport == "websocket":
            reader = await (await stack.enter_async_context(open_socket(gateway))).subscribe(document, id=run_id)
        else:
            reader = await stack.enter_async_context(open_stream(gateway, document, id=run_id))
        await reader.wait_for_event("RunStatusChange")
        (started,) = lines.operations
        if not leaves:
            emulator.clock.advance(60)
            await reader.wait_for_completion()
    ended = await first_line(lines, event="operation ended")
    for line, event in ((started, "subscription started"), (ended, "operation ended")):
        assert values(line, "event", "operation", "kind", "transport") == (event, "Follow", "subscription", transport)
    assert "outcome" not in started
    assert started["request_id"] == ended["request_id"]
    assert ended["outcome"] == ("cancelled" if leaves else "ok")
    assert ended["events"] == len(reader.events)
    assert len(lines.operations) == 2


async def test_a_subscription_that_does_not_start_has_one_line(gateway: Gateway, lines: LogLines) -> None:
    run_id = to_global_id(RunKey("thread_no", "run_no"))
    document = f'subscription Follow {{ runStatus(runId: "{run_id}") {{ status }} }}'
    async with open_socket(gateway) as socket:
        await (await socket.subscribe(document)).wait_for_end()
    async with open_stream(gateway, document) as stream:
        await stream.wait_for_end()
    for line, transport in zip(lines.take(), ("websocket", "sse"), strict=True):
        assert values(line, "event", "transport", "outcome", "codes") == (
            "operation ended",
            transport,
            "refused",
            ["NOT_FOUND"],
        )


async def test_operations_at_once_keep_their_lines_apart(emulator: Emulator, lines: LogLines) -> None:
    thread_id = await thread_with_question(emulator)
    document = "query Q{0}($id: ID!) {{ node(id: $id) {{ ... on Thread {{ metadata }} }} }}"
    variables = {"id": to_global_id(ThreadKey(thread_id))}
    async with running_gateway(emulator.url, gateway_cache=True) as gateway:
        headers = [{"X-Request-ID": f"request-{number}"} for number in range(20)]
        await asyncio.gather(
            *(gateway.execute(document.format(number), variables, headers[number]) for number in range(20))
        )
    assert {(line["operation"], line["request_id"]) for line in lines.operations} == {
        (f"Q{number}", f"request-{number}") for number in range(20)
    }
    # One call served them all. It carries the id of the one that made it.
    reads = [one for one in emulator.counts.log if one.operation == "getThread"]
    assert len(reads) == sum(line["upstream_calls"] for line in lines.operations) < 20
    ids = {line["request_id"] for line in lines.operations if line["upstream_calls"]}
    assert {one.client_request_id for one in reads} == ids
