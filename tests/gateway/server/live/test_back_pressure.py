import asyncio
from typing import Any, cast

import pytest

from gateway.server.live.back_pressure import BUFFER_BYTES, BackPressure
from gateway.server.live.fair_queue import FairQueue


class FakeTransport:
    """Holds as many bytes back as a test says."""

    def __init__(self) -> None:
        self.left = 0

    def get_write_buffer_size(self) -> int:
        return self.left

    def get_extra_info(self, _: str) -> Any:
        return None


class Player:
    def __init__(self) -> None:
        self.turn = asyncio.Event()

    def take_turn(self) -> None:
        self.turn.set()


def flow_over(transport: FakeTransport, stalled_seconds: float = 60.0) -> tuple[BackPressure, asyncio.Event]:
    stalled = asyncio.Event()
    return BackPressure(cast("asyncio.Transport", transport), FairQueue(), stalled_seconds, stalled.set), stalled


async def test_there_is_room_until_more_than_the_buffer_waits() -> None:
    transport = FakeTransport()
    flow, _ = flow_over(transport)
    transport.left = BUFFER_BYTES
    assert not flow.is_full()
    await flow.room()
    transport.left += 1
    assert flow.is_full()


async def test_all_who_wait_are_let_go_once_there_is_room() -> None:
    transport, player = FakeTransport(), Player()
    flow, stalled = flow_over(transport)
    transport.left = BUFFER_BYTES + 1
    flow.wait_for_room(player)
    waiting = [asyncio.create_task(flow.room()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    assert not waiting[1].done()
    transport.left = 0
    async with asyncio.timeout(10):
        await player.turn.wait()
        await waiting[1]
    assert not stalled.is_set()
    flow.close()


async def test_a_client_that_takes_nothing_is_given_up() -> None:
    transport, player = FakeTransport(), Player()
    flow, stalled = flow_over(transport, 0.02)
    transport.left = BUFFER_BYTES + 1
    flow.wait_for_room(player)
    async with asyncio.timeout(10):
        await stalled.wait()
    assert not player.turn.is_set()
    flow.close()


async def test_a_client_that_takes_a_little_is_not() -> None:
    transport, player = FakeTransport(), Player()
    flow, stalled = flow_over(transport, 0.05)
    transport.left = BUFFER_BYTES + 40
    flow.wait_for_room(player)
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not player.turn.is_set():
        await asyncio.sleep(0)
        transport.left = BUFFER_BYTES + 40 - int((loop.time() - began) * 200)
    assert loop.time() - began > 0.1
    assert not stalled.is_set()


async def test_who_waits_hears_of_the_end() -> None:
    transport = FakeTransport()
    flow, _ = flow_over(transport)
    transport.left = BUFFER_BYTES + 1
    waiting = asyncio.create_task(flow.room())
    await asyncio.sleep(0)
    flow.close()
    with pytest.raises(ConnectionError):
        await waiting
