"""The operations of one socket, with its line in a test's hand."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import strawberry

from gateway.identity.credentials import Keys
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.operation_runner import OperationRunner
from gateway.server.http.operation_tasks import OperationTasks
from gateway.server.http.request_limits import SubscriptionLimits
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.fan_out import FanOut
from gateway.server.live.graphql_transport_ws import CloseCode
from gateway.server.live.live_connections import LiveConnections
from gateway.server.live.socket_operations import SocketOperations, SocketServices
from schema.operations.gateway_schema import GatewaySchema, OperationLimits
from schema.root import build_schema
from tests.support.fake_run_events import FakeRunEvents
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.following_ws_and_sse import STATUS, status, until

UPSTREAM = UpstreamIdentity("http://upstream.test")


class FakeLine:
    """Notes what is sent and how it is closed."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closed: list[int] = []

    def send(self, message: bytes) -> None:
        self.sent.append(orjson.loads(message))

    def is_full(self) -> bool:
        return False

    def wait_for_room(self, player: QueueMember) -> None:
        raise AssertionError

    async def room(self) -> None:
        pass

    def close_soon(self, code: CloseCode, reason: str) -> None:
        assert reason
        self.closed.append(code)

    def abort(self) -> None:
        raise AssertionError


class Gate:
    """An operation under way: says when it has begun and how it ended, and ends when it is let."""

    def __init__(self) -> None:
        self.begun, self.let, self.outcome = asyncio.Event(), asyncio.Event(), "none"

    async def passed(self) -> str:
        self.begun.set()
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.outcome = "cancelled"
            raise
        self.outcome = "finished"
        return self.outcome


def gated_schema(gate: Gate) -> GatewaySchema:
    @strawberry.type
    class Query:
        @strawberry.field
        async def wait(self) -> str:
            return await gate.passed()

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        async def write(self) -> str:
            return await gate.passed()

    return GatewaySchema(Query, Mutation, limits=OperationLimits(max_tokens=1_000, max_upstream_calls=10))


class World:
    def __init__(self, schema: GatewaySchema | None = None, now: float = 0.0) -> None:
        self.events = FakeRunEvents()
        self.now = now
        executor = OperationRunner(schema or build_schema(), lambda _: FakeThreadsApi(), lambda _: self.events)
        self.all_operations = OperationTasks()
        self.connections = LiveConnections(SubscriptionLimits(), FanOut(executor))
        services = SocketServices(executor, self.all_operations, self.connections, Keys(), UPSTREAM, lambda: self.now)
        self.line = FakeLine()
        self.operations = SocketOperations(services, self.line)

    def initialise(self, credential: str = "Bearer x") -> None:
        self.operations.initialise(Principal.of(credential, UPSTREAM))

    def begin(self, query: str, id_: str = "1") -> None:
        self.operations.begin(id_, GraphQLRequest(query))


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def gated(gate: Gate) -> AsyncIterator[World]:
    world = World(gated_schema(gate))
    world.initialise()
    yield world
    gate.let.set()
    world.operations.leave()
    await world.all_operations.stop(10)
    await world.connections.aclose()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(now=1000.0)
    yield world
    world.operations.leave()
    await world.connections.aclose()


async def test_nothing_begins_before_it_is_known_who_asks(world: World) -> None:
    assert not world.operations.is_initialised
    world.begin("{ __typename }")
    assert "1" not in world.operations.active
    world.initialise()
    assert world.operations.is_initialised


@pytest.mark.parametrize("how", ["end", "leave"])
async def test_a_query_that_nobody_wants_any_more_is_cancelled(gated: World, gate: Gate, how: str) -> None:
    gated.begin("{ wait }")
    await gate.begun.wait()
    if how == "end":
        gated.operations.end("1")
    else:
        gated.operations.leave()
    await until(lambda: gate.outcome == "cancelled")
    assert gated.line.sent == []
    assert "1" not in gated.operations.active


@pytest.mark.parametrize("how", ["end", "leave"])
async def test_a_mutation_is_finished_although_nobody_is_told(gated: World, gate: Gate, how: str) -> None:
    gated.begin("mutation { write }")
    await gate.begun.wait()
    if how == "end":
        gated.operations.end("1")
    else:
        gated.operations.leave()
    await until(lambda: not len(gated.connections.tasks))
    gate.let.set()
    await until(lambda: gate.outcome == "finished")
    assert gated.line.sent == []


async def test_what_goes_on_although_it_is_completed_counts_among_the_operations(gated: World, gate: Gate) -> None:
    for _ in range(SubscriptionLimits().max_operations_per_socket):
        gated.begin("mutation { write }")
        await gate.begun.wait()
        gate.begun.clear()
        gated.operations.end("1")
    await until(lambda: not len(gated.connections.tasks))
    gated.begin("{ __typename }")
    (refused,) = gated.line.sent
    assert refused["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
    gate.let.set()
    await until(lambda: not len(gated.all_operations))
    gated.begin("{ __typename }")
    await until(lambda: len(gated.line.sent) == 3)
    assert [message["type"] for message in gated.line.sent] == ["error", "next", "complete"]


async def test_an_id_is_free_at_once_when_its_client_has_completed_it(gated: World, gate: Gate) -> None:
    gated.begin("{ wait }")
    await gate.begun.wait()
    gated.operations.end("1")
    gate.begun.clear()
    gated.begin("{ wait }")
    await gate.begun.wait()
    gate.let.set()
    await until(lambda: len(gated.line.sent) == 2)
    assert gated.line.sent == [
        {"type": "next", "id": "1", "payload": {"data": {"wait": "finished"}}},
        {"type": "complete", "id": "1"},
    ]


async def test_a_stop_waits_for_single_answers_and_takes_nothing_new(gated: World, gate: Gate) -> None:
    gated.begin("{ wait }")
    await gate.begun.wait()
    gated.operations.send_away()
    gated.begin("{ wait }", "2")
    assert (gated.line.closed, "2" in gated.operations.active) == ([], False)
    gate.let.set()
    await until(lambda: bool(gated.line.closed))
    assert gated.line.closed == [CloseCode.SERVICE_RESTART]
    assert [message["type"] for message in gated.line.sent] == ["next", "complete"]


@pytest.mark.parametrize(("query", "retryable"), [("{ wait }", True), ("mutation { write }", False)])
async def test_what_the_stop_ends_is_told_whether_it_may_be_repeated(
    gated: World, gate: Gate, query: str, retryable: bool
) -> None:
    gated.begin(query)
    await gate.begun.wait()
    await gated.all_operations.stop(0)
    await until(lambda: bool(gated.line.sent))
    (message,) = gated.line.sent
    assert message["type"] == "error"
    extensions = message["payload"][0]["extensions"]
    assert (extensions["code"], extensions["retryable"]) == ("GATEWAY_STOPPING", retryable)


async def test_subscriptions_do_not_keep_a_stop_waiting(world: World) -> None:
    world.initialise()
    world.begin(STATUS)
    await until(lambda: bool(world.events.open_feeds))
    world.operations.send_away()
    world.operations.send_away()
    assert world.line.closed == [CloseCode.SERVICE_RESTART] * 2


async def test_a_subscription_that_is_ended_while_it_begins_is_left(world: World) -> None:
    world.initialise()
    world.begin(STATUS)
    world.operations.end("1")
    await until(lambda: not len(world.connections.tasks))
    assert (world.events.open_feeds, len(world.connections.deliveries)) == ([], 0)


async def test_all_subscriptions_end_when_the_credential_does(world: World) -> None:
    claims = base64.urlsafe_b64encode(b'{"exp": 1000.01}').decode().rstrip("=")
    world.initialise(f"Bearer e30.{claims}.x")
    for id_ in ("1", "2"):
        world.begin(STATUS, id_)
    await until(lambda: len(world.events.open_feeds) == 2)
    world.events.push(status("queued"))
    await until(lambda: len(world.line.sent) == 2)
    world.now = 1001.0
    await until(lambda: bool(world.line.closed))
    assert world.line.closed == [CloseCode.FORBIDDEN]
    assert [(told["type"], told["payload"][0]["extensions"]["code"]) for told in world.line.sent[2:]] == [
        ("error", "UNAUTHENTICATED")
    ] * 2
    assert len(world.connections.deliveries) == 0


async def test_an_unexpected_failure_is_masked(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.events.refuse = ValueError("private detail")
    world.initialise()
    world.begin(STATUS)
    await until(lambda: bool(world.line.sent))
    (message,) = world.line.sent
    assert message["payload"][0]["extensions"]["code"] == "INTERNAL"
    assert "private" not in str(message)
