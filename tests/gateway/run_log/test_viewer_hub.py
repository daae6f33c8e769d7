"""Tests that viewers are told of changes of their list, also while the shared log is away, and when it is back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.run_log.replay_buffer import EventReader, ReplayBufferLimits
from gateway.run_log.store.event_log import LogName, ViewerKey
from gateway.run_log.store.memory_log import MemoryLog
from gateway.run_log.viewer_hub import ViewerHub
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import FaultChange, LaggedChange, ThreadChange
from tests.support.run_log_processes import FrailLog
from tests.support.subscription_gateway import until

LIST = LogName("scope", ViewerKey("ann"))
OTHERS = LogName("scope", ViewerKey("bob"))


class Sleeper:
    """A sleep that ends when a test says so."""

    def __init__(self) -> None:
        self._wakes = asyncio.Semaphore(0)

    async def sleep(self, _: float) -> None:
        await self._wakes.acquire()

    def wake(self) -> None:
        self._wakes.release()


@pytest.fixture
def shared() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def frail(shared: MemoryLog) -> FrailLog:
    return FrailLog(shared)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
async def hub(frail: FrailLog, sleeper: Sleeper) -> AsyncIterator[ViewerHub]:
    hub = ViewerHub(frail, sleep=sleeper.sleep)
    yield hub
    await hub.close()


@pytest.fixture
async def other(shared: MemoryLog) -> AsyncIterator[ViewerHub]:
    """The hub of another process, which always reaches the log."""
    hub = ViewerHub(FrailLog(shared))
    yield hub
    await hub.close()


def changed(thread_id: str) -> ThreadChange:
    return ThreadChange(thread_id)


async def read(reader: EventReader, count: int = 1) -> list[str]:
    """Read so many events: the threads that changed, and the names of other changes."""
    found = []
    async with asyncio.timeout(10):
        for _ in range(count):
            change = (await anext(reader)).change
            match change:
                case ThreadChange():
                    found.append(change.thread_id)
                case FaultChange():
                    found.append(change.code)
                case _:
                    found.append(type(change).__name__)
    return found


async def begin(hub: ViewerHub, name: LogName) -> EventReader:
    """Follow a list from now on, which is told first."""
    reader = await hub.follow(name)
    first = reader.poll_event()
    assert first is not None
    assert first.change == LaggedChange(0)
    return reader


async def test_a_reader_begins_with_the_changes_from_now_on_of_all_processes(hub: ViewerHub, other: ViewerHub) -> None:
    await hub.publish(LIST, [changed("before")])
    reader = await begin(hub, LIST)
    assert reader.poll_event() is None
    await other.publish(LIST, [changed("one"), changed("two")])
    await other.publish(OTHERS, [changed("another's")])
    await hub.publish(LIST, [changed("three")])
    assert await read(reader, 3) == ["one", "two", "three"]
    assert reader.poll_event() is None


async def test_a_reader_goes_on_behind_its_cursor_at_any_process(hub: ViewerHub, other: ViewerHub) -> None:
    reader = await begin(hub, LIST)
    await hub.publish(LIST, [changed("one")])
    cursor = (await anext(reader)).cursor
    await reader.aclose()
    assert not hub.is_followed(LIST)
    await hub.publish(LIST, [changed("two")])
    resumed = await other.follow(LIST, cursor)
    assert await read(resumed) == ["two"]


async def test_a_reader_goes_on_behind_its_beginning(hub: ViewerHub, other: ViewerHub) -> None:
    await hub.publish(LIST, [changed("before")])
    reader = await hub.follow(LIST)
    cursor = (await anext(reader)).cursor
    await reader.aclose()
    await hub.publish(LIST, [changed("one")])
    assert await read(await other.follow(LIST, cursor)) == ["one"]


@pytest.mark.parametrize("cursor", ["garbage", ""])
async def test_a_text_that_is_no_cursor_is_refused(hub: ViewerHub, cursor: str) -> None:
    with pytest.raises(GatewayError) as refused:
        await hub.follow(LIST, cursor)
    assert refused.value.code is ErrorCode.BAD_USER_INPUT


async def test_another_s_cursor_is_refused(hub: ViewerHub) -> None:
    reader = await begin(hub, OTHERS)
    await hub.publish(OTHERS, [changed("one")])
    cursor = (await anext(reader)).cursor
    with pytest.raises(GatewayError) as refused:
        await hub.follow(LIST, cursor)
    assert refused.value.code is ErrorCode.BAD_USER_INPUT


async def test_a_cursor_that_is_too_old_is_told_so(frail: FrailLog, hub: ViewerHub) -> None:
    reader = await begin(hub, LIST)
    await hub.publish(LIST, [changed("one")])
    cursor = (await anext(reader)).cursor
    await reader.aclose()
    frail.lose_all()
    resumed = await hub.follow(LIST, cursor)
    await hub.publish(LIST, [changed("two")])
    assert await read(resumed, 2) == ["CURSOR_EXPIRED", "two"]


async def test_a_reader_that_is_too_slow_is_told_how_much_it_missed(shared: MemoryLog) -> None:
    hub = ViewerHub(shared, limits=ReplayBufferLimits(entries=2))
    reader = await begin(hub, LIST)
    await hub.publish(LIST, [changed(str(number)) for number in range(5)])
    await until(lambda: reader.buffer.end_index == 5)
    change = (await anext(reader)).change
    assert change == LaggedChange(5)
    await hub.close()


async def test_without_the_shared_log_a_process_tells_its_own_and_later_that_something_was_missed(
    frail: FrailLog, hub: ViewerHub, other: ViewerHub, sleeper: Sleeper
) -> None:
    reader = await begin(hub, LIST)
    await other.publish(LIST, [changed("one")])
    assert await read(reader) == ["one"]
    frail.is_cut_off = True
    await hub.publish(LIST, [changed("two")])
    assert await read(reader) == ["two"]
    await other.publish(LIST, [changed("not told")])
    sleeper.wake()
    await hub.publish(LIST, [changed("three")])
    assert await read(reader) == ["three"]
    frail.is_cut_off = False
    sleeper.wake()
    assert await read(reader) == ["CURSOR_EXPIRED"]
    await other.publish(LIST, [changed("four")])
    await hub.publish(LIST, [changed("five")])
    assert await read(reader, 2) == ["four", "five"]


async def test_a_return_to_an_empty_log_tells_that_something_was_missed_too(
    frail: FrailLog, hub: ViewerHub, sleeper: Sleeper
) -> None:
    reader = await begin(hub, LIST)
    frail.is_cut_off = True
    await hub.publish(LIST, [changed("one")])
    assert await read(reader) == ["one"]
    frail.lose_all()
    frail.is_cut_off = False
    sleeper.wake()
    assert await read(reader) == ["CURSOR_EXPIRED"]
    await hub.publish(LIST, [changed("two")])
    assert await read(reader) == ["two"]


async def test_what_nobody_follows_is_lost_with_the_log_and_never_raises(
    frail: FrailLog, hub: ViewerHub, caplog: pytest.LogCaptureFixture
) -> None:
    frail.is_cut_off = True
    await hub.publish(LIST, [changed("one")])
    assert "changes of a viewer's list were not published" in caplog.text
    caplog.clear()


async def test_readers_can_be_ended_and_come_again(hub: ViewerHub) -> None:
    reader, stranger = await begin(hub, LIST), await begin(hub, OTHERS)
    hub.end_readers(LIST, GatewayError(ErrorCode.UNAUTHENTICATED, "no"))
    hub.end_readers(LIST, GatewayError(ErrorCode.UNAUTHENTICATED, "no"))
    with pytest.raises(GatewayError, match="no"):
        await anext(reader)
    again = await begin(hub, LIST)
    await reader.aclose()
    await hub.publish(LIST, [changed("one")])
    await hub.publish(OTHERS, [changed("two")])
    assert (await read(again), await read(stranger)) == (["one"], ["two"])


async def test_a_hub_that_stops_ends_all_readers_and_takes_no_more(hub: ViewerHub) -> None:
    reader = await begin(hub, LIST)
    await hub.close()
    for failing in (anext(reader), hub.follow(LIST)):
        with pytest.raises(GatewayError) as stopped:
            await failing
        assert stopped.value.code is ErrorCode.GATEWAY_STOPPING


async def test_one_process_at_a_time_watches_a_list(frail: FrailLog, hub: ViewerHub, other: ViewerHub) -> None:
    assert await hub.acquire_watch(LIST)
    assert await hub.acquire_watch(LIST), "it goes on"
    assert not await other.acquire_watch(LIST)
    await hub.release_watch(LIST)
    await hub.release_watch(LIST)
    assert await other.acquire_watch(LIST)
    await other.release_watch(LIST)
    assert await hub.acquire_watch(LIST)
    assert await other.acquire_watch(OTHERS)
    await hub.publish(LIST, [changed("one")])
    frail.is_cut_off = True
    assert await hub.acquire_watch(LIST), "each for itself without the shared log"
