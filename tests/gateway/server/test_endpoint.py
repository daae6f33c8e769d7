import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import strawberry
from aiohttp import web

from gateway.identity.credentials import Keys
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.app import OPERATIONS, create_app, listening
from gateway.server.endpoint import GraphQLEndpoint
from gateway.server.health import ReadinessProbe
from schema.contract.ports import ThreadsApi
from schema.engine.context import Context
from schema.operations.gateway_schema import GatewaySchema, OperationLimits
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.graphql import GraphQLClient

LIMITS = OperationLimits(max_tokens=1_000, max_upstream_calls=10)
HEADERS = {"Authorization": "Bearer x", "Content-Type": "application/json"}


class Gate:
    """An operation under way: says when it has begun and how it ended, and ends when it is let."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.let = asyncio.Event()
        self.over = asyncio.Event()
        self.outcome = "none"

    async def passed(self) -> str:
        self.begun.set()
        try:
            await self.let.wait()
            self.outcome = "finished"
        except asyncio.CancelledError:
            self.outcome = "cancelled"
            raise
        finally:
            self.over.set()
        return self.outcome


def gated_schema(gate: Gate) -> GatewaySchema:
    @strawberry.type
    class Query:
        @strawberry.field
        async def wait(self) -> str:
            return await gate.passed()

        @strawberry.field
        def quick(self) -> str:
            return "quick"

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        async def write(self) -> str:
            return await gate.passed()

    return GatewaySchema(Query, Mutation, limits=LIMITS)


def fake_api(_: Principal) -> ThreadsApi:
    return FakeThreadsApi()


@asynccontextmanager
async def serving(
    schema: GatewaySchema, bind: Callable[[Principal], ThreadsApi] = fake_api
) -> AsyncIterator[tuple[GraphQLClient, web.Application]]:
    endpoint = GraphQLEndpoint(schema, bind, keys=Keys(), upstream=UpstreamIdentity("http://upstream.test"))

    async def never_asked() -> None:
        raise AssertionError

    app = create_app(endpoint, ReadinessProbe(never_asked, is_stopping=lambda: endpoint.operations.stopping))
    async with listening(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        yield GraphQLClient(url, session), app


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def leave_in_the_middle(client: GraphQLClient, gate: Gate, query: str) -> None:
    """Send an operation and go away, connection and all, once it has begun."""
    async with aiohttp.ClientSession() as session:
        leaving = GraphQLClient(client.url, session)
        asked = asyncio.create_task(leaving.post({"query": query}, headers=HEADERS))
        await gate.begun.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


async def test_a_query_ends_when_its_caller_leaves(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        await leave_in_the_middle(client, gate, "{ wait }")
        await gate.over.wait()
        assert gate.outcome == "cancelled"
        await app[OPERATIONS].stop(10)
        assert len(app[OPERATIONS]) == 0


async def test_a_mutation_is_finished_when_its_caller_leaves(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        await leave_in_the_middle(client, gate, "mutation { write }")
        stopping = asyncio.create_task(app[OPERATIONS].stop(10))
        gate.let.set()
        await stopping
        assert gate.outcome == "finished"


async def test_a_stopping_gateway_finishes_what_it_began_and_takes_nothing_new(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        asked = asyncio.create_task(client.post({"query": "{ wait }"}, headers=HEADERS))
        await gate.begun.wait()
        stopping = asyncio.create_task(app[OPERATIONS].stop(10))
        await asyncio.sleep(0)
        refused = await client.post({"query": "{ quick }"}, headers=HEADERS)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json["errors"][0]["extensions"]["retryable"] is True
        assert (await client.get("/readyz")).status == 503
        assert (await client.get("/healthz")).status == 200
        gate.let.set()
        assert (await asked).json == {"data": {"wait": "finished"}}
        await stopping


async def test_an_operation_that_the_stop_ends_is_answered(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        asked = asyncio.create_task(client.post({"query": "{ wait }"}, headers=HEADERS))
        await gate.begun.wait()
        await app[OPERATIONS].stop(0)
        reply = await asked
        assert reply.status == 503
        assert reply.json["errors"][0]["message"] == "The gateway is stopping; ask again."
        assert reply.headers["Retry-After"] == "1"


async def test_a_write_that_the_stop_ends_is_not_to_be_repeated(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        asked = asyncio.create_task(client.post({"query": "mutation { write }"}, headers=HEADERS))
        await gate.begun.wait()
        await app[OPERATIONS].stop(0)
        reply = await asked
        assert reply.status == 503
        assert reply.json["errors"][0]["extensions"]["retryable"] is False
        assert "Retry-After" not in reply.headers


async def test_every_operation_gets_a_context_of_its_own_which_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    closed: list[Any] = []
    close = Context.aclose

    async def aclose(context: Context) -> None:
        closed.append(context)
        await close(context)

    monkeypatch.setattr(Context, "aclose", aclose)

    @strawberry.type
    class Query:
        @strawberry.field
        def fails(self, info: strawberry.Info[Context, None]) -> str | None:
            if info.context not in seen:  # a field that fails may be asked again
                seen.append(info.context)
            raise ValueError

    async with serving(GatewaySchema(Query, limits=LIMITS)) as (client, _):
        for _ in range(2):
            await client.post({"query": "{ fails }"}, headers=HEADERS)
    assert closed == seen
    assert len({id(context) for context in seen}) == 2


async def test_an_unexpected_failure_is_masked_and_logged_under_an_id(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Principal) -> ThreadsApi:
        raise ValueError("private detail")

    async with serving(gated_schema(Gate()), broken) as (client, _):
        reply = await client.post({"query": "{ quick }"}, headers={**HEADERS, "Accept": "text/html, */*;q=0.1"})
    assert (reply.status, reply.headers["Content-Type"]) == (500, "application/json; charset=utf-8")
    (error,) = reply.json["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert b"private" not in reply.body
    error_id = error["extensions"]["errorId"]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert error_id in record.getMessage()
    assert record.exc_info is not None
    assert "private detail" in str(record.exc_info[1])


async def test_neither_the_document_nor_the_credential_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(gated_schema(Gate())) as (client, _):
        headers = {"Authorization": "Bearer sk-private"}
        await client.get(params={"query": '{ quick } # "private"'}, headers=headers)
    assert "GET /graphql 200 in" in caplog.text
    assert "private" not in "".join(record.getMessage() for record in caplog.records if record.name != "asyncio")
