"""Trusted documents over every transport, and nothing else where only they run."""

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.documents.trusted_documents import DocumentsOnly, TrustedDocuments, hash_text
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import running_command, running_gateway, url_in
from tests.support.graphql import GraphQLClient, Reply
from tests.support.subscription_gateway import (
    CREDENTIAL,
    STATUS,
    SubscriptionGateway,
    read_frame,
    running_subscription_gateway,
    status,
    until,
)

QUERY = "query Kind { __typename }"
OTHER = "query Other { __typename }"
DOCUMENTS = {"kind": QUERY, "status": STATUS}
GRAPHQL_RESPONSE = {**CREDENTIAL, "Accept": "application/graphql-response+json"}
EVENTS = {**CREDENTIAL, "Accept": "text/event-stream"}
KIND = {"data": {"__typename": "Query"}}


def persisted(sha256_hash: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256_hash}}


NAMES: list[dict[str, Any]] = [
    {"documentId": "kind"},
    {"documentId": f"sha256:{hash_text(QUERY)}"},
    {"extensions": persisted(hash_text(QUERY))},
    {"query": None, "documentId": "kind", "extensions": persisted(hash_text(QUERY))},
    {"query": QUERY, "documentId": "kind"},
    {"query": "", "documentId": "kind"},
]
UNTRUSTED: list[dict[str, Any]] = [
    {"query": OTHER},
    {"documentId": "other"},
    {"extensions": persisted(hash_text(OTHER))},
    {"query": OTHER, "extensions": persisted(hash_text(OTHER))},
    {"query": QUERY + " "},
    {"query": "{ __schema { queryType { name } } }"},
]


@pytest.fixture(params=["off", "on"])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[SubscriptionGateway]:
    policy = DocumentPolicy(TrustedDocuments(DOCUMENTS), DocumentsOnly(request.param))
    async with running_subscription_gateway(documents=policy) as gateway:
        yield gateway
        await gateway.wait_until_idle()


@pytest.fixture
async def strict() -> AsyncIterator[SubscriptionGateway]:
    policy = DocumentPolicy(TrustedDocuments(DOCUMENTS), DocumentsOnly.ON)
    async with running_subscription_gateway(documents=policy) as gateway:
        yield gateway
        await gateway.wait_until_idle()


async def get(gateway: GraphQLClient, parameters: dict[str, Any], headers: dict[str, str] = CREDENTIAL) -> Reply:
    given = {name: value for name, value in parameters.items() if value}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    return await gateway.get(params=texts, headers=headers)


def code(body: Any) -> str:
    (error,) = body["errors"]
    found: str = error["extensions"]["code"]
    return found


@pytest.mark.parametrize("named", NAMES)
async def test_a_trusted_document_runs_by_its_id_over_every_transport(
    gateway: SubscriptionGateway, named: dict[str, Any]
) -> None:
    assert (await gateway.post(named, headers=CREDENTIAL)).json == KIND
    assert (await get(gateway, named)).json == KIND
    for reply in (await gateway.post(named, headers=EVENTS), await get(gateway, named, EVENTS)):
        assert reply.body.startswith(b'event: next\ndata: {"data":{"__typename":"Query"}}\n')
    async with gateway.initialised() as socket:
        await socket.send(type="subscribe", id="1", payload=named)
        assert await socket.receive() == {"type": "next", "id": "1", "payload": KIND}


async def test_a_subscription_runs_by_its_id(gateway: SubscriptionGateway) -> None:
    async with (
        gateway.session.post(f"{gateway.url}/graphql", json={"documentId": "status"}, headers=EVENTS) as response,
        gateway.initialised() as socket,
    ):
        await socket.send(type="subscribe", id="1", payload={"documentId": "status"})
        await gateway.wait_for_feeds(2)
        gateway.events.push(status("queued"))
        gateway.events.end()
        queued = {"data": {"runStatus": {"status": "QUEUED"}}}
        assert json.loads((await read_frame(response))["data"]) == queued
        assert (await socket.receive())["payload"] == queued


@pytest.mark.parametrize("other", UNTRUSTED)
async def test_with_on_no_other_document_runs_by_any_transport(
    strict: SubscriptionGateway, other: dict[str, Any]
) -> None:
    for headers in (CREDENTIAL, GRAPHQL_RESPONSE):
        for reply in (await strict.post(other, headers=headers), await get(strict, other, headers)):
            assert (reply.status, code(reply.json)) == (403, "DOCUMENT_NOT_TRUSTED")
    for reply in (await strict.post(other, headers=EVENTS), await get(strict, other, EVENTS)):
        assert reply.status == 200
        event, end = reply.body.split(b"\n\n", 1)
        assert code(json.loads(event.partition(b"data: ")[2])) == "DOCUMENT_NOT_TRUSTED"
        assert end.startswith(b"event: complete")
    async with strict.initialised() as socket:
        await socket.send(type="subscribe", id="1", payload=other)
        refused = await socket.receive()
        assert (refused["type"], code({"errors": refused["payload"]})) == ("error", "DOCUMENT_NOT_TRUSTED")
        await socket.send(type="subscribe", id="1", payload={"documentId": "kind"})
        assert (await socket.receive())["payload"] == KIND


async def test_nothing_is_registered(strict: SubscriptionGateway) -> None:
    for _ in range(2):
        assert (await strict.post(UNTRUSTED[3], headers=CREDENTIAL)).status == 403
        assert (await strict.post({"documentId": hash_text(OTHER)}, headers=CREDENTIAL)).status == 403


@pytest.mark.parametrize(
    ("documents", "message", "expected"),
    [
        (DOCUMENTS, "PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND"),
        ({}, "PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED"),
    ],
)
async def test_an_unknown_hash_is_answered_so_that_links_send_the_text(
    documents: dict[str, str], message: str, expected: str
) -> None:
    body = {"extensions": persisted(hash_text(OTHER))}
    async with running_subscription_gateway(documents=DocumentPolicy(TrustedDocuments(documents))) as gateway:
        for headers, http_status in ((CREDENTIAL, 200), (GRAPHQL_RESPONSE, 400)):
            for reply in (await gateway.post(body, headers=headers), await get(gateway, body, headers)):
                assert (reply.status, code(reply.json)) == (http_status, expected)
                assert reply.json["errors"][0]["message"] == message
        async with gateway.initialised() as socket:
            await socket.send(type="subscribe", id="1", payload=body)
            assert (await socket.receive())["payload"][0]["message"] == message
        assert (await gateway.post({"query": OTHER, **body}, headers=CREDENTIAL)).json == KIND
        assert (await gateway.post(body, headers=CREDENTIAL)).json["errors"][0]["message"] == message


async def test_a_text_and_a_hash_of_different_documents_are_refused(gateway: SubscriptionGateway) -> None:
    body = {"query": QUERY, "extensions": persisted(hash_text(OTHER))}
    for headers in (CREDENTIAL, GRAPHQL_RESPONSE):
        reply = await gateway.post(body, headers=headers)
        assert (reply.status, code(reply.json)) == (400, "PERSISTED_QUERY_HASH_MISMATCH")


async def test_a_caller_without_a_credential_learns_nothing_of_the_documents(gateway: SubscriptionGateway) -> None:
    assert (await gateway.post({"documentId": "status"})).status == 401
    assert (await gateway.post({"documentId": "other"})).status == 401


async def test_where_get_takes_no_text_it_takes_an_id() -> None:
    policy = DocumentPolicy(TrustedDocuments(DOCUMENTS), allows_text_by_get=False)
    async with running_subscription_gateway(documents=policy) as gateway:
        assert (await get(gateway, {"documentId": "kind"})).json == KIND
        assert (await get(gateway, {"extensions": persisted(hash_text(QUERY))})).json == KIND
        refused = await get(gateway, {"query": QUERY, "documentId": "kind"})
        assert (refused.status, refused.headers["Allow"]) == (405, "POST")
        assert "GATEWAY_GET_QUERIES allows it" in refused.json["errors"][0]["message"]


async def test_documents_are_warm_from_the_start_and_a_bad_one_is_told(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    nested = "query Nested($id: ID!) { thread(id: $id) { id messages(last: 5) { nodes { id run { id status } } } } }"
    documents = {"nested": nested, "bad": "{ missing }"}
    (tmp_path / "documents.json").write_text(json.dumps(documents))
    async with running_gateway(emulator.url, gateway_documents=str(tmp_path), gateway_documents_only="on") as gateway:
        assert "the document \"bad\": the schema refuses it: Cannot query field 'missing'" in caplog.text
        parsed: list[str] = []
        monkeypatch.setattr("schema.engine.documents.parse_document", lambda text, **_: parsed.append(text))
        body = {"documentId": "nested", "variables": {"id": "thread_none"}}
        reply = await gateway.post(body, headers={"Authorization": AUTHORIZATION})
        assert reply.status == 200
        assert "data" in reply.json
        assert parsed == []


def write(file: Path, documents: dict[str, str]) -> None:
    """Write a file as a deployment does: in one step."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(documents))
    new.replace(file)


async def test_a_served_gateway_follows_its_file_and_sighup(tmp_path: Path) -> None:
    file, log = tmp_path / "documents.json", tmp_path / "log"
    write(file, {"a": QUERY})
    arguments = ("--port", "0", "--documents", str(file), "--documents-only", "on")
    with running_command("serve", *arguments, log=log, UPSTREAM_URL="http://127.0.0.1:1/v1") as (process, printed):
        assert f"Only the documents of {file} run." in printed
        async with aiohttp.ClientSession() as session:
            client = GraphQLClient(url_in(printed, "GraphQL"), session)

            async def status_of(id_: str) -> int:
                return (await client.post({"documentId": id_}, headers=CREDENTIAL)).status

            assert [await status_of("a"), await status_of("b")] == [200, 403]
            write(file, {"b": QUERY})
            os.kill(process.pid, signal.SIGHUP)
            while await status_of("b") != 200:
                pass
            assert await status_of("a") == 403
            file.write_text("{")
            os.kill(process.pid, signal.SIGHUP)
            await until(lambda: "the former 1 stay: Expected JSON in documents.json" in log.read_text())
            assert await status_of("b") == 200
            write(file, {"c": QUERY})
            while await status_of("c") != 200:
                pass
            assert process.poll() is None


async def test_sighup_ends_no_gateway_without_documents(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running_command("serve", "--port", "0", log=log, UPSTREAM_URL="http://127.0.0.1:1/v1") as (process, printed):
        os.kill(process.pid, signal.SIGHUP)
        await until(lambda: "SIGHUP" in log.read_text())
        async with aiohttp.ClientSession() as session:
            client = GraphQLClient(url_in(printed, "GraphQL"), session)
            assert (await client.post({"query": QUERY}, headers=CREDENTIAL)).status == 200
        assert process.poll() is None
