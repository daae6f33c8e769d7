"""A process can be killed at any time. A reader on another process sees each status once, in order, and one end."""

import asyncio
import contextlib

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import MessageCreatedChange, Provenance, RunEvent
from tests.support.full_runs import long_except
from tests.support.run_log_processes import (
    RUN,
    SCOPE,
    THREAD,
    ScriptedStream,
    World,
    a_message,
    a_step,
    kinds,
    pending_events,
    settle,
    simple_run,
    statuses,
    take_all,
    text_delta,
)

LIFE = ("queued", "in_progress", "requires_action", "queued", "in_progress")


@pytest.mark.parametrize("stage", long_except(range(1, len(simple_run("a", "b", "c"))), range(1, 11, 3)))
@pytest.mark.parametrize("kind", ["status", "run"])
async def test_a_killed_stream_recorder_loses_no_status(world: World, stage: int, kind: str) -> None:
    here, there = world.process(), world.process()
    events = simple_run("a", "b", "c")
    await here.hub.record_stream(SCOPE, ScriptedStream(events[:stage]))
    follow = there.events.follow_status if kind == "status" else there.events.follow_run
    world.put_run("in_progress" if stage > 1 else "queued")
    feed = await follow(RUN)
    reading = asyncio.ensure_future(take_all(feed))
    await world.pass_seconds(0.2)
    await here.kill()
    await world.pass_seconds(5)
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("abc", None))
    world.put_run("in_progress")
    await world.pass_seconds(7)
    world.put_run("completed")
    seen = await world.during(reading)
    found = statuses(seen)
    assert found == sorted(set(found), key=["queued", "in_progress", "completed"].index)
    assert found[-1] == "completed"
    if kind == "run":
        names = kinds(seen)
        assert names.count("message finished") == 1
        has_all = stage >= events.index(text_delta("c")) + 1
        was_created = stage >= 4
        assert ("TOKENS_LOST" in names) is (was_created and not has_all)
        assert names[-1] == "completed"
    await feed.aclose()


@pytest.mark.parametrize("stage", long_except(range(len(LIFE)), [1, 2]))
async def test_a_killed_poller_loses_no_status(world: World, stage: int) -> None:
    poller, other = world.process(), world.process()
    life = [*LIFE, "completed"]
    world.put_run(life[0])
    first = await poller.events.follow_status(RUN)
    feed = await other.events.follow_status(RUN)
    reading = asyncio.ensure_future(take_all(feed))
    for place, status in enumerate(life):
        world.put_run(status)
        await world.pass_seconds(8)
        if place == stage:
            await poller.kill()
    assert statuses(await world.during(reading)) == life
    await first.aclose()
    await feed.aclose()


async def test_a_process_that_stops_hands_over_at_once(world: World) -> None:
    poller, other = world.process(), world.process()
    world.put_run("queued")
    first = await world.during(poller.events.follow_status(RUN))
    second = await world.during(other.events.follow_status(RUN))
    pending_events(second)
    await poller.hub.close()
    with pytest.raises(GatewayError) as stopped:
        await take_all(first)
    assert stopped.value.code is ErrorCode.GATEWAY_STOPPING
    world.put_run("completed")
    await world.pass_seconds(0.5)
    assert statuses(pending_events(second)) == ["completed"]
    await first.aclose()
    await second.aclose()


async def test_a_killed_poller_of_a_thread_loses_no_message(world: World) -> None:
    poller, other = world.process(), world.process()
    first = await world.during(poller.events.follow_thread(THREAD))
    second = await world.during(other.events.follow_thread(THREAD))
    await poller.kill()
    world.put_message(a_message("Hi", None, run_id=None))
    await world.pass_seconds(10)
    assert kinds(pending_events(second)) == ["MessageCreatedChange", "message finished"]
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", long_except(range(1, 40), range(2, 40, 7)))
async def test_a_stream_recorder_can_die_at_any_store_call(world: World, moment: str, call: int) -> None:
    """The process dies during one store call, before or after the store has carried it out."""
    here, there = world.process(), world.process()
    setattr(here.log, f"dies_{moment}", call)
    stream = ScriptedStream()
    starting = asyncio.ensure_future(here.hub.record_stream(SCOPE, stream))
    world.put_run("queued")
    feed = await world.during(there.events.follow_run(RUN))
    reading = asyncio.ensure_future(take_all(feed))
    for event in simple_run("a", "b", "c"):
        stream.say([event])
        await world.pass_seconds(0.1)
    await here.kill()
    with contextlib.suppress(GatewayError):
        await starting
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("abc", None))
    world.put_run("completed")
    seen = await world.during(reading)
    found = statuses(seen)
    assert found == sorted(set(found), key=["queued", "in_progress", "completed"].index)
    assert found[-1] == "completed"
    names = kinds(seen)
    assert names[-1] == "completed"
    assert names.count("message finished") == names.count("MessageCreatedChange") == 1
    text = "".join(name for name in names if name in {"a", "b", "c"})
    assert text in {"", "a", "ab", "abc"}
    assert ("TOKENS_LOST" in names) is (text not in {"", "abc"} or (not text and here.log.is_dead and _streamed(seen)))
    await feed.aclose()


def _streamed(events: list[RunEvent]) -> bool:
    """Return whether a message came from a stream."""
    return any(
        isinstance(event.change, MessageCreatedChange) and event.provenance is Provenance.STREAMED for event in events
    )


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", long_except(range(1, 38), range(2, 38, 7)))
async def test_a_poller_can_die_at_any_store_call(world: World, moment: str, call: int) -> None:
    poller, other = world.process(), world.process()
    setattr(poller.log, f"dies_{moment}", call)
    world.put_run("queued")
    opening = asyncio.ensure_future(poller.events.follow_run(RUN))
    await settle()
    feed = await world.during(other.events.follow_run(RUN))
    reading = asyncio.ensure_future(take_all(feed))
    await world.pass_seconds(1)
    world.put_run("in_progress")
    world.put_step(a_step())
    world.put_message(a_message("Hel", None))
    await world.pass_seconds(10, step=0.25)
    world.put_step(a_step(status="completed"))
    world.put_message(a_message("Hello", None))
    await world.pass_seconds(10, step=0.25)
    assert poller.log.is_dead
    world.put_run("completed")
    assert kinds(await world.during(reading)) == [
        "snapshot queued", "step in_progress", "MessageCreatedChange", "in_progress",
        "step completed", "message finished", "completed",
    ]  # fmt: skip
    await poller.kill()
    with contextlib.suppress(GatewayError):
        await (await opening).aclose()
    await feed.aclose()
