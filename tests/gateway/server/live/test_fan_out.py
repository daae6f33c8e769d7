import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.operation_runner import OperationRunner
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.fan_out import PER_TURN, FanOut, Subscriber
from schema.contract.errors import ErrorCode, GatewayError
from schema.operations.start_subscription import SubscriptionRefusedError
from schema.root import build_schema
from tests.support.fake_run_events import FakeRunEvents
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.following_ws_and_sse import STATUS, status, until

ALICE = Principal.of("Bearer alice", UpstreamIdentity("http://upstream.test"))
BOB = Principal.of("Bearer bob", UpstreamIdentity("http://upstream.test"))
ASKED = GraphQLRequest(STATUS)


class FakeOutlet:
    """Notes what is sent; full when a test says so."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.full = False
        self.parked: list[QueueMember] = []
        self.breaks = False

    def is_full(self) -> bool:
        return self.full

    def wait_for_room(self, player: QueueMember) -> None:
        self.parked.append(player)

    def send_next(self, operation: str, payload: bytes, cursor: str) -> None:
        if self.breaks:
            raise ValueError("broken")
        self.sent.append((operation, payload.decode(), cursor))

    def send_errors(self, operation: str, errors: list[dict[str, Any]]) -> None:
        self.sent.append((operation, [error["extensions"]["code"] for error in errors]))

    def send_complete(self, operation: str) -> None:
        self.sent.append((operation, "complete"))


class World:
    def __init__(self) -> None:
        self.events = FakeRunEvents()
        api = FakeThreadsApi()
        self.executor = OperationRunner(build_schema(), lambda _: api, lambda _: self.events)
        self.deliveries = FanOut(self.executor, max_per_principal=3)

    async def follow(self, outlet: FakeOutlet, name: str = "1", principal: Principal = ALICE) -> Subscriber:
        delivery = await self.deliveries.begin(self.executor.read(ASKED), principal)
        delivery.start(outlet, name)
        return delivery


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.deliveries.aclose()


def answer(text: str, cursor: str, name: str = "1") -> tuple[str, str, str]:
    return name, f'{{"data":{{"runStatus":{{"status":"{text}"}}}}}}', cursor


async def test_events_come_in_order_and_then_the_end(world: World) -> None:
    outlet = FakeOutlet()
    await world.follow(outlet)
    for text in ("queued", "in_progress", "completed"):
        world.events.push(status(text))
    world.events.end()
    await until(lambda: len(outlet.sent) == 4)
    names = ("QUEUED", "IN_PROGRESS", "COMPLETED")
    assert outlet.sent == [*(answer(name, f"cursor-{i}") for i, name in enumerate(names, 1)), ("1", "complete")]
    assert (len(world.deliveries), world.deliveries.groups) == (0, [])
    await until(lambda: not world.events.open_feeds)


async def test_a_failed_feed_is_told_after_what_came_before(world: World) -> None:
    outlet = FakeOutlet()
    await world.follow(outlet)
    world.events.push(status("queued"))
    world.events.fail(GatewayError(ErrorCode.UPSTREAM_FAILED, "no"))
    await until(lambda: len(outlet.sent) == 2)
    assert outlet.sent == [answer("QUEUED", "cursor-1"), ("1", ["UPSTREAM_FAILED"])]
    assert len(world.deliveries) == 0


async def test_all_of_one_selection_and_principal_share_renderings(world: World) -> None:
    outlets = [FakeOutlet() for _ in range(4)]
    for outlet in outlets[:3]:
        await world.follow(outlet)
    await world.follow(outlets[3], principal=BOB)
    assert sorted(group.members for group in world.deliveries.groups) == [1, 3]
    world.events.push(status("queued"))
    await until(lambda: all(len(outlet.sent) == 1 for outlet in outlets))
    assert [group.renders for group in world.deliveries.groups] == [1, 1]


async def test_an_idle_subscription_has_no_task(world: World) -> None:
    before = asyncio.all_tasks()
    outlet = FakeOutlet()
    delivery = await world.follow(outlet)
    world.events.push(status("queued"))
    await until(lambda: len(outlet.sent) == 1)
    await until(lambda: asyncio.all_tasks() == before)
    delivery.leave()


async def test_a_full_outlet_waits_and_keeps_nobody_else_waiting(world: World) -> None:
    slow, quick = FakeOutlet(), FakeOutlet()
    slow.full = True
    await world.follow(slow)
    await world.follow(quick)
    for _ in range(3):
        world.events.push(status("queued"))
    await until(lambda: len(quick.sent) == 3)
    assert (slow.sent, len(slow.parked)) == ([], 1)
    slow.full = False
    slow.parked.pop().take_turn()
    await until(lambda: len(slow.sent) == 3)
    assert [sent[2] for sent in slow.sent] == ["cursor-1", "cursor-2", "cursor-3"]
    (group,) = world.deliveries.groups
    assert group.renders == 3


async def test_one_that_is_far_behind_takes_several_turns(world: World) -> None:
    outlet = FakeOutlet()
    delivery = await world.deliveries.begin(world.executor.read(ASKED), ALICE)
    for _ in range(3 * PER_TURN):
        world.events.push(status("queued"))
    delivery.start(outlet)
    await until(lambda: len(outlet.sent) == 3 * PER_TURN)
    delivery.leave()


async def test_one_that_has_left_is_sent_nothing_and_leaving_twice_counts_once(world: World) -> None:
    outlet = FakeOutlet()
    delivery = await world.follow(outlet)
    world.events.push(status("queued"))
    delivery.leave()
    delivery.leave()
    delivery.take_turn()
    await until(lambda: not world.events.open_feeds)
    assert (outlet.sent, len(world.deliveries)) == ([], 0)


async def test_a_principal_has_a_bound_of_its_own(world: World) -> None:
    deliveries = [await world.follow(FakeOutlet()) for _ in range(3)]
    with pytest.raises(GatewayError) as refused:
        await world.follow(FakeOutlet())
    assert refused.value.code is ErrorCode.TOO_MANY_OPERATIONS
    await world.follow(FakeOutlet(), principal=BOB)
    deliveries[0].leave()
    await world.follow(FakeOutlet())


async def test_a_refused_subscription_takes_no_place(world: World) -> None:
    world.events.refuse = GatewayError(ErrorCode.NOT_FOUND, "no")
    for _ in range(4):
        with pytest.raises(SubscriptionRefusedError):
            await world.deliveries.begin(world.executor.read(ASKED), ALICE)
    assert len(world.deliveries) == 0


async def test_an_unexpected_failure_ends_one_subscription_masked(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    broken, fine = FakeOutlet(), FakeOutlet()
    broken.breaks = True
    await world.follow(broken)
    await world.follow(fine)
    world.events.push(status("queued"))
    await until(lambda: bool(broken.sent and fine.sent))
    assert (broken.sent, fine.sent) == ([("1", ["INTERNAL"])], [answer("QUEUED", "cursor-1")])
    assert "broken" in caplog.text
