"""What one socket may take from all others: the loop's time, and memory while it says nothing."""

import asyncio
import gc

from gateway.server.http.graphql_request import GraphQLRequest
from schema.contract.keys import RunKey
from tests.support.fake_run_events import FakeFeed, FakeRunEvents
from tests.support.following_ws_and_sse import STATUS, running_following, until


async def test_of_many_operations_that_come_at_once_each_leaves_the_loop_to_others_first() -> None:
    loop, rounds = asyncio.get_running_loop(), 0
    handle: asyncio.Handle | None = None

    class NotingEvents(FakeRunEvents):
        async def follow_status(self, key: RunKey, *, after: str | None = None) -> FakeFeed:
            begun_in.append(rounds)
            return await super().follow_status(key, after=after)

    def turn() -> None:
        nonlocal rounds, handle
        rounds += 1
        handle = loop.call_soon(turn)

    begun_in = list[int]()
    async with running_following(events=NotingEvents()) as gateway, gateway.initialised() as socket:
        turn()
        for number in range(20):
            await socket.subscribe(str(number))
        await gateway.followed(20)
        assert handle is not None
        handle.cancel()
    assert len(set(begun_in)) == 20


async def test_what_a_client_has_said_is_not_kept_while_it_says_nothing_more() -> None:
    async with running_following() as gateway, gateway.initialised() as socket:
        await socket.subscribe(query=STATUS + "# kept?")
        await gateway.followed()
        await until(lambda: not len(gateway.endpoint.connections.tasks))
        gc.collect()
        kept = [asked for asked in gc.get_objects() if isinstance(asked, GraphQLRequest)]
        assert [asked for asked in kept if asked.query.endswith("# kept?")] == []
