"""One process polls for all, as often as the run changes. The others stand by."""

from typing import Any

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.kinds import RunStepPageKey
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from tests.support.run_log_processes import (
    RUN,
    SCOPE,
    ScriptedStream,
    World,
    a_run,
    kinds,
    pending_events,
    said,
    settle,
    statuses,
    take_all,
)


async def test_polls_come_quickly_after_a_change_and_slowly_without_one(world: World) -> None:
    process = world.process()
    world.put_run("queued")
    feed = await process.events.follow_status(RUN)
    await world.pass_seconds(2)
    quick = world.polls()
    assert quick >= 4
    await world.pass_seconds(20)
    slow = world.polls()
    await world.pass_seconds(20)
    assert world.polls() - slow <= 5
    world.put_run("in_progress")
    await world.pass_seconds(6)
    changed = world.polls()
    await world.pass_seconds(1.3)
    assert world.polls() > changed
    assert statuses(pending_events(feed)) == ["queued", "in_progress"]
    await feed.aclose()


async def test_only_one_of_many_processes_polls(world: World) -> None:
    processes = [world.process() for _ in range(4)]
    world.put_run("in_progress")
    feeds = [await world.during(process.events.follow_status(RUN)) for process in processes]
    before = world.polls()
    await world.pass_seconds(30, step=0.25)
    assert world.polls() - before <= 12
    world.put_run("completed")
    for feed in feeds:
        assert statuses(await world.during(take_all(feed))) == ["in_progress", "completed"]
        await feed.aclose()


async def test_a_reader_that_needs_details_is_served_at_once(world: World) -> None:
    process = world.process()
    world.put_run("in_progress")
    status = await process.events.follow_status(RUN)
    await world.pass_seconds(30, step=0.5)
    polls = world.polls("list_run_steps")
    run = await process.events.follow_run(RUN)
    await settle()
    assert world.polls("list_run_steps") == polls + 1
    another = await process.events.follow_run(RUN)
    await settle()
    assert world.polls("list_run_steps") == polls + 1
    for feed in (status, run, another):
        await feed.aclose()


async def test_failed_polls_end_no_reader_and_are_not_logged_as_events(world: World) -> None:
    process = world.process()
    world.put_run("queued")
    feed = await process.events.follow_run(RUN)
    world.api.fail[RUN] = GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, "No.")
    await world.pass_seconds(120, step=0.5)
    assert 5 <= world.polls() <= 20
    del world.api.fail[RUN]
    world.put_run("completed")
    await world.pass_seconds(31, step=0.5)
    assert kinds(pending_events(feed)) == ["snapshot queued", "completed"]
    await feed.aclose()


async def test_a_slow_poll_does_not_lose_the_lease(world: World) -> None:
    poller, other = world.process(), world.process()
    world.put_run("queued")
    first = await poller.events.follow_status(RUN)
    second = await world.during(other.events.follow_status(RUN))
    get = world.api.get

    async def slowly(kind: Any, keys: list[Any]) -> object:
        await world.sleep(20)
        return await get(kind, keys)

    world.api.get = slowly  # type: ignore[assignment, method-assign]
    before = world.polls()
    await world.pass_seconds(65, step=0.5)
    assert world.polls() - before <= 3
    for feed in (first, second):
        await feed.aclose()


async def test_a_preempted_process_polls_no_more(world: World) -> None:
    here, there = world.process(), world.process()
    world.put_run("queued")
    feed = await there.events.follow_run(RUN)
    await world.pass_seconds(1)
    stream = ScriptedStream([said(a_run("queued"))])
    await here.hub.record_stream(SCOPE, stream)
    await world.pass_seconds(5)
    polls = world.polls()
    await world.pass_seconds(60, step=0.5)
    assert world.polls() == polls
    stream.say([said(a_run("failed"))])
    assert kinds(await world.during(take_all(feed))) == ["snapshot queued", "failed"]
    await feed.aclose()


async def test_an_unexpected_error_ends_the_readers(world: World, caplog: pytest.LogCaptureFixture) -> None:
    process = world.process()
    world.put_run("queued")
    feed = await process.events.follow_status(RUN)
    pending_events(feed)
    world.api.get = None  # type: ignore[assignment, method-assign]
    with pytest.raises(GatewayError) as failed:
        await world.during(take_all(feed))
    assert failed.value.code is ErrorCode.INTERNAL
    assert len(caplog.records) == 1
    await feed.aclose()


async def test_refused_parts_are_fetched_again_after_retry_after(world: World) -> None:
    process = world.process()
    world.put_run("in_progress")
    feed = await world.during(process.events.follow_run(RUN))
    steps = RunStepPageKey(*RUN, Window(UPSTREAM_PAGE_SIZE, "asc"))
    world.api.fail[steps] = GatewayError(ErrorCode.RATE_LIMITED, "Slow down.", retry_after_ms=20_000)
    await world.pass_seconds(6)
    polls = world.polls("list_run_steps")
    process.hub.poll_soon(SCOPE, RUN)
    await world.pass_seconds(12)
    assert world.polls("list_run_steps") == polls
    await world.pass_seconds(10)
    assert world.polls("list_run_steps") > polls
    await feed.aclose()
