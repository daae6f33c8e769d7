"""A session polls while it needs to, and waiting for its start ends."""

import asyncio

import pytest

from gateway.run_log.store.event_log import LogName
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
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
)


async def test_waiting_for_another_process_ends_with_a_timeout(world: World) -> None:
    lease = await world.log.acquire_lease(LogName(SCOPE, RUN))
    assert lease is not None
    process = world.process()
    opening = asyncio.ensure_future(process.events.follow_run(RUN))
    for _ in range(35):
        await world.log.renew_lease(LogName(SCOPE, RUN), lease)
        await world.pass_seconds(1, step=0.5)
    with pytest.raises(GatewayError) as late:
        await opening
    assert late.value.code is ErrorCode.UPSTREAM_TIMEOUT
    assert late.value.retryable


async def test_a_cancelled_start_leaves_nothing_behind(world: World) -> None:
    lease = await world.log.acquire_lease(LogName(SCOPE, RUN))
    assert lease is not None
    process = world.process()
    opening = asyncio.ensure_future(process.events.follow_run(RUN))
    await settle()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    calls = process.log.calls
    await world.pass_seconds(10)
    assert process.log.calls == calls


async def test_a_run_that_is_streamed_here_is_not_polled(world: World) -> None:
    process = world.process()
    world.put_run("queued")
    before = await process.events.follow_run(RUN)
    await world.pass_seconds(1)
    stream = ScriptedStream([said(a_run("queued"))])
    await process.hub.record_stream(SCOPE, stream)
    polls = world.polls()
    await world.pass_seconds(10)
    assert world.polls() == polls
    stream.say([said(a_run("in_progress"))])
    await settle()
    assert kinds(pending_events(before)) == ["snapshot queued", "in_progress"]
    await before.aclose()


async def test_principals_share_nothing(world: World) -> None:
    process = world.process()
    await process.hub.record_stream(SCOPE, ScriptedStream([said(a_run("in_progress"))]))
    stranger = process.hub.bind("principal_2", lambda: world.api)
    with pytest.raises(GatewayError) as missing:
        await world.during(stranger.follow_run(RunKey("thread_1", "run_1")))
    assert missing.value.code is ErrorCode.NOT_FOUND
