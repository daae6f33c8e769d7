"""Tests the request id on its way: taken or made, given back, passed on upstream, and shown in errors."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from yarl import URL

from gateway.telemetry.request_ids import is_request_id
from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.log_lines import LogLines, collected_lines
from tests.support.mutations import assistant, thread_with_question
from tests.support.subscription_clients import open_socket
from tests.support.subscription_gateway import SUBPROTOCOL, Socket

HEADER = "X-Request-ID"
READ = "query ($id: ID!) { thread(id: $id) { metadata } }"


@pytest.fixture
def lines() -> Iterator[LogLines]:
    with collected_lines() as lines:
        yield lines


def upstream_ids(emulator: Emulator) -> list[str | None]:
    return [logged.client_request_id for logged in emulator.counts.log]


async def test_a_well_formed_id_is_taken_given_back_and_passed_on(
    emulator: Emulator, gateway: Gateway, lines: LogLines
) -> None:
    thread_id = await thread_with_question(emulator)
    emulator.counts.reset()
    reply = await gateway.post(
        {"query": READ, "variables": {"id": thread_id}}, headers={"Authorization": AUTHORIZATION, HEADER: "trace-7.a"}
    )
    assert reply.headers[HEADER] == "trace-7.a"
    assert "errors" not in reply.json
    assert upstream_ids(emulator) == ["trace-7.a"]
    assert [line["request_id"] for line in lines.operations] == ["trace-7.a"]


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "with space", "ä", "<script>"])
async def test_another_id_is_replaced(emulator: Emulator, gateway: Gateway, lines: LogLines, sent: str | None) -> None:
    thread_id = await thread_with_question(emulator)
    emulator.counts.reset()
    headers = {"Authorization": AUTHORIZATION} | ({} if sent is None else {HEADER: sent})
    reply = await gateway.post({"query": READ, "variables": {"id": thread_id}}, headers=headers)
    made = reply.headers[HEADER]
    assert is_request_id(made)
    assert made != sent
    assert upstream_ids(emulator) == [line["request_id"] for line in lines.operations] == [made]


async def test_each_call_of_an_operation_carries_its_id(emulator: Emulator, gateway: Gateway) -> None:
    thread_id = await thread_with_question(emulator)
    assistant_id = await assistant(emulator)
    emulator.counts.reset()
    query = """mutation ($thread: ID!, $assistant: ID!) {
      createRun(input: {threadId: $thread, assistantId: $assistant}) { run { assistant { name } thread { metadata } } }
    }"""
    variables = {"thread": thread_id, "assistant": assistant_id}
    await gateway.execute(query, variables, {HEADER: "r1"})
    assert set(upstream_ids(emulator)) == {"r1"}
    assert {logged.operation for logged in emulator.counts.log} == {"createRun", "getAssistant", "getThread"}


ERRORS: list[tuple[Any, dict[str, str]]] = [
    ({"query": "{ nonsense }"}, {}),
    ({"query": "{"}, {}),
    ({"query": '{ a: run(id: "x") { id } __typename }'}, {}),
    ([], {}),
    ({"query": "{ assistants { nodes { id } } }"}, {"Authorization": ""}),
    ({"query": "{ nonsense }"}, {"Accept": "text/event-stream"}),
    ({"query": "subscription { runStatus(runId: 7) { status } }"}, {"Accept": "text/event-stream"}),
    ({"query": "{ nonsense }"}, {"Accept": "application/graphql-response+json"}),
    ({"query": "{ a }"}, {"Accept": "image/png"}),
]


@pytest.mark.parametrize(("body", "headers"), ERRORS)
async def test_errors_show_the_id(gateway: Gateway, body: object, headers: dict[str, str]) -> None:
    reply = await gateway.post(body, headers={"Authorization": AUTHORIZATION, HEADER: "seen-here", **headers})
    assert reply.headers[HEADER] == "seen-here"
    assert b'"requestId":"seen-here"' in reply.body


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("PUT", "/graphql"), ("POST", "/healthz"), ("DELETE", "/schema.graphql")]
)
async def test_errors_of_other_addresses_show_the_id(gateway: Gateway, method: str, path: str) -> None:
    reply = await gateway.send(method, path, headers={HEADER: "seen-here"})
    assert reply.headers[HEADER] == "seen-here"
    assert reply.json["errors"][0]["extensions"]["requestId"] == "seen-here"


async def test_every_response_has_an_id(gateway: Gateway) -> None:
    for method, path in (("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/schema.graphql"), ("GET", "/")):
        assert is_request_id((await gateway.send(method, path)).headers[HEADER])
    page = await gateway.get(headers={"Accept": "text/html"})
    assert is_request_id(page.headers[HEADER])


async def test_what_is_no_http_gets_an_id_too(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(gateway.url).port)
    writer.write(b"nonsense\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert f"{HEADER}: ".encode() in answer
    assert b'"requestId":' in answer


async def test_pages_of_other_origins_may_read_the_id(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_allowed_origins="https://app.example") as gateway:
        headers = {"Origin": "https://app.example", "Authorization": AUTHORIZATION}
        reply = await gateway.post({"query": "{ __typename }"}, headers=headers)
        preflight = await gateway.send(
            "OPTIONS",
            "/graphql",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST", HEADER: "p1"},
        )
    assert HEADER in reply.headers["Access-Control-Expose-Headers"]
    assert preflight.json["errors"][0]["extensions"]["requestId"] == preflight.headers[HEADER] == "p1"


async def test_operations_of_a_socket_have_ids_of_their_own(
    emulator: Emulator, gateway: Gateway, lines: LogLines
) -> None:
    thread_id = await thread_with_question(emulator)
    emulator.counts.reset()
    url = f"{gateway.url}/graphql"
    async with gateway.session.ws_connect(url, protocols=(SUBPROTOCOL,), headers={HEADER: "sock"}) as ws:
        assert ws._response.headers[HEADER] == "sock"
        socket = Socket(ws)
        await socket.initialise({"Authorization": AUTHORIZATION})
        for id_, extensions in (("a", {}), ("b", {"requestId": "my.own-id"}), ("c", {"requestId": "not well formed"})):
            await socket.subscribe(id_, READ, variables={"id": thread_id}, extensions=extensions)
            assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]
        await socket.subscribe("d", "{ nonsense }")
        message = await socket.receive()
    assert message["payload"][0]["extensions"]["requestId"] == "sock.4"
    assert [line["request_id"] for line in lines.operations] == ["sock.1", "my.own-id", "sock.3", "sock.4"]
    assert upstream_ids(emulator) == ["sock.1", "my.own-id", "sock.3"]


async def test_what_follows_a_run_carries_the_id_of_the_first_that_follows(
    emulator: Emulator, gateway: Gateway, lines: LogLines
) -> None:
    thread_id = await thread_with_question(emulator)
    run = await emulator.post(f"/threads/{thread_id}/runs", {"assistant_id": await assistant(emulator)})
    emulator.counts.reset()
    document = f"""subscription {{
      runStatus(runId: "{to_global_id(RunKey(thread_id, run["id"]))}") {{ type: __typename cursor status }}
    }}"""
    async with open_socket(gateway) as socket:
        one, other = await socket.subscribe(document), await socket.subscribe(document)
        await asyncio.gather(one.wait_for_event("RunStatusChange"), other.wait_for_event("RunStatusChange"))
        emulator.clock.advance(60)
        await asyncio.gather(one.wait_for_completion(), other.wait_for_completion())
    (carried,) = set(upstream_ids(emulator))
    assert carried in {line["request_id"] for line in lines.operations}
