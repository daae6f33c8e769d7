"""The costs of one socket for all others: the time of the event loop, and memory while it is idle."""

import asyncio
import gc

from gateway.server.http.graphql_request import GraphQLRequest
from schema.contract.keys import RunKey
from tests.support.fake_run_events import FakeFeed, FakeRunEvents
from tests.support.raw_socket import RawSocket
from tests.support.subscription_gateway import STATUS, running_subscription_gateway, status, until


async def test_each_of_many_operations_at_once_starts_in_its_own_loop_iteration() -> None:
    loop, rounds = asyncio.get_running_loop(), 0
    handle: asyncio.Handle | None = None

    class RecordingEvents(FakeRunEvents):
        async def follow_status(self, key: RunKey, *, after: str | None = None) -> FakeFeed:
            started_in.append(rounds)
            return await super().follow_status(key, after=after)

    def count_round() -> None:
        nonlocal rounds, handle
        rounds += 1
        handle = loop.call_soon(count_round)

    started_in = list[int]()
    async with running_subscription_gateway(events=RecordingEvents()) as gateway, gateway.initialised() as socket:
        count_round()
        for number in range(20):
            await socket.subscribe(str(number))
        await gateway.wait_for_feeds(20)
        assert handle is not None
        handle.cancel()
    assert len(set(started_in)) == 20


def requests() -> list[GraphQLRequest]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, GraphQLRequest)]


async def test_a_received_request_is_freed_before_the_next_message() -> None:
    async with running_subscription_gateway() as gateway, gateway.initialised() as socket:
        await socket.subscribe(query=STATUS + "# kept?")
        await gateway.wait_for_feeds()
        await until(lambda: not len(gateway.endpoint.connections.tasks))
        await until(lambda: not any(request.query.endswith("# kept?") for request in requests()))


async def test_a_thousand_subscribers_of_one_selection_cost_one_rendering_an_event() -> None:
    async with running_subscription_gateway() as gateway:
        sockets = [await RawSocket.open(gateway.url) for _ in range(50)]
        for number, socket in enumerate(sockets):
            socket.send({"type": "connection_init"})
            for operation in range(20):
                id_ = f"{number}-{operation}"
                socket.send({"type": "subscribe", "id": id_, "payload": {"query": STATUS}})
        await gateway.wait_for_feeds(1000)
        (group,) = gateway.endpoint.connections.fan_out.groups
        for text in ("queued", "in_progress", "completed"):
            gateway.events.push(status(text))
        for socket in sockets:
            async with asyncio.timeout(20):
                for _ in range(60):
                    await socket.reader.readuntil(b'"}}}}')
        assert (group.member_count, group.render_count) == (1000, 3)
        for socket in sockets:
            await socket.aclose()
        await gateway.wait_until_idle()
