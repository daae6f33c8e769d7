"""The production profile: the checks of graphql-cop as tests of our own, and what each setting turns on again.

Source of the checks: https://github.com/dolevf/graphql-cop. It sends each with and without a credential.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import Gateway, running_command, running_gateway
from tests.support.subscription_gateway import SUBPROTOCOL

CREDENTIAL = {"Authorization": AUTHORIZATION}
INTROSPECTION = "query cop { __schema { types { name fields { name } } } }"
CIRCULAR = (
    "query cop { __schema { types { fields { type { fields { type { fields { type { fields { type { name } } } } } } "
    "} } } } }"
)
SUGGESTED = [
    "query cop { __schema { directive } }",
    "{ assistant { id } }",
    "{ assistants { nodez { id } } }",
    '{ thread(id: "a") }',
    '{ thread(idd: "a") { id } }',
    "query ($a: Sting) { __typename }",
    "{ assistants(first: 1, ordr: ASC) { nodes { id } } }",
    'mutation { createMessage(input: { threadId: "a", contnt: [] }) { clientMutationId } }',
    'mutation { createMessage(input: { threadId: "a", role: USR, content: [] }) { clientMutationId } }',
]
VARIABLES = {"query": "mutation ($i: CreateMessageInput!) { createMessage(input: $i) { clientMutationId } }"}


@pytest.fixture(params=[CREDENTIAL, {}], ids=["credential", "anonymous"])
def headers(request: pytest.FixtureRequest) -> dict[str, str]:
    found: dict[str, str] = request.param
    return found


@pytest.fixture
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_gateway(emulator.url, gateway_profile="production") as gateway:
        yield gateway


def data(body: Any) -> Any:
    return body.get("data") if isinstance(body, dict) else body


@pytest.mark.parametrize(
    "query",
    [
        "query cop { " + " ".join(f"alias{number}:__typename \n" for number in range(101)) + " }",
        "query cop { " + "__typename \n" * 500 + "} ",
        "query cop { __typename " + "@aa" * 10 + " }",
        CIRCULAR,
        INTROSPECTION,
        "query cop { ...F } fragment F on Query { __schema { queryType { name } } }",
        'query cop { __type(name: "Query") { name } }',
    ],
    ids=["aliases", "duplication", "directives", "circular", "introspection", "fragment", "type"],
)
async def test_it_is_refused_with_few_errors(gateway: Gateway, headers: dict[str, str], query: str) -> None:
    reply = await gateway.post({"query": query}, headers=headers)
    assert data(reply.json) is None
    assert len(reply.json["errors"]) <= 2


async def test_batches_are_refused(gateway: Gateway, headers: dict[str, str]) -> None:
    reply = await gateway.post([{"query": "query cop { __typename }"}] * 10, headers=headers)
    assert reply.status in {400, 401}
    assert isinstance(reply.json, dict)


@pytest.mark.parametrize("query", SUGGESTED)
async def test_no_error_suggests_a_name(gateway: Gateway, query: str) -> None:
    for variables in (None, {"a": 1}):
        reply = await gateway.post({"query": query, "variables": variables}, headers=CREDENTIAL)
        assert reply.json["errors"]
        assert b"Did you mean" not in reply.body


@pytest.mark.parametrize(
    "given",
    [{"threadId": "a", "content": [], "rol": "USER"}, {"threadId": "a", "role": "USR", "content": [{"text": "a"}]}],
)
async def test_no_error_of_a_variable_suggests_a_name(gateway: Gateway, emulator: Emulator, given: Any) -> None:
    body = {**VARIABLES, "variables": {"i": given}}
    reply = await gateway.post(body, headers=CREDENTIAL)
    assert reply.json["errors"]
    assert b"Did you mean" not in reply.body
    async with running_gateway(emulator.url, gateway_profile="production", gateway_suggestions=True) as suggesting:
        assert b"Did you mean" in (await suggesting.post(body, headers=CREDENTIAL)).body


async def test_no_error_over_a_websocket_suggests_a_name(gateway: Gateway) -> None:
    async with gateway.session.ws_connect(f"{gateway.url}/graphql", protocols=(SUBPROTOCOL,)) as socket:
        await socket.send_json({"type": "connection_init", "payload": CREDENTIAL})
        await socket.receive_json()
        for query in (*SUGGESTED, "subscription { runStats { status } }", 'subscription { runStatus(runid: "a") }'):
            await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
            message = await socket.receive_json()
            assert message["type"] == "error"
            assert "Did you mean" not in str(message)


@pytest.mark.parametrize(
    "query",
    [
        "{ alias: __schema { queryType { name } } }",
        "query { ...F } fragment F on Query { ... on Query { __schema { queryType { name } } } }",
        '{ __typename alias: __type(name: "Query") { name } }',
        "subscription { __schema { queryType { name } } }",
    ],
)
async def test_no_transport_shows_the_schema(gateway: Gateway, query: str) -> None:
    stream = await gateway.post({"query": query}, headers={**CREDENTIAL, "Accept": "text/event-stream"})
    assert b"GATEWAY_INTROSPECTION allows it" in stream.body
    assert b'"data"' not in stream.body
    async with gateway.session.ws_connect(f"{gateway.url}/graphql", protocols=(SUBPROTOCOL,)) as socket:
        await socket.send_json({"type": "connection_init", "payload": CREDENTIAL})
        await socket.receive_json()
        await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
        message = await socket.receive_json()
    assert message["type"] == "error"
    assert "GATEWAY_INTROSPECTION allows it" in str(message)


async def test_queries_and_mutations_by_get_are_refused(gateway: Gateway, headers: dict[str, str]) -> None:
    for query in ("query cop {__typename}", "mutation cop {__typename}", "{__typename}"):
        reply = await gateway.get(params={"query": query}, headers=headers)
        assert reply.status in {401, 405}
        assert data(reply.json) is None


async def test_forms_are_refused(gateway: Gateway, headers: dict[str, str]) -> None:
    for query in ("query cop {__typename}", "mutation cop {__typename}"):
        reply = await gateway.post(data={"query": query}, headers=headers)
        assert reply.status in {401, 415}
        assert data(reply.json) is None


async def test_there_is_no_graphiql_no_schema_and_no_tracing(gateway: Gateway, headers: dict[str, str]) -> None:
    browser = await gateway.get(headers={**headers, "Accept": "text/html"})
    assert browser.status == 406
    for path in ("/graphiql", "/playground", "/console", "/altair", "/schema.graphql"):
        assert (await gateway.get(path, headers=headers)).status == 404
    answer = await gateway.post({"query": "query cop { __typename }"}, headers=headers)
    assert answer.json == {"data": {"__typename": "Query"}}


async def test_an_error_shows_no_stack(gateway: Gateway, headers: dict[str, str]) -> None:
    for body in ({"query": "qwerty cop { abc }"}, {"query": 1}, {}):
        reply = await gateway.post(body, headers=headers)
        assert not re.search(rb"Traceback|\.py|exception", reply.body)


@pytest.mark.parametrize(
    ("setting", "probe"),
    [
        ("gateway_introspection", {"json": {"query": INTROSPECTION}}),
        ("gateway_get_queries", {"params": {"query": "{__typename}"}}),
        ("gateway_suggestions", {"json": {"query": "{ asistants { nodes { id } } }"}}),
        ("gateway_graphiql", {"accept": "text/html"}),
    ],
)
@pytest.mark.parametrize("profile", ["development", "production"])
async def test_each_part_follows_the_profile_and_can_be_set(
    emulator: Emulator, profile: str, setting: str, probe: dict[str, Any]
) -> None:
    async def is_on(**settings: Any) -> bool:
        async with running_gateway(emulator.url, gateway_profile=profile, **settings) as gateway:
            if "accept" in probe:
                return (await gateway.get(headers={"Accept": probe["accept"]})).status == 200
            method = "POST" if "json" in probe else "GET"
            reply = await gateway.send(method, "/graphql", headers=CREDENTIAL, **probe)
            if setting == "gateway_suggestions":
                return b"Did you mean" in reply.body
            if setting == "gateway_introspection":
                assert (await gateway.get("/schema.graphql")).status == (200 if "errors" not in reply.json else 404)
            return "errors" not in reply.json

    assert await is_on() is (profile == "development")
    assert await is_on(**{setting: True})
    assert not await is_on(**{setting: False})


OFF = "Profile production: GraphiQL, introspection, suggestions, queries by GET off."


@pytest.mark.parametrize(
    ("arguments", "line", "has_page"),
    [
        (("serve",), OFF, False),
        (("serve", "--profile", "development"), "Profile development: nothing off.", True),
        (("serve", "--graphiql", "true"), "production: introspection, suggestions, queries by GET off.", True),
        (("demo", "--emulator-port", "0"), "Profile development: nothing off.", True),
        (("demo", "--emulator-port", "0", "--profile", "production"), OFF, False),
    ],
)
def test_a_command_says_its_profile(arguments: tuple[str, ...], line: str, has_page: bool) -> None:
    with running_command(*arguments, "--port", "0", UPSTREAM_URL="http://127.0.0.1:1/v1") as (_, printed):
        assert line in printed
        assert ("GraphiQL   http" in printed) is has_page
