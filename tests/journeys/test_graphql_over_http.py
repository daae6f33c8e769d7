"""Tests the exact rules of GraphQL over HTTP: npm's audits of it, and the rules that they leave out."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.node import npm_install, run_node

SCRIPT = Path(__file__).parents[1] / "support" / "graphql_http_audit.mjs"
PACKAGES = ("graphql-http@1.23.1", "graphql@16.15.0")
AUDITS = [
    "22EB",
    "4655",
    "47DE",
    "80D8",
    "82A3",
    "BF61",
    "78D5",
    "2C94",
    "5A70",
    "9C48",
    "9ABE",
    "03D4",
    "A5BF",
    "423L",
    "LKJ0",
    "LKJ1",
    "LKJ2",
    "LKJ3",
    "34A2",
    "13EE",
    "6C00",
    "6C01",
    "6C02",
    "6C03",
    "8161",
    "B8B3",
    "94B0",
    "0220",
    "94B1",
    "0221",
    "94B2",
    "0222",
    "4760",
    "4761",
    "4762",
    "4763",
    "2EA1",
    "28B9",
    "D6D5",
    "6A70",
    "58B0",
    "58B1",
    "58B2",
    "58B3",
    "428F",
    "1B7A",
    "B6DC",
    "BCF8",
    "B7N8",
    "8764",
    "3E3A",
    "572B",
    "FDE2",
    "7B9B",
    "865D",
    "556A",
    "D586",
    "51FE",
    "74FF",
    "5E5B",
    "86EE",
]
QUERY = "{ __typename }"
JSON_HEADERS = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"}
GRAPHQL_RESPONSE = "application/graphql-response+json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def audit_results(demo_gateway: str) -> Mapping[str, Mapping[str, str]]:
    done = run_node(SCRIPT, f"{demo_gateway}/graphql", directory=npm_install(PACKAGES))
    assert done.returncode == 0, done.stderr
    return {result["id"]: result for result in json.loads(done.stdout)}


def test_every_audit_is_known_here(audit_results: Mapping[str, Mapping[str, str]]) -> None:
    assert len(AUDITS) == 61
    assert set(audit_results) == set(AUDITS)


@pytest.mark.parametrize("audit", AUDITS)
def test_the_audit_passes(audit_results: Mapping[str, Mapping[str, str]], audit: str) -> None:
    result = audit_results[audit]
    assert result["status"] == "ok", f"{result['name']}: {result.get('reason')}"


def only_error(reply_json: Any) -> dict[str, Any]:
    """Return the only error of a response without data, not even null."""
    assert list(reply_json) == ["errors"]
    (error,) = reply_json["errors"]
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize(
    "query",
    [
        "{",
        "{ nonsense }",
        "query A { __typename } query B { __typename }",
        "fragment F on Query { __typename }",
        "query ($id: ID!) { node(id: $id) { id } }",
        "{" + " __typename" * 20_000 + "}",
        "{ a " * 3_000,
        "{ node(id: 1) { ..." + " ... on Node {" * 2_000,
    ],
    ids=["parsing", "validation", "ambiguous", "no-operation", "variables", "tokens", "nested", "nested-fragments"],
)
async def test_an_operation_that_cannot_run_gets_a_status_or_only_errors(gateway: Gateway, query: str) -> None:
    for accept, status in (("application/json", 200), (GRAPHQL_RESPONSE, 400)):
        reply = await gateway.post({"query": query}, headers={**JSON_HEADERS, "Accept": accept})
        assert reply.status == status, reply.body
        assert reply.headers["Content-Type"] == f"{accept}; charset=utf-8"
        assert only_error(reply.json)["extensions"]["code"] != "INTERNAL"


async def test_several_operations_in_one_document_are_chosen_by_name(gateway: Gateway) -> None:
    query = "query A { a: __typename } query B { b: __typename }"
    assert await gateway.execute(query, operation_name="B") == {"data": {"b": "Query"}}
    refused = await gateway.execute(query, operation_name="C")
    expected = "Expected 'operationName' to name an operation of the document"
    assert only_error(refused)["message"] == f'{expected}, got "C".'


async def test_a_get_carries_its_parameters_in_the_query_string(gateway: Gateway) -> None:
    parameters = {
        "query": "query A($id: ID!) { node(id: $id) { id } } query B { __typename }",
        "operationName": "B",
        "variables": '{"id": "x"}',
    }
    reply = await gateway.get(params=parameters, headers=JSON_HEADERS)
    assert (reply.status, reply.json) == (200, {"data": {"__typename": "Query"}})
    broken = await gateway.get("/graphql?query=%ff", headers=JSON_HEADERS)
    assert broken.status == 400
    assert "in UTF-8" in only_error(broken.json)["message"]


async def test_a_mutation_by_get_is_refused_and_named(gateway: Gateway) -> None:
    for accept in ("application/json", GRAPHQL_RESPONSE):
        reply = await gateway.get(params={"query": "mutation { x }"}, headers={**JSON_HEADERS, "Accept": accept})
        assert (reply.status, reply.headers["Allow"]) == (405, "POST")
        assert only_error(reply.json)["message"] == "Expected a query by GET, got a mutation: send it by POST."


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_another_method_is_told_which_are_allowed(gateway: Gateway, method: str) -> None:
    reply = await gateway.send(method, "/graphql")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, POST")
    assert not [name for name in reply.headers if name.lower().startswith("access-control-")]


async def test_an_accept_header_that_no_type_satisfies_gets_406(gateway: Gateway) -> None:
    reply = await gateway.post({"query": QUERY}, headers={**JSON_HEADERS, "Accept": "text/plain"})
    assert reply.status == 406
    assert "got 'text/plain'" in only_error(reply.json)["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ],
)
async def test_a_body_that_a_page_of_another_site_could_send_or_that_unpacks_is_not_read(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    body = gzip.compress(b'{"query": "{ __typename }"}')
    reply = await gateway.post(data=body, headers={"Authorization": AUTHORIZATION, **headers})
    assert reply.status == 415
    assert only_error(reply.json)["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_browser_gets_a_page_where_a_program_gets_json(gateway: Gateway) -> None:
    page = await gateway.get(headers={"Accept": BROWSER})
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<title>Threads gateway</title>" in page.body
    program = await gateway.get(headers=JSON_HEADERS)
    assert program.status == 400
    assert "Expected a parameter 'query'" in only_error(program.json)["message"]


async def test_without_graphiql_a_browser_gets_json(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_graphiql=False) as gateway:
        reply = await gateway.get(headers={"Accept": BROWSER, "Authorization": AUTHORIZATION})
        assert (reply.status, reply.headers["Content-Type"]) == (400, "application/json; charset=utf-8")


async def test_no_response_is_cached_or_sniffed(gateway: Gateway) -> None:
    for reply in (await gateway.post({"query": QUERY}), await gateway.post({"query": QUERY}, headers=JSON_HEADERS)):
        assert reply.headers["Cache-Control"] == "private, no-store"
        assert reply.headers["Vary"] == "Accept, Authorization, Origin"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.fixture
async def strict(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_gateway(emulator.url, gateway_max_body_bytes=100, gateway_body_timeout_seconds=0.05) as gateway:
        yield gateway


async def test_a_body_over_the_limit_is_413_however_it_is_sent(strict: Gateway) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 10

    for body in (b" " * 101, chunks()):
        reply = await strict.post(data=body, headers=JSON_HEADERS)
        assert reply.status == 413
        assert only_error(reply.json)["message"] == "Expected a body of at most 100 bytes, got more."
    allowed = await strict.post(data=json.dumps({"query": QUERY}).encode().ljust(100), headers=JSON_HEADERS)
    assert allowed.status == 200


async def exchange(gateway: Gateway, *pieces: bytes) -> tuple[int, bytes]:
    """Send bytes on a socket that stays open, and return the status and body of the first response."""
    parts = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        return int(head.split()[1]), await reader.readexactly(length)
    finally:
        writer.close()
        await writer.wait_closed()


HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"Content-Length: 50\r\n\r\n{", 408),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408),
        (b"Content-Length: 99999999999\r\n\r\n{", 413),
        (b"Content-Length: 0\r\n\r\n", 400),
        (b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 415),
    ],
    ids=["too-slow", "too-slow-chunked", "length-too-great", "empty", "bad-gzip"],
)
async def test_a_body_that_lies_or_never_comes_gets_a_json_response(strict: Gateway, rest: bytes, status: int) -> None:
    answered, body = await exchange(strict, HEAD + rest)
    assert answered == status, body
    assert only_error(json.loads(body))["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "rest",
    [b'Content-Length: 4\r\n\r\n{"query": "{ __typename }"}', b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{\r\n"],
    ids=["length-too-small", "bad-chunk"],
)
async def test_bytes_that_are_not_http_are_refused_by_the_server_itself(strict: Gateway, rest: bytes) -> None:
    status, body = await exchange(strict, HEAD + rest)
    assert status == 400
    assert b"<html" not in body
    assert b"Traceback" not in body


async def test_a_body_may_come_in_pieces(gateway: Gateway) -> None:
    body = json.dumps({"query": QUERY}).encode()
    head = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
    assert await exchange(gateway, head, body[:5], body[5:]) == (200, b'{"data":{"__typename":"Query"}}')


async def test_a_long_document_fits_into_a_get(gateway: Gateway) -> None:
    query = "{" + " __typename" * 1500 + "}"
    reply = await gateway.get(params={"query": query}, headers=JSON_HEADERS)
    assert reply.status == 200
