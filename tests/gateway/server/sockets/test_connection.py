import asyncio
from typing import cast

import pytest

from gateway.server.http.held_bytes import UnreadBytes
from gateway.server.sockets.connection import StalledClientWatch

# The time of uvloop cannot be set.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


class FakeTransport:
    """A transport with as many waiting bytes as a test sets."""

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self.aborts: list[float] = []

    def get_write_buffer_size(self) -> int:
        return self.waiting_bytes

    def abort(self) -> None:
        self.aborts.append(asyncio.get_running_loop().time())


class LoopTime:
    """The time of the running event loop, which a test moves."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    async def advance(self, seconds: float) -> None:
        """Move the time in small steps, and let all timers run that are due."""
        for _ in range(100):
            self._now += seconds / 100
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.fixture
async def loop_time(monkeypatch: pytest.MonkeyPatch) -> LoopTime:
    loop_time = LoopTime()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", loop_time.now)
    return loop_time


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


def started_watch(transport: FakeTransport) -> StalledClientWatch:
    transport.waiting_bytes = 1_000
    watch = StalledClientWatch(cast("asyncio.Transport", transport), 60.0, UnreadBytes(1_000_000))
    watch.start()
    return watch


async def test_a_client_that_reads_nothing_is_stalled(loop_time: LoopTime, transport: FakeTransport) -> None:
    watch = started_watch(transport)
    await loop_time.advance(59)
    assert not transport.aborts
    await loop_time.advance(10)
    assert transport.aborts
    watch.stop()


async def test_more_bytes_to_read_are_no_progress(loop_time: LoopTime, transport: FakeTransport) -> None:
    watch = started_watch(transport)
    for _ in range(7):
        transport.waiting_bytes += 1
        await loop_time.advance(10)
    assert transport.aborts
    watch.stop()


async def test_a_client_that_reads_slowly_is_not_stalled(loop_time: LoopTime, transport: FakeTransport) -> None:
    watch = started_watch(transport)
    for _ in range(20):
        transport.waiting_bytes -= 1
        await loop_time.advance(50)
    assert not transport.aborts
    watch.stop()


async def test_a_client_that_has_read_all_is_not_watched(loop_time: LoopTime, transport: FakeTransport) -> None:
    started_watch(transport).stop()
    await loop_time.advance(600)
    assert not transport.aborts
