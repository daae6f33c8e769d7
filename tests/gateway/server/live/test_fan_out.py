import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.identity.principal import Owner, Principal, UpstreamIdentity, User
from gateway.server.http.called_address import current_called_address, use_called_address
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.operation_runner import OperationRunner
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.fan_out import EVENTS_PER_SLICE, FanOut, Subscriber
from schema.contract.encoded_json import EncodedJson, to_pieces
from schema.contract.errors import ErrorCode, GatewayError
from schema.operations.start_subscription import SubscriptionRefusedError
from schema.root import build_schema
from tests.support.fake_run_events import FakeRunEvents
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.subscription_gateway import STATUS, status, until

ALICE = Principal.from_credential("Bearer alice", UpstreamIdentity("http://upstream.test"))
BOB = Principal.from_credential("Bearer bob", UpstreamIdentity("http://upstream.test"))
REQUEST = GraphQLRequest(STATUS)


class FakeSink:
    """Records what is sent. A test sets whether it is full, or broken."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.full = False
        self.waiting: list[QueueMember] = []
        self.breaks = False

    def is_full(self) -> bool:
        return self.full

    def enqueue_after_drain(self, member: QueueMember) -> None:
        self.waiting.append(member)

    def send_next(self, operation_id: str, payload: EncodedJson, cursor: str) -> None:
        if self.breaks:
            raise ValueError("broken")
        self.sent.append((operation_id, b"".join(to_pieces(payload)).decode(), cursor))

    def send_errors(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        self.sent.append((operation_id, [error["extensions"]["code"] for error in errors]))

    def send_complete(self, operation_id: str) -> None:
        self.sent.append((operation_id, "complete"))


class World:
    def __init__(self) -> None:
        self.events = FakeRunEvents()
        api = FakeThreadsApi()
        self.runner = OperationRunner(build_schema(), OperationContexts(lambda _: api, lambda _: self.events))
        self.fan_out = FanOut(self.runner, max_per_principal=3)

    async def subscribe(self, sink: FakeSink, name: str = "1", principal: Principal = ALICE) -> Subscriber:
        subscriber = await self.fan_out.subscribe(await self.runner.parse_request(REQUEST, ALICE), principal)
        subscriber.start(sink, name)
        return subscriber


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.fan_out.aclose()


def answer(text: str, cursor: str, name: str = "1") -> tuple[str, str, str]:
    return name, f'{{"data":{{"runStatus":{{"status":"{text}"}}}}}}', cursor


async def test_events_are_sent_in_order_and_then_complete(world: World) -> None:
    sink = FakeSink()
    await world.subscribe(sink)
    for text in ("queued", "in_progress", "completed"):
        world.events.push(status(text))
    world.events.end()
    await until(lambda: len(sink.sent) == 4)
    names = ("QUEUED", "IN_PROGRESS", "COMPLETED")
    assert sink.sent == [*(answer(name, f"cursor-{i}") for i, name in enumerate(names, 1)), ("1", "complete")]
    assert (len(world.fan_out), world.fan_out.groups) == (0, [])
    await until(lambda: not world.events.open_feeds)


async def test_a_failed_feed_is_an_error_after_the_events_before_it(world: World) -> None:
    sink = FakeSink()
    await world.subscribe(sink)
    world.events.push(status("queued"))
    world.events.fail(GatewayError(ErrorCode.UPSTREAM_FAILED, "no"))
    await until(lambda: len(sink.sent) == 2)
    assert sink.sent == [answer("QUEUED", "cursor-1"), ("1", ["UPSTREAM_FAILED"])]
    assert len(world.fan_out) == 0


async def test_subscribers_of_one_selection_and_principal_share_renderings(world: World) -> None:
    sinks = [FakeSink() for _ in range(4)]
    for sink in sinks[:3]:
        await world.subscribe(sink)
    await world.subscribe(sinks[3], principal=BOB)
    assert sorted(group.member_count for group in world.fan_out.groups) == [1, 3]
    world.events.push(status("queued"))
    await until(lambda: all(len(sink.sent) == 1 for sink in sinks))
    assert [group.render_count for group in world.fan_out.groups] == [1, 1]


async def test_an_idle_subscription_has_no_task(world: World) -> None:
    before = asyncio.all_tasks()
    sink = FakeSink()
    subscriber = await world.subscribe(sink)
    world.events.push(status("queued"))
    await until(lambda: len(sink.sent) == 1)
    await until(lambda: asyncio.all_tasks() == before)
    subscriber.unsubscribe()


async def test_a_full_sink_waits_and_delays_no_other(world: World) -> None:
    slow, quick = FakeSink(), FakeSink()
    slow.full = True
    await world.subscribe(slow)
    await world.subscribe(quick)
    for _ in range(3):
        world.events.push(status("queued"))
    await until(lambda: len(quick.sent) == 3)
    assert (slow.sent, len(slow.waiting)) == ([], 1)
    slow.full = False
    slow.waiting.pop().run_slice()
    await until(lambda: len(slow.sent) == 3)
    assert [sent[2] for sent in slow.sent] == ["cursor-1", "cursor-2", "cursor-3"]
    (group,) = world.fan_out.groups
    assert group.render_count == 3


async def test_an_event_is_rendered_for_the_address_by_which_its_subscriber_called_whoever_causes_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []

    async def render_event(*_: object) -> bytes:
        rendered.append(current_called_address())
        return b"{}"

    monkeypatch.setattr(world.runner, "render_event", render_event)
    for address in ("http://one.test", "http://two.test", "http://one.test"):
        use_called_address(address)
        await world.subscribe(FakeSink())
    use_called_address("http://evil.test")
    world.events.push(status("queued"))
    await until(lambda: len(rendered) == 2)
    assert sorted(rendered) == ["http://one.test", "http://two.test"]


async def test_a_subscriber_that_is_far_behind_needs_several_slices(world: World) -> None:
    sink = FakeSink()
    subscriber = await world.fan_out.subscribe(await world.runner.parse_request(REQUEST, ALICE), ALICE)
    for _ in range(3 * EVENTS_PER_SLICE):
        world.events.push(status("queued"))
    subscriber.start(sink)
    await until(lambda: len(sink.sent) == 3 * EVENTS_PER_SLICE)
    subscriber.unsubscribe()


async def test_a_subscriber_that_has_left_is_sent_nothing_and_leaving_twice_counts_once(world: World) -> None:
    sink = FakeSink()
    subscriber = await world.subscribe(sink)
    world.events.push(status("queued"))
    subscriber.unsubscribe()
    subscriber.unsubscribe()
    subscriber.run_slice()
    await until(lambda: not world.events.open_feeds)
    assert (sink.sent, len(world.fan_out)) == ([], 0)


async def test_each_principal_has_its_own_limit(world: World) -> None:
    subscribers = [await world.subscribe(FakeSink()) for _ in range(3)]
    with pytest.raises(GatewayError) as refused:
        await world.subscribe(FakeSink())
    assert refused.value.code is ErrorCode.TOO_MANY_OPERATIONS
    await world.subscribe(FakeSink(), principal=BOB)
    subscribers[0].unsubscribe()
    await world.subscribe(FakeSink())


async def test_a_user_who_is_an_admin_now_shares_no_rendering_with_before_and_counts_as_the_same(world: World) -> None:
    upstream, owner = UpstreamIdentity("http://upstream.test"), Owner("https://issuer.test", "ann")
    user, admin = (Principal.from_user(User(owner, is_admin), upstream) for is_admin in (False, True))
    sinks = [FakeSink() for _ in range(3)]
    for sink, principal in zip(sinks, (user, admin, user), strict=True):
        await world.subscribe(sink, principal=principal)
    assert sorted(group.member_count for group in world.fan_out.groups) == [1, 2]
    for principal in (user, admin):
        with pytest.raises(GatewayError) as refused:
            await world.subscribe(FakeSink(), principal=principal)
        assert refused.value.code is ErrorCode.TOO_MANY_OPERATIONS


async def test_a_refused_subscription_does_not_count(world: World) -> None:
    world.events.refuse = GatewayError(ErrorCode.NOT_FOUND, "no")
    for _ in range(4):
        with pytest.raises(SubscriptionRefusedError):
            await world.fan_out.subscribe(await world.runner.parse_request(REQUEST, ALICE), ALICE)
    assert len(world.fan_out) == 0


async def test_an_unexpected_exception_is_masked_and_ends_only_its_subscription(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    broken, fine = FakeSink(), FakeSink()
    broken.breaks = True
    await world.subscribe(broken)
    await world.subscribe(fine)
    world.events.push(status("queued"))
    await until(lambda: bool(broken.sent and fine.sent))
    assert (broken.sent, fine.sent) == ([("1", ["INTERNAL"])], [answer("QUEUED", "cursor-1")])
    assert "broken" in caplog.text
