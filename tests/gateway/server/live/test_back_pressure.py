import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from gateway.server.live.back_pressure import MAX_BUFFERED_BYTES, BackPressure
from gateway.server.live.fair_queue import FairQueue


class FakeTransport:
    """A transport with as many buffered bytes as a test sets."""

    def __init__(self) -> None:
        self.buffered_bytes = 0

    def get_write_buffer_size(self) -> int:
        return self.buffered_bytes


class Member:
    def __init__(self) -> None:
        self.ran = asyncio.Event()

    def run_slice(self) -> None:
        self.ran.set()


def back_pressure_over(transport: FakeTransport) -> BackPressure:
    return BackPressure(cast("asyncio.Transport", transport), FairQueue())


async def test_the_connection_is_full_beyond_its_buffer() -> None:
    transport = FakeTransport()
    back_pressure = back_pressure_over(transport)
    transport.buffered_bytes = MAX_BUFFERED_BYTES
    assert not back_pressure.is_full()
    await back_pressure.drain()
    transport.buffered_bytes += 1
    assert back_pressure.is_full()


async def test_all_waiters_go_on_after_the_drain() -> None:
    transport, member = FakeTransport(), Member()
    back_pressure = back_pressure_over(transport)
    transport.buffered_bytes = MAX_BUFFERED_BYTES + 1
    back_pressure.enqueue_after_drain(member)
    waiters = [asyncio.create_task(back_pressure.drain()) for _ in range(2)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    await asyncio.wait(waiters[:1])
    assert not waiters[1].done()
    transport.buffered_bytes = 0
    async with asyncio.timeout(10):
        await member.ran.wait()
        await waiters[1]
    back_pressure.close()


async def test_a_waiter_gets_an_error_when_the_connection_closes() -> None:
    transport = FakeTransport()
    back_pressure = back_pressure_over(transport)
    transport.buffered_bytes = MAX_BUFFERED_BYTES + 1
    waiters = asyncio.create_task(back_pressure.drain())
    await asyncio.sleep(0)
    back_pressure.close()
    with pytest.raises(ConnectionError):
        await waiters


async def test_the_buffer_is_checked_less_and_less_often_until_the_client_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport, loop = FakeTransport(), asyncio.get_running_loop()
    checks: list[tuple[float, Callable[[], None]]] = []
    monkeypatch.setattr(loop, "call_later", lambda seconds, check: checks.append((seconds, check)))

    def check_with(buffered_bytes: int) -> float:
        transport.buffered_bytes = buffered_bytes
        checks[-1][1]()
        return checks[-1][0]

    transport.buffered_bytes = MAX_BUFFERED_BYTES + 100
    back_pressure_over(transport).enqueue_after_drain(Member())
    seconds = [check_with(MAX_BUFFERED_BYTES + 100) for _ in range(8)]
    assert seconds == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.32, 0.32]
    assert check_with(MAX_BUFFERED_BYTES + 50) == 0.01
    assert check_with(MAX_BUFFERED_BYTES + 50) == 0.02
