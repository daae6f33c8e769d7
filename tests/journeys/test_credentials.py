"""Tests which credential each upstream call carries, seen from the upstream."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from graphql import get_introspection_query

from gateway.server.http import operation_runner
from schema.engine import documents
from schema.engine.validation import validate_document
from schema.engine.worker_thread import WorkerThread
from tests.support.emulator import KEY, Emulator
from tests.support.gateway import Gateway, running_command, running_gateway, url_in
from tests.support.graphql import GraphQLClient
from tests.support.subscription_gateway import until

SCHEMA_FILE = Path(__file__).parents[2] / "schema" / "schema.graphql"
BODY = {"query": "{ assistants { nodes { name } } }"}


async def test_each_caller_sees_the_data_of_its_own_credential(gateway: Gateway, emulator: Emulator) -> None:
    for name in ("first", "second"):
        await emulator.post("/assistants", {"model": "gpt-4o", "name": name}, key=name)
    for name in ("first", "second"):
        answer = await gateway.execute(BODY["query"], headers={"Authorization": f"Bearer {name}"})
        assert answer == {"data": {"assistants": {"nodes": [{"name": name}]}}}


async def test_a_caller_without_a_credential_costs_no_upstream_call(gateway: Gateway, emulator: Emulator) -> None:
    for reply in (await gateway.post(BODY), await gateway.get(params=BODY)):
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
        (error,) = reply.json["errors"]
        del error["extensions"]["requestId"]
        assert error["extensions"] == {"code": "UNAUTHENTICATED", "retryable": False}
        assert "Expected an Authorization header" in error["message"]
    assert emulator.counts.total == 0


@pytest.mark.parametrize(
    "query",
    [
        get_introspection_query(),
        "{ __typename }",
        '{ ...Q } fragment Q on Query { __type(name: "Run") { name } }',
        "mutation { __typename }",
    ],
)
async def test_an_operation_that_asks_for_the_schema_alone_needs_no_credential(
    gateway: Gateway, emulator: Emulator, query: str
) -> None:
    for headers in ({}, {"Accept": "text/event-stream"}, {"Authorization": ""}, {"Host": "rebound.example"}):
        reply = await gateway.post({"query": query}, headers=headers)
        assert reply.status == 200
        assert b'"data"' in reply.body
        assert b'"errors"' not in reply.body
    assert (await gateway.get(params={"query": query})).status == (405 if query.startswith("mutation") else 200)
    assert emulator.counts.total == 0


@pytest.mark.parametrize(
    "body",
    [
        {"query": "{ __typename assistants { nodes { name } } }"},
        {"query": "query A { __typename } query B { assistants { nodes { name } } }", "operationName": "B"},
        {"query": "query A { __typename } query B { assistants { nodes { name } } }"},
        {"query": "{ ...Q __typename } fragment Q on Query { upstream { version } }"},
        {"query": 'subscription { runStatus(runId: "x") { __typename } }'},
        {"query": "{ __typename", "variables": {}},
        {"query": "{ __typename }" + " " * 4_100},
        {"query": 1},
    ],
)
async def test_any_other_operation_needs_a_credential(gateway: Gateway, body: object) -> None:
    for headers in ({}, {"Accept": "text/event-stream"}):
        assert (await gateway.post(body, headers=headers)).status == 401


async def test_a_document_that_needs_a_credential_is_not_validated_without_one(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated: list[Any] = []

    def counted(*args: Any, **options: Any) -> Any:
        validated.append(args)
        return validate_document(*args, **options)

    monkeypatch.setattr(documents, "validate_document", counted)
    for count in (1, 300):  # read on the event loop, and in the worker thread
        query = f"{{ assistants {{ nodes {{ {'__typename ' * count} }} }} }}"
        replies = await asyncio.gather(*(gateway.post({"query": query}) for _ in range(3)))
        assert [reply.status for reply in replies] == [401] * 3
    assert (await gateway.get(params={"query": "{ __typename }" + "#" * 4_100})).status == 401
    assert validated == []
    assert (await gateway.post({"query": "{ __typename a: __typename }"})).status == 200
    assert len(validated) == 1


async def test_few_documents_without_a_credential_wait_for_the_worker_thread(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation_runner, "MAX_WAITING_INTROSPECTIONS", 2)
    opened = asyncio.Event()
    waiting = 0
    run = WorkerThread.run

    async def gated(*args: Any) -> Any:
        nonlocal waiting
        waiting += 1
        await opened.wait()
        return await run(*args)

    monkeypatch.setattr(WorkerThread, "run", gated)
    query = "{ " + " ".join(f"a{number}: __typename" for number in range(150)) + " }"
    asked = [asyncio.create_task(gateway.post({"query": query})) for _ in range(2)]
    await until(lambda: waiting == 2)
    refused = await gateway.post({"query": query})
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    opened.set()
    assert [(await reply).status for reply in asked] == [200, 200]
    assert (await gateway.post({"query": query})).status == 200


async def test_the_schema_is_a_file_that_needs_no_credential(gateway: Gateway) -> None:
    reply = await gateway.get("/schema.graphql")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert reply.body.decode() == SCHEMA_FILE.read_text()


async def test_a_credential_that_the_upstream_refuses_is_reported_by_code(gateway: Gateway) -> None:
    answer = await gateway.execute(BODY["query"], headers={"Authorization": "Bearer sk-invalid-private"})
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert "private" not in str(answer)


async def test_the_gateways_own_key_serves_only_this_machine(emulator: Emulator) -> None:
    await emulator.post("/assistants", {"model": "gpt-4o", "name": "own"})
    async with running_gateway(emulator.url, upstream_api_key=KEY) as gateway:
        served = await gateway.post(BODY)
        assert served.json == {"data": {"assistants": {"nodes": [{"name": "own"}]}}}
        same_origin = await gateway.post(BODY, headers={"Origin": gateway.url, "Sec-Fetch-Site": "same-origin"})
        assert same_origin.status == 200
        emulator.counts.reset()
        for headers in (
            {"Host": "rebound.example"},
            {"X-Forwarded-For": "192.0.2.7"},
            {"Forwarded": "for=192.0.2.7"},
            {"Origin": "http://localhost:3000"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            for reply in (await gateway.post(BODY, headers=headers), await gateway.get(params=BODY, headers=headers)):
                assert reply.status == 401, headers
                assert KEY not in str(reply)
        assert emulator.counts.total == 0


async def test_a_caller_with_a_credential_never_uses_the_gateways_own(emulator: Emulator) -> None:
    await emulator.post("/assistants", {"model": "gpt-4o", "name": "own"})
    async with running_gateway(emulator.url, upstream_api_key=KEY) as gateway:
        answer = await gateway.execute(BODY["query"], headers={"Authorization": "Bearer other"})
        assert answer == {"data": {"assistants": {"nodes": []}}}
        empty = await gateway.post(BODY, headers={"Authorization": ""})
        assert empty.status == 401


async def test_an_upstream_without_keys_is_called_without_a_credential(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_anonymous=True) as gateway:
        reply = await gateway.post(BODY)
        assert reply.status == 200
        assert emulator.counts.by_operation["listAssistants"] == 1
        assert reply.json["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("level", ["debug", "info"])
async def test_no_credential_reaches_the_log(emulator: Emulator, tmp_path: Path, level: str) -> None:
    log = tmp_path / "log.txt"
    settings: dict[str, Any] = {"UPSTREAM_URL": emulator.url, "UPSTREAM_API_KEY": "own-private"}
    with running_command("serve", "--port", "0", "--log-level", level, log=log, **settings) as (_, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), emulator.session)
        for headers in (
            {},
            {"Authorization": "Bearer callers-private"},
            {"Authorization": "Bearer sk-invalid-private"},
        ):
            assert (await client.post(BODY, headers=headers)).status == 200
    assert log.read_text().count('"event":"operation ended"') == 3
    assert "private" not in log.read_text() + printed
