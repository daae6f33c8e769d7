import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import strawberry
from aiohttp import web

from gateway.identity.credentials import CredentialPolicy
from gateway.identity.principal import Principal
from gateway.server.app import OPERATION_TASKS, create_app, listening
from gateway.server.endpoint import GraphQLEndpoint
from gateway.server.health import ReadinessProbe
from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.operation_runner import OperationRunner
from gateway.telemetry.log_fields import OPERATION_LOGGER
from schema.contract.ports import ThreadsApi
from schema.engine.context import Context
from schema.operations.gateway_schema import GatewaySchema, OperationLimits
from schema.operations.operation_budget import OperationBudget
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.graphql import GraphQLClient
from tests.support.subscription_gateway import passing_on

LIMITS = OperationLimits(max_tokens=1_000, budget=OperationBudget(max_calls=10))
HEADERS = {"Authorization": "Bearer x", "Content-Type": "application/json"}


class Gate:
    """An operation that says when it has started and how it ended, and waits until the gate is opened."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.opened = asyncio.Event()
        self.over = asyncio.Event()
        self.outcome = "none"

    async def pass_through(self) -> str:
        self.started.set()
        try:
            await self.opened.wait()
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
            return await gate.pass_through()

        @strawberry.field
        def quick(self) -> str:
            return "quick"

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        async def write(self) -> str:
            return await gate.pass_through()

    return GatewaySchema(Query, Mutation, limits=LIMITS)


def fake_api(_: Principal) -> ThreadsApi:
    return FakeThreadsApi()


@asynccontextmanager
async def serving(
    schema: GatewaySchema, bind: Callable[[Principal], ThreadsApi] = fake_api
) -> AsyncIterator[tuple[GraphQLClient, web.Application]]:
    endpoint = GraphQLEndpoint(
        OperationRunner(schema, OperationContexts(bind)),
        authenticator=passing_on(CredentialPolicy()),
    )

    async def never_called() -> None:
        raise AssertionError

    app = create_app(endpoint, ReadinessProbe(never_called, is_stopping=lambda: endpoint.operation_tasks.is_stopping))
    async with listening(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        yield GraphQLClient(url, session), app


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def disconnect_in_flight(client: GraphQLClient, gate: Gate, query: str) -> None:
    """Send an operation, and close its connection once it has started."""
    async with aiohttp.ClientSession() as session:
        leaving_client = GraphQLClient(client.url, session)
        response = asyncio.create_task(leaving_client.post({"query": query}, headers=HEADERS))
        await gate.started.wait()
        response.cancel()
        await asyncio.gather(response, return_exceptions=True)


async def test_a_query_is_cancelled_when_its_caller_disconnects(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        await disconnect_in_flight(client, gate, "{ wait }")
        await gate.over.wait()
        assert gate.outcome == "cancelled"
        await app[OPERATION_TASKS].stop(10)
        assert len(app[OPERATION_TASKS]) == 0


async def test_a_mutation_is_finished_when_its_caller_disconnects(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        await disconnect_in_flight(client, gate, "mutation { write }")
        stopping = asyncio.create_task(app[OPERATION_TASKS].stop(10))
        gate.opened.set()
        await stopping
        assert gate.outcome == "finished"


async def test_a_stopping_gateway_finishes_operations_and_refuses_new_ones(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        response = asyncio.create_task(client.post({"query": "{ wait }"}, headers=HEADERS))
        await gate.started.wait()
        stopping = asyncio.create_task(app[OPERATION_TASKS].stop(10))
        await asyncio.sleep(0)
        refused = await client.post({"query": "{ quick }"}, headers=HEADERS)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json["errors"][0]["extensions"]["retryable"] is True
        assert (await client.get("/readyz")).status == 503
        assert (await client.get("/healthz")).status == 200
        gate.opened.set()
        assert (await response).json == {"data": {"wait": "finished"}}
        await stopping


async def test_an_operation_that_the_stop_cancels_gets_a_response(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        response = asyncio.create_task(client.post({"query": "{ wait }"}, headers=HEADERS))
        await gate.started.wait()
        await app[OPERATION_TASKS].stop(0)
        reply = await response
        assert reply.status == 503
        assert reply.json["errors"][0]["message"] == "The gateway is stopping; ask again."
        assert reply.headers["Retry-After"] == "1"


async def test_a_mutation_that_the_stop_cancels_is_not_retryable(gate: Gate) -> None:
    async with serving(gated_schema(gate)) as (client, app):
        response = asyncio.create_task(client.post({"query": "mutation { write }"}, headers=HEADERS))
        await gate.started.wait()
        await app[OPERATION_TASKS].stop(0)
        reply = await response
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
            if info.context not in seen:  # a field that fails may be resolved again
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
    (record,) = [record for record in caplog.records if record.name == OPERATION_LOGGER]
    assert vars(record)["fields"]["outcome"] == "ok"
    assert "private" not in "".join(str(vars(record)) for record in caplog.records if record.name != "asyncio")
