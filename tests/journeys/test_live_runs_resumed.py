"""Who comes late sees the whole run; who comes back sees exactly what came after the cursor that they bring."""

from collections.abc import AsyncIterator

import pytest

from schema.contract.keys import to_opaque
from tests.support.emulator import Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    PIECE_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    STEP_SECONDS,
    hold_to_truth,
    start_run,
    statuses,
    truth_of,
)
from tests.support.gateway import Gateway, running_gateway
from tests.support.subscription_clients import LiveSocket, Reader, open_socket, open_stream


@pytest.fixture
async def socket(gateway: Gateway) -> AsyncIterator[LiveSocket]:
    async with open_socket(gateway) as socket:
        yield socket


async def in_the_middle(emulator: Emulator, reader: Reader) -> None:
    """Let a run that is queued write some of its message."""
    emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS + 5 * PIECE_SECONDS)
    await reader.has("TextDelta", 5)


async def test_who_joins_in_the_middle_sees_the_whole_run(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run(emulator, gateway)
    first = await socket.subscribe(RUN_EVENTS, run=run.id)
    await in_the_middle(emulator, first)
    late = await socket.subscribe(RUN_EVENTS, run=run.id)
    await late.has("TextDelta", 5)
    assert late.events == first.events
    emulator.clock.advance(LONG_SECONDS)
    assert await late.finished() == await first.finished()
    after = await socket.subscribe(RUN_EVENTS, run=run.id)
    assert await after.finished() == first.events
    hold_to_truth(late.events, await truth_of(emulator, run))


async def test_each_cursor_leads_to_exactly_what_came_after_it(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run(emulator, gateway)
    first = await socket.subscribe(RUN_EVENTS, run=run.id)
    await in_the_middle(emulator, first)
    early = [
        (place, await socket.subscribe(RUN_EVENTS, run=run.id, after=event["cursor"]))
        for place, event in enumerate(first.events)
    ]
    emulator.clock.advance(LONG_SECONDS)
    events = await first.finished()
    for place, reader in early:
        assert await reader.finished() == events[place + 1 :]
    for place in (0, 3, len(events) - 2, len(events) - 1):
        reader = await socket.subscribe(RUN_EVENTS, run=run.id, after=events[place]["cursor"])
        assert await reader.finished() == events[place + 1 :]


async def test_an_event_stream_is_resumed_by_the_id_of_its_last_event(emulator: Emulator, gateway: Gateway) -> None:
    run = await start_run(emulator, gateway)
    async with open_stream(gateway, RUN_EVENTS, run=run.id) as first:
        await in_the_middle(emulator, first)
        assert first.last_event_id == first.cursor
    emulator.clock.advance(4 * PIECE_SECONDS)  # while nobody looks
    # A browser sends its document once more, with whatever cursor it began with.
    began, last = first.events[0]["cursor"], first.last_event_id
    async with open_stream(gateway, RUN_EVENTS, last_event_id=last, run=run.id, after=began) as second:
        emulator.clock.advance(LONG_SECONDS)
        await second.finished()
    events = [*first.events, *second.events]
    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    hold_to_truth(events, await truth_of(emulator, run))
    assert len({event["cursor"] for event in events}) == len(events)


async def test_what_is_no_cursor_of_this_run_is_refused(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run, other = await start_run(emulator, gateway), await start_run(emulator, gateway)
    reader = await socket.subscribe(RUN_EVENTS, run=other.id)
    await reader.has("RunSnapshot")
    for damaged in ("nonsense", reader.cursor[:-3], reader.cursor, to_opaque("event", "Run", "1")):
        refused = await (await socket.subscribe(RUN_EVENTS, run=run.id, after=damaged)).ended()
        assert refused.refusals == ["BAD_USER_INPUT"]
        expected = "Argument 'after': expected a cursor made by this gateway for this run, got "
        assert [error["message"].startswith(expected) for error in refused.errors or ()] == [True]
        async with open_stream(gateway, RUN_EVENTS, last_event_id=damaged, run=run.id) as stream:
            assert (await stream.ended()).refusals == ["BAD_USER_INPUT"]


async def test_after_a_restart_without_redis_a_cursor_has_expired_and_the_present_follows(emulator: Emulator) -> None:
    async with running_gateway(emulator.url) as gateway, open_socket(gateway) as socket:
        run = await start_run(emulator, gateway)
        before = await socket.subscribe(RUN_EVENTS, run=run.id)
        await in_the_middle(emulator, before)
        cursor = before.cursor
    async with running_gateway(emulator.url) as gateway, open_socket(gateway) as socket:
        reader = await socket.subscribe(RUN_EVENTS, run=run.id, after=cursor)
        await reader.has("RunSnapshot")
        assert [event["type"] for event in reader.events] == ["StreamError", "RunSnapshot"]
        expired, snapshot = reader.events
        assert (expired["code"], expired["final"]) == ("CURSOR_EXPIRED", False)
        assert snapshot["run"] == {"status": "IN_PROGRESS"}
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.finished()
        assert statuses(events) == ["IN_PROGRESS", "COMPLETED"]
        hold_to_truth(events, await truth_of(emulator, run))
