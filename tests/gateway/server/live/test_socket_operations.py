"""The operations of one socket, over a fake output."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
import strawberry

from gateway.identity.authenticator import CredentialAuthenticator
from gateway.identity.credentials import CredentialPolicy, CredentialRefusedError
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.held_bytes import UnfinishedBytes
from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.operation_runner import OperationRunner, OperationTasks
from gateway.server.http.request_limits import SubscriptionLimits
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.fan_out import FanOut
from gateway.server.live.graphql_transport_ws import CloseCode
from gateway.server.live.live_connections import LiveConnections
from gateway.server.live.socket_operations import SocketOperations, SocketServices
from schema.contract.encoded_json import EncodedJson, to_pieces
from schema.operations.gateway_schema import GatewaySchema, OperationLimits
from schema.operations.operation_budget import OperationBudget
from schema.root import build_schema
from tests.support.fake_run_events import FakeRunEvents
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.subscription_gateway import STATUS, status, until

UPSTREAM = UpstreamIdentity("http://upstream.test")


class FakeOutput:
    """Records the messages and the close codes."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closed: list[int] = []

    def send_message(self, message: EncodedJson) -> None:
        self.sent.append(orjson.loads(b"".join(to_pieces(message))))

    def is_full(self) -> bool:
        return False

    def enqueue_after_drain(self, member: QueueMember) -> None:
        raise AssertionError

    def close_soon(self, code: CloseCode, reason: str) -> None:
        assert reason
        self.closed.append(code)

    def abort(self) -> None:
        raise AssertionError


class Gate:
    """An operation that says when it has started and how it ended, and waits until the gate is opened."""

    def __init__(self) -> None:
        self.started, self.opened, self.outcome = asyncio.Event(), asyncio.Event(), "none"

    async def pass_through(self) -> str:
        self.started.set()
        try:
            await self.opened.wait()
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
            return await gate.pass_through()

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        async def write(self) -> str:
            return await gate.pass_through()

    return GatewaySchema(
        Query, Mutation, limits=OperationLimits(max_tokens=1_000, budget=OperationBudget(max_calls=10))
    )


def principal_until(expiry: float) -> Principal:
    return replace(Principal.from_credential("Bearer x", UPSTREAM), expires_at=expiry)


class RenewingAuthenticator(CredentialAuthenticator):
    """An authenticator whose answer to the next renewal a test decides."""

    def __init__(self) -> None:
        super().__init__(CredentialPolicy(), UPSTREAM)
        self.renewed: Principal | None = None

    async def renew(self, principal: Principal, offered: Sequence[str]) -> Principal:
        if self.renewed is None:
            raise CredentialRefusedError(401, "Refused.", f"not {offered[0]} after {principal.expires_at}")
        return self.renewed


class World:
    def __init__(self, schema: GatewaySchema | None = None, now: float = 0.0) -> None:
        self.events = FakeRunEvents()
        self.now = now
        runner = OperationRunner(
            schema or build_schema(), OperationContexts(lambda _: FakeThreadsApi(), lambda _: self.events)
        )
        self.operation_tasks = OperationTasks()
        self.unfinished_bytes = UnfinishedBytes(1_000_000)
        self.authenticator = RenewingAuthenticator()
        self.connections = LiveConnections(SubscriptionLimits(), FanOut(runner))
        services = SocketServices(
            runner,
            self.operation_tasks,
            self.connections,
            self.authenticator,
            self.unfinished_bytes,
            lambda: self.now,
        )
        self.output = FakeOutput()
        self.operations = SocketOperations(services, self.output)

    def initialise(self, credential: str = "Bearer x") -> None:
        self.operations.initialise(Principal.from_credential(credential, UPSTREAM))

    def initialise_until(self, expiry: float) -> None:
        self.operations.initialise(principal_until(expiry))

    def start(self, query: str, id_: str = "1", size: int = 100) -> None:
        self.operations.start_operation(id_, GraphQLRequest(query), size)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def gated(gate: Gate) -> AsyncIterator[World]:
    world = World(gated_schema(gate))
    world.initialise()
    yield world
    gate.opened.set()
    world.operations.stop_all()
    await world.operation_tasks.stop(10)
    await world.connections.aclose()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(now=1000.0)
    yield world
    world.operations.stop_all()
    await world.connections.aclose()


async def test_no_operation_starts_before_the_principal_is_known(world: World) -> None:
    assert not world.operations.is_initialised
    world.start("{ __typename }")
    assert "1" not in world.operations.active_ids
    world.initialise()
    assert world.operations.is_initialised


@pytest.mark.parametrize("how", ["stop_operation", "stop_all"])
async def test_an_abandoned_query_is_cancelled(gated: World, gate: Gate, how: str) -> None:
    gated.start("{ wait }")
    await gate.started.wait()
    if how == "stop_operation":
        gated.operations.stop_operation("1")
    else:
        gated.operations.stop_all()
    await until(lambda: gate.outcome == "cancelled")
    assert gated.output.sent == []
    assert "1" not in gated.operations.active_ids


@pytest.mark.parametrize("how", ["stop_operation", "stop_all"])
async def test_an_abandoned_mutation_is_finished(gated: World, gate: Gate, how: str) -> None:
    gated.start("mutation { write }")
    await gate.started.wait()
    if how == "stop_operation":
        gated.operations.stop_operation("1")
    else:
        gated.operations.stop_all()
    await until(lambda: not len(gated.connections.tasks))
    gate.opened.set()
    await until(lambda: gate.outcome == "finished")
    assert gated.output.sent == []


async def test_abandoned_mutations_count_among_the_operations(gated: World, gate: Gate) -> None:
    for _ in range(SubscriptionLimits().max_operations_per_socket):
        gated.start("mutation { write }")
        await gate.started.wait()
        gate.started.clear()
        gated.operations.stop_operation("1")
    await until(lambda: not len(gated.connections.tasks))
    gated.start("{ __typename }")
    (refused,) = gated.output.sent
    assert refused["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
    gate.opened.set()
    await until(lambda: not len(gated.operation_tasks))
    gated.start("{ __typename }")
    await until(lambda: len(gated.output.sent) == 3)
    assert [message["type"] for message in gated.output.sent] == ["error", "next", "complete"]


async def test_an_id_is_free_once_its_client_has_completed_it(gated: World, gate: Gate) -> None:
    gated.start("{ wait }")
    await gate.started.wait()
    gated.operations.stop_operation("1")
    gate.started.clear()
    gated.start("{ wait }")
    await gate.started.wait()
    gate.opened.set()
    await until(lambda: len(gated.output.sent) == 2)
    assert gated.output.sent == [
        {"type": "next", "id": "1", "payload": {"data": {"wait": "finished"}}},
        {"type": "complete", "id": "1"},
    ]


async def test_a_stop_waits_for_queries_and_ignores_new_operations(gated: World, gate: Gate) -> None:
    gated.start("{ wait }")
    await gate.started.wait()
    gated.operations.request_reconnect()
    gated.start("{ wait }", "2")
    assert (gated.output.closed, "2" in gated.operations.active_ids) == ([], False)
    gate.opened.set()
    await until(lambda: bool(gated.output.closed))
    assert gated.output.closed == [CloseCode.SERVICE_RESTART]
    assert [message["type"] for message in gated.output.sent] == ["next", "complete"]


@pytest.mark.parametrize(("query", "retryable"), [("{ wait }", True), ("mutation { write }", False)])
async def test_an_operation_that_the_stop_cancels_says_whether_it_is_retryable(
    gated: World, gate: Gate, query: str, retryable: bool
) -> None:
    gated.start(query)
    await gate.started.wait()
    await gated.operation_tasks.stop(0)
    await until(lambda: bool(gated.output.sent))
    (message,) = gated.output.sent
    assert message["type"] == "error"
    extensions = message["payload"][0]["extensions"]
    assert (extensions["code"], extensions["retryable"]) == ("GATEWAY_STOPPING", retryable)


async def test_a_stop_does_not_wait_for_subscriptions(world: World) -> None:
    world.initialise()
    world.start(STATUS)
    await until(lambda: bool(world.events.open_feeds))
    world.operations.request_reconnect()
    world.operations.request_reconnect()
    assert world.output.closed == [CloseCode.SERVICE_RESTART] * 2


async def test_a_subscription_that_is_stopped_while_it_starts_leaves_nothing_behind(world: World) -> None:
    world.initialise()
    world.start(STATUS)
    world.operations.stop_operation("1")
    await until(lambda: not len(world.connections.tasks))
    assert (world.events.open_feeds, len(world.connections.fan_out)) == ([], 0)


async def test_the_end_of_the_credential_closes_the_socket_without_an_error_to_its_subscriptions(world: World) -> None:
    """An error would end them, where `graphql-ws` goes on with them once it has come again."""
    world.initialise_until(1000.01)
    for id_ in ("1", "2"):
        world.start(STATUS, id_)
    await until(lambda: len(world.events.open_feeds) == 2)
    world.events.push(status("queued"))
    await until(lambda: len(world.output.sent) == 2)
    world.now = 1001.0
    await until(lambda: bool(world.output.closed))
    assert world.output.closed == [CloseCode.FORBIDDEN]
    assert [told["type"] for told in world.output.sent] == ["next"] * 2
    assert len(world.connections.fan_out) == 0


async def test_the_end_of_the_credential_waits_for_a_mutation_and_starts_nothing_more(gated: World, gate: Gate) -> None:
    """`graphql-ws` sends again what has no result when its socket closes."""
    gated.now = 1000.0
    gated.initialise_until(1000.01)
    gated.start("mutation { write }")
    await gate.started.wait()
    gated.now = 1001.0
    await until(gated.operations.is_closing)
    gated.start("mutation { write }", "2")
    assert (gated.output.closed, gated.output.sent) == ([], [])
    gate.opened.set()
    await until(lambda: bool(gated.output.closed))
    assert gated.output.closed == [CloseCode.FORBIDDEN]
    assert [(told["type"], told["id"]) for told in gated.output.sent] == [("next", "1"), ("complete", "1")]


async def test_a_renewed_credential_goes_on_with_the_subscription(world: World) -> None:
    world.initialise_until(1000.01)
    world.start(STATUS)
    await until(lambda: len(world.events.open_feeds) == 1)
    world.authenticator.renewed = principal_until(1e9)
    assert await world.operations.renew_credential(("Bearer y",))
    world.now = 1001.0
    world.events.push(status("queued"))
    await until(lambda: len(world.output.sent) == 1)
    assert not world.operations.is_closing()
    world.authenticator.renewed = principal_until(1001.01)
    assert await world.operations.renew_credential(("Bearer z",))
    world.now = 1002.0
    await until(lambda: world.output.closed == [CloseCode.FORBIDDEN])


async def test_a_credential_that_is_not_renewed_ends_what_is_there_and_what_is_starting(world: World) -> None:
    world.initialise_until(1e9)
    world.start(STATUS)
    await until(lambda: len(world.events.open_feeds) == 1)
    world.start(STATUS, "2")
    assert not await world.operations.renew_credential(("Bearer other",))
    assert world.output.closed == [CloseCode.FORBIDDEN]
    await until(lambda: not len(world.connections.tasks))
    assert (world.events.open_feeds, len(world.connections.fan_out), world.output.sent) == ([], 0, [])
    world.authenticator.renewed = principal_until(1e9)
    assert not await world.operations.renew_credential(("Bearer y",))


async def test_an_unexpected_failure_is_masked(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.events.refuse = ValueError("private detail")
    world.initialise()
    world.start(STATUS)
    await until(lambda: bool(world.output.sent))
    (message,) = world.output.sent
    assert message["payload"][0]["extensions"]["code"] == "INTERNAL"
    assert "private" not in str(message)


async def test_a_large_mutation_is_held_until_it_ends_although_its_client_has_completed_it(
    gated: World, gate: Gate
) -> None:
    gated.start("mutation { write }", size=600_000)
    gated.start("{ wait }", "2", size=600_000)
    (refused,) = gated.output.sent
    assert (refused["id"], refused["payload"][0]["extensions"]["code"]) == ("2", "RATE_LIMITED")
    await gate.started.wait()
    gated.operations.stop_all()
    for _ in range(5):
        await asyncio.sleep(0)
    assert gated.unfinished_bytes.held_bytes == 600_000
    gate.opened.set()
    await until(lambda: gated.unfinished_bytes.held_bytes == 0)


async def test_an_operation_that_is_stopped_before_it_begins_is_held_no_longer(gated: World) -> None:
    gated.start("{ wait }", size=600_000)
    gated.operations.stop_operation("1")
    await until(lambda: gated.unfinished_bytes.held_bytes == 0)
