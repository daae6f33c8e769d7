"""Tests that a late reader sees the whole run, and that a returning reader gets exactly the events after its cursor."""

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
    check_events_match_messages,
    messages_of_run,
    start_run,
    statuses,
)
from tests.support.gateway import Gateway, running_gateway
from tests.support.subscription_clients import LiveSocket, SubscriptionReader, open_socket, open_stream


@pytest.fixture
async def socket(gateway: Gateway) -> AsyncIterator[LiveSocket]:
    async with open_socket(gateway) as socket:
        yield socket


async def in_the_middle(emulator: Emulator, reader: SubscriptionReader) -> None:
    """Let a queued run write some of its message."""
    emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS + 5 * PIECE_SECONDS)
    await reader.wait_for_event("TextDelta", 5)


async def test_a_reader_that_joins_in_the_middle_sees_the_whole_run(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run(emulator, gateway)
    first = await socket.subscribe(RUN_EVENTS, run=run.id)
    await in_the_middle(emulator, first)
    late = await socket.subscribe(RUN_EVENTS, run=run.id)
    await late.wait_for_event("TextDelta", 5)
    assert late.events == first.events
    emulator.clock.advance(LONG_SECONDS)
    assert await late.wait_for_completion() == await first.wait_for_completion()
    after = await socket.subscribe(RUN_EVENTS, run=run.id)
    assert await after.wait_for_completion() == first.events
    check_events_match_messages(late.events, await messages_of_run(emulator, run))


async def test_each_cursor_gives_exactly_the_events_after_it(
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
    events = await first.wait_for_completion()
    for place, reader in early:
        assert await reader.wait_for_completion() == events[place + 1 :]
    for place in (0, 3, len(events) - 2, len(events) - 1):
        reader = await socket.subscribe(RUN_EVENTS, run=run.id, after=events[place]["cursor"])
        assert await reader.wait_for_completion() == events[place + 1 :]


async def test_an_event_stream_is_resumed_by_the_id_of_its_last_event(emulator: Emulator, gateway: Gateway) -> None:
    run = await start_run(emulator, gateway)
    async with open_stream(gateway, RUN_EVENTS, run=run.id) as first:
        await in_the_middle(emulator, first)
        assert first.last_event_id == first.cursor
    emulator.clock.advance(4 * PIECE_SECONDS)  # while there is no reader
    # A browser sends its document once more, with whatever cursor it began with.
    began, last = first.events[0]["cursor"], first.last_event_id
    async with open_stream(gateway, RUN_EVENTS, last_event_id=last, run=run.id, after=began) as second:
        emulator.clock.advance(LONG_SECONDS)
        await second.wait_for_completion()
    events = [*first.events, *second.events]
    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    check_events_match_messages(events, await messages_of_run(emulator, run))
    assert len({event["cursor"] for event in events}) == len(events)


async def test_a_cursor_that_is_not_of_this_run_is_refused(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run, other = await start_run(emulator, gateway), await start_run(emulator, gateway)
    reader = await socket.subscribe(RUN_EVENTS, run=other.id)
    await reader.wait_for_event("RunSnapshot")
    for damaged in ("nonsense", reader.cursor[:-3], reader.cursor, to_opaque("event", "Run", "1")):
        refused = await (await socket.subscribe(RUN_EVENTS, run=run.id, after=damaged)).wait_for_end()
        assert refused.error_codes == ["BAD_USER_INPUT"]
        expected = "Argument 'after': expected a cursor made by this gateway for this run, got "
        assert [error["message"].startswith(expected) for error in refused.errors or ()] == [True]
        async with open_stream(gateway, RUN_EVENTS, last_event_id=damaged, run=run.id) as stream:
            assert (await stream.wait_for_end()).error_codes == ["BAD_USER_INPUT"]


async def test_after_a_restart_without_redis_a_cursor_has_expired_and_a_snapshot_follows(emulator: Emulator) -> None:
    async with running_gateway(emulator.url) as gateway, open_socket(gateway) as socket:
        run = await start_run(emulator, gateway)
        before = await socket.subscribe(RUN_EVENTS, run=run.id)
        await in_the_middle(emulator, before)
        cursor = before.cursor
    async with running_gateway(emulator.url) as gateway, open_socket(gateway) as socket:
        reader = await socket.subscribe(RUN_EVENTS, run=run.id, after=cursor)
        await reader.wait_for_event("RunSnapshot")
        assert [event["type"] for event in reader.events] == ["StreamError", "RunSnapshot"]
        expired, snapshot = reader.events
        assert (expired["code"], expired["final"]) == ("CURSOR_EXPIRED", False)
        assert snapshot["run"] == {"status": "IN_PROGRESS"}
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.wait_for_completion()
        assert statuses(events) == ["IN_PROGRESS", "COMPLETED"]
        check_events_match_messages(events, await messages_of_run(emulator, run))
