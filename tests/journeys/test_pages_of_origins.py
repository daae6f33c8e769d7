"""Pages of all origins, as their browsers send requests: each cell of the table in gateway/README.md."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.server.live.graphql_transport_ws import SUBPROTOCOL
from tests.support.emulator import AUTHORIZATION, KEY, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.graphql import GraphQLClient
from tests.support.pages import table, table_text

LISTED = "http://localhost:*,https://app.example"
PAGES = [cell.strip() for cell in table_text("pages").splitlines()[0].strip("| ").split("|")][1:]
CELLS = [(row[0], page, expected) for row in table("pages") for page, expected in zip(PAGES, row[1:], strict=True)]
QUERY = "{ assistants { nodes { name } } }"
ENDED_TOKEN = "Bearer e30.eyJleHAiOiAxMDAwfQ.c2lnbmVk"
CREDENTIAL = {"Authorization": AUTHORIZATION}


@pytest.fixture
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_gateway(
        emulator.url,
        upstream_api_key=KEY,
        gateway_allowed_origins=LISTED,
        gateway_max_uninitialised_sockets=1,
        gateway_max_body_bytes=10_000,
    ) as gateway:
        yield gateway


def browser_headers(page: str, gateway: Gateway, *, method: str) -> dict[str, str]:
    """Return the headers that a browser adds to a request of a page. A page's own server gets no Origin with a GET."""
    own = gateway.url.removeprefix("http://")
    rebound = own.replace("127.0.0.1", "rebound.example")
    headers = {
        "same origin": {"Origin": gateway.url, "Sec-Fetch-Site": "same-origin"},
        "allowed page of localhost": {"Origin": "http://localhost:5173", "Sec-Fetch-Site": "cross-site"},
        "allowed page of a site": {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
        "other origin": {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"},
        # A browser sends no Sec-Fetch-Site to a server that is neither HTTPS nor of this machine by its name.
        "rebound name": {"Host": rebound, "Origin": f"http://{rebound}"},
        "no browser": {},
    }[page]
    if method == "GET" and page in {"same origin", "rebound name"}:
        del headers["Origin"]
    return headers


async def outcome_of_request(
    gateway: Gateway, page: str, method: str, *, asked: dict[str, str], simple: bool = False, **options: Any
) -> str:
    """Send a request as the page's browser does, with a preflight where it is due, and say what the page gets."""
    headers = browser_headers(page, gateway, method=method)
    is_foreign = headers.get("Sec-Fetch-Site") == "cross-site"
    if is_foreign and not simple:
        preflight = {
            **headers,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": ",".join(sorted(name.lower() for name in asked)),
        }
        allowed = await gateway.send("OPTIONS", "/graphql", headers=preflight)
        if allowed.status != 204:
            assert "Access-Control-Allow-Origin" not in allowed.headers
            assert "GATEWAY_ALLOWED_ORIGINS" in allowed.json["errors"][0]["message"]
            return f"preflight: {allowed.status}"
        assert allowed.headers["Access-Control-Allow-Headers"] == preflight["Access-Control-Request-Headers"]
    reply = await gateway.send(method, "/graphql", headers={**headers, **asked}, **options)
    unreadable = is_foreign and reply.headers.get("Access-Control-Allow-Origin") != headers["Origin"]
    if reply.status == 200:
        assert b'"data"' in reply.body
    return f"{reply.status}, unreadable" if unreadable else "yes" if reply.status == 200 else str(reply.status)


async def outcome_of_socket(gateway: Gateway, page: str, payload: dict[str, str]) -> str:
    headers = browser_headers(page, gateway, method="WebSocket")
    async with gateway.session.ws_connect(
        f"{gateway.url}/graphql", protocols=(SUBPROTOCOL,), headers=headers
    ) as socket:
        await socket.send_json({"type": "connection_init", "payload": payload})
        message = await socket.receive()
        if socket.close_code is None:
            assert json.loads(message.data) == {"type": "connection_ack"}
            return "yes"
        assert str(message.extra).startswith("Unauthorized: " if socket.close_code == 4401 else "Forbidden: ")
        return str(socket.close_code)


JSON_BODY = {"Content-Type": "application/json"}
POST = {"method": "POST", "data": json.dumps({"query": QUERY})}
GET = {"method": "GET", "asked": {}, "simple": True}
REQUESTS: dict[str, dict[str, Any]] = {
    "POST of an operation, with a credential": {**POST, "asked": {**CREDENTIAL, **JSON_BODY}},
    "POST of an operation, without": {**POST, "asked": JSON_BODY},
    "event stream, with a credential": {**POST, "asked": {**CREDENTIAL, **JSON_BODY, "Accept": "text/event-stream"}},
    "GET of a query, without a credential": {**GET, "params": {"query": QUERY}},
    "GET of introspection, without a credential": {**GET, "params": {"query": "{ __schema { queryType { name } } }"}},
    "POST of a form, without a credential": {**GET, "method": "POST", "data": {"query": QUERY}},
}
PAYLOADS = {
    "WebSocket, with a credential": CREDENTIAL,
    "WebSocket, without": {},
    "WebSocket, with a token that has ended": {"Authorization": ENDED_TOKEN},
}


async def outcome(gateway: Gateway, request: str, page: str) -> str:
    if request in PAYLOADS:
        return await outcome_of_socket(gateway, page, PAYLOADS[request])
    return await outcome_of_request(gateway, page, **REQUESTS[request])


@pytest.mark.parametrize(("request_", "page", "expected"), CELLS)
async def test_each_kind_of_page_gets_what_the_table_says(
    gateway: Gateway, request_: str, page: str, expected: str
) -> None:
    assert await outcome(gateway, request_, page) == expected


async def test_without_a_list_a_foreign_pages_socket_brings_its_own_credential(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_api_key=KEY) as gateway:
        for page in ("allowed page of localhost", "other origin"):
            assert await outcome(gateway, "WebSocket, with a credential", page) == "yes"
            assert await outcome(gateway, "WebSocket, without", page) == "4401"
            assert await outcome(gateway, "POST of an operation, with a credential", page) == "preflight: 403"
            assert await outcome(gateway, "GET of a query, without a credential", page) == "401, unreadable"


async def test_a_credential_that_a_foreign_page_makes_up_opens_no_socket_where_calls_need_none(
    emulator: Emulator,
) -> None:
    async with running_gateway(emulator.url, upstream_anonymous=True) as gateway:
        for page in ("allowed page of localhost", "other origin"):
            assert await outcome(gateway, "WebSocket, with a credential", page) == "4401"
        for page in ("same origin", "no browser"):
            assert await outcome(gateway, "WebSocket, without", page) == "yes"


async def test_the_demo_allows_pages_of_localhost_and_no_others(demo_gateway: str, gateway: Gateway) -> None:
    demo = GraphQLClient(demo_gateway, gateway.session)
    for origin, status in (("http://localhost:3000", 204), ("https://app.example", 403), ("null", 403)):
        headers = {"Access-Control-Request-Method": "POST", "Origin": origin}
        assert (await demo.send("OPTIONS", "/graphql", headers=headers)).status == status


ALLOWED, OTHER = "https://app.example", "https://elsewhere.example"
ANSWERS: dict[str, tuple[str, str, int, dict[str, Any]]] = {
    "a response": ("POST", "/graphql", 200, {"json": {"query": QUERY}, "headers": CREDENTIAL}),
    "a refused credential": ("POST", "/graphql", 401, {"json": {"query": QUERY}, "headers": {"Authorization": ""}}),
    "a faulty body": (
        "POST",
        "/graphql",
        400,
        {"data": b"{", "headers": {**CREDENTIAL, "Content-Type": "application/json"}},
    ),
    "a large body": ("POST", "/graphql", 413, {"json": {"query": "x" * 20_000}, "headers": CREDENTIAL}),
    "a form": ("POST", "/graphql", 415, {"data": {"query": QUERY}, "headers": CREDENTIAL}),
    "nothing acceptable": ("POST", "/graphql", 406, {"headers": {**CREDENTIAL, "Accept": "image/png"}}),
    "a wrong method": ("DELETE", "/graphql", 405, {}),
    "a wrong method of another path": ("POST", "/healthz", 405, {}),
    "options without a preflight": ("OPTIONS", "/graphql", 405, {}),
    "an event stream": (
        "POST",
        "/graphql",
        200,
        {"json": {"query": QUERY}, "headers": {**CREDENTIAL, "Accept": "text/event-stream"}},
    ),
    "a streamed subscription": (
        "POST",
        "/graphql",
        200,
        {
            "json": {"query": 'subscription { threadEvents(threadId: "nonsense") { __typename } }'},
            "headers": {**CREDENTIAL, "Accept": "text/event-stream"},
        },
    ),
    "an unknown path": ("GET", "/nonsense", 404, {}),
    "a redirect": ("GET", "/", 302, {}),
    "health": ("GET", "/healthz", 200, {}),
    "the schema": ("GET", "/schema.graphql", 200, {}),
    "GraphiQL": ("GET", "/graphql", 200, {"headers": {"Accept": "text/html"}}),
    "a broken handshake": ("GET", "/graphql", 400, {"headers": {"Upgrade": "websocket", "Connection": "upgrade"}}),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_every_answer_tells_an_allowed_page_that_it_may_read_it(gateway: Gateway, name: str) -> None:
    method, path, status, options = ANSWERS[name]
    for origin in (ALLOWED, "http://localhost:3000", OTHER, "null", None):
        headers = {**options.get("headers", {}), **({"Origin": origin} if origin is not None else {})}
        reply = await gateway.send(method, path, **{**options, "headers": headers})
        assert reply.status == status
        (vary,) = reply.headers.getall("Vary")  # type: ignore[attr-defined]
        assert "Origin" in vary.split(", ")
        if origin in {ALLOWED, "http://localhost:3000"}:
            assert reply.headers["Access-Control-Allow-Origin"] == origin
            assert reply.headers["Access-Control-Expose-Headers"].endswith("Retry-After, X-Request-ID")
        else:
            assert "Access-Control-Allow-Origin" not in reply.headers
        assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_a_handshake_that_is_refused_tells_an_allowed_page_when_to_come_again(gateway: Gateway) -> None:
    handshake = {"Upgrade": "websocket", "Connection": "upgrade", "Origin": ALLOWED}
    async with gateway.session.ws_connect(f"{gateway.url}/graphql", protocols=(SUBPROTOCOL,)):
        reply = await gateway.get(headers=handshake)
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (503, ALLOWED)
    assert "Retry-After" in reply.headers
    assert "Retry-After" in reply.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("path", ["/graphql", "/schema.graphql", "/nonsense"])
async def test_a_preflight_of_an_allowed_page_is_accepted_with_the_headers_that_it_asks_for(
    gateway: Gateway, path: str
) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Origin": ALLOWED}
    reply = await gateway.send(
        "OPTIONS", path, headers={**asked, "Access-Control-Request-Headers": "x-mine,authorization"}
    )
    assert reply.status == 204
    assert reply.body == b""
    assert reply.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert reply.headers["Access-Control-Allow-Headers"] == "x-mine,authorization"
    assert reply.headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert reply.headers["Access-Control-Max-Age"] == "600"
    assert reply.headers["Vary"] == "Access-Control-Request-Headers, Origin"
    assert "Access-Control-Allow-Headers" not in (await gateway.send("OPTIONS", path, headers=asked)).headers


@pytest.mark.parametrize("origin", [OTHER, "null", "https://app.example:8443", "x" * 300])
async def test_a_preflight_of_any_other_page_is_refused_with_the_setting_that_changes_it(
    gateway: Gateway, origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Access-Control-Request-Method": "POST", "Origin": origin}
    with caplog.at_level("INFO", "gateway.server.app"):
        reply = await gateway.send("OPTIONS", "/graphql", headers=headers)
    assert reply.status == 403
    (error,) = reply.json["errors"]
    del error["extensions"]["requestId"]
    assert error["extensions"] == {"code": "FORBIDDEN", "retryable": False}
    assert error["message"].startswith("Expected an Origin that GATEWAY_ALLOWED_ORIGINS names, got ")
    assert len(error["message"]) < 300
    assert [record.getMessage() for record in caplog.records] == [
        f"a preflight request was refused: {error['message']}"
    ]
    assert "Access-Control-Allow-Origin" not in reply.headers
