"""Processes that share a real Redis: one log, one upstream reader, and no end when Redis is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.run_log.hub import RunLogHub
from gateway.run_log.partial_content import texts_from_message
from gateway.run_log.store.event_log import Draft, LogName
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_log import RedisLog
from schema.contract.ports import RunEvents
from schema.contract.run_events import Provenance, RunEvent, SnapshotChange, TextDeltaChange
from tests.support.run_log_processes import (
    RUN,
    SCOPE,
    THREAD,
    ScriptedStream,
    World,
    a_message,
    a_run,
    kinds,
    pending_events,
    settle,
    simple_run,
    statuses,
    take_all,
)
from tests.support.valkey import Valkey

WORDS = [str(number) for number in range(2_000)]


@asynccontextmanager
async def a_process(url: str, world: World) -> AsyncIterator[tuple[RunLogHub, RunEvents]]:
    # A long deadline, because the test machine may be busy.
    log = RedisLog(RedisConnection(url, deadline_seconds=5.0))
    await log.connect()
    hub = RunLogHub(log)
    try:
        yield hub, hub.bind(SCOPE, lambda: world.api)
    finally:
        await hub.close()
        await log.close()


async def test_a_stream_is_followed_on_another_process(valkey: Valkey, world: World) -> None:
    async with a_process(valkey.url, world) as (hub, here), a_process(valkey.url, world) as (_, there):
        events = simple_run(*WORDS)
        stream = ScriptedStream(events[:5])
        await hub.record_stream(SCOPE, stream)
        feeds = [await here.follow_run(RUN), await there.follow_run(RUN)]
        for place in range(5, len(events), 10):
            stream.say(events[place : place + 10])
            await asyncio.sleep(0)
        first, second = [kinds(await take_all(feed)) for feed in feeds]
        assert first == second
        assert first[4 : 4 + len(WORDS)] == WORDS
        assert first[-1] == "completed"
        assert world.api.calls == []
        for feed in feeds:
            await feed.aclose()


async def test_a_poller_hands_over_and_no_event_is_missed(valkey: Valkey, world: World) -> None:
    world.put_run("queued")
    async with a_process(valkey.url, world) as (hub, here), a_process(valkey.url, world) as (_, there):
        first, second = await here.follow_status(RUN), await there.follow_status(RUN)
        await hub.close()
        world.put_run("completed")
        assert statuses(await take_all(second)) == ["queued", "completed"]
        await first.aclose()
        await second.aclose()


async def test_a_thread_is_followed_on_two_processes(valkey: Valkey, world: World) -> None:
    async with a_process(valkey.url, world) as (_, here), a_process(valkey.url, world) as (_, there):
        feeds = [await here.follow_thread(THREAD), await there.follow_thread(THREAD)]
        world.put_message(a_message("Hi", None, run_id=None))
        for feed in feeds:
            assert kinds([await anext(feed), await anext(feed)]) == ["MessageCreatedChange", "message finished"]
            await feed.aclose()


async def test_a_lost_redis_ends_no_reader(valkey: Valkey, world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with a_process(valkey.url, world) as (hub, here):
        events = simple_run("a", "b", "c")
        stream = ScriptedStream(events[:5])
        await hub.record_stream(SCOPE, stream)
        feed = await here.follow_run(RUN)
        before = pending_events(feed)
        valkey.kill()
        for event in events[5:]:
            stream.say([event])
            await settle()
        assert kinds([*before, *await take_all(feed)]) == [
            "snapshot queued", "in_progress", "step in_progress", "MessageCreatedChange", "a", "b", "c",
            "message finished", "step completed", "completed",
        ]  # fmt: skip
        assert sum("alone" in record.message for record in caplog.records) == 1
        await feed.aclose()
        valkey.start()


def text_seen(events: list[RunEvent]) -> str:
    """Return the text that a client has after it applied the events: a snapshot replaces it, a delta appends."""
    text = ""
    for event in events:
        if isinstance(event.change, SnapshotChange):
            text = "".join(text for message in event.change.messages for text in texts_from_message(message))
        elif isinstance(event.change, TextDeltaChange):
            text += event.change.value
    return text


@pytest.mark.parametrize("is_polled_meanwhile", [False, True])
async def test_a_stream_goes_on_live_after_redis_lost_its_log(
    valkey: Valkey, world: World, *, is_polled_meanwhile: bool
) -> None:
    """With `is_polled_meanwhile`, another process takes the lost log over before the stream's next text."""
    async with a_process(valkey.url, world) as (hub, here), a_process(valkey.url, world) as (_, there):
        begun, rest = simple_run("a", "b", "c", "d")[:6], simple_run("a", "b", "c", "d")[6:]
        stream = ScriptedStream(begun)
        await hub.record_stream(SCOPE, stream)
        world.put_run("in_progress")
        world.put_message(a_message())
        feeds = [await here.follow_run(RUN), await there.follow_run(RUN)]
        read: list[list[RunEvent]] = [pending_events(feed) for feed in feeds]
        valkey.command("FLUSHALL")
        if is_polled_meanwhile:
            log = RedisLog(RedisConnection(valkey.url, deadline_seconds=5.0))
            name = LogName(SCOPE, RUN)
            lease = await log.acquire_lease(name)
            assert lease is not None
            polled = SnapshotChange(a_run("in_progress"), [], [a_message()])
            await log.append(name, lease, [Draft(Provenance.POLLED, polled)])
            await log.close()

        async def read_until(is_reached: Callable[[], bool]) -> None:
            while not is_reached():
                for events, feed in zip(read, feeds, strict=True):
                    events.extend(pending_events(feed))
                await asyncio.sleep(0.01)

        async with asyncio.timeout(20):
            for count, event in enumerate(rest[:2], 1):
                stream.say([event])
                await read_until(lambda count=count: all(text_seen(events) == "abcd"[: 2 + count] for events in read))  # type: ignore[misc]
            stream.say(rest[2:])
            await read_until(lambda: all(kinds(events)[-1] == "completed" for events in read))
        for events in read:
            assert text_seen(events) == "abcd"
            assert [event.provenance for event in events if kinds([event]) == ["d"]] == [Provenance.STREAMED]
            assert sum(isinstance(event.change, SnapshotChange) for event in events[1:]) <= 2
        for feed in feeds:
            await feed.aclose()
