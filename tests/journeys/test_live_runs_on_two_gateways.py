"""Tests two gateways with one Redis: readers of either get the events of both, also while Redis is down."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.emulator import Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    PIECE_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    RUN_STATUS,
    STEP_SECONDS,
    THREAD_EVENTS,
    check_events_match_messages,
    messages_of_run,
    start_run,
    start_run_without_gateway,
    start_tool_run,
    statuses,
    submit_outputs,
    wait_for_status,
)
from tests.support.gateway import Gateway, running_gateway
from tests.support.subscription_clients import open_socket, open_stream
from tests.support.valkey import Valkey, running_valkey


@asynccontextmanager
async def two_gateways(emulator: Emulator, redis_url: str, **settings: Any) -> AsyncIterator[tuple[Gateway, Gateway]]:
    shared = {"redis_url": redis_url, **settings}
    async with running_gateway(emulator.url, **shared) as first, running_gateway(emulator.url, **shared) as other:
        yield first, other


async def test_a_run_started_on_one_gateway_is_shown_from_the_beginning_on_another(
    emulator: Emulator, valkey: Valkey
) -> None:
    async with two_gateways(emulator, valkey.url) as (first, other):
        run = await start_run(emulator, first)
        async with open_socket(first) as on_first, open_socket(other) as on_other:
            here = await on_first.subscribe(RUN_EVENTS, run=run.id)
            there = await on_other.subscribe(RUN_EVENTS, run=run.id)
            await there.wait_for_event("RunSnapshot")
            emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS + 5 * PIECE_SECONDS)
            await asyncio.gather(*(reader.wait_for_event("TextDelta", 5) for reader in (here, there)))
            late = await on_other.subscribe(RUN_EVENTS, run=run.id)
            await late.wait_for_event("TextDelta", 5)
            resumed = await on_other.subscribe(RUN_EVENTS, run=run.id, after=here.events[3]["cursor"])
            emulator.clock.advance(LONG_SECONDS)
            events = await here.wait_for_completion()
            assert await there.wait_for_completion() == await late.wait_for_completion() == events
            assert await resumed.wait_for_completion() == events[4:]
            after_all = await on_other.subscribe(RUN_EVENTS, run=run.id, after=events[-3]["cursor"])
            assert await after_all.wait_for_completion() == events[-2:]
            check_events_match_messages(events, await messages_of_run(emulator, run))
    assert emulator.counts.by_operation["createRun"] == 1
    assert "getRun" not in emulator.counts.by_operation


async def test_a_run_started_elsewhere_is_polled_by_only_one_gateway(emulator: Emulator, valkey: Valkey) -> None:
    run = await start_run_without_gateway(emulator)
    async with (
        two_gateways(emulator, valkey.url) as (first, other),
        open_socket(first) as on_first,
        open_socket(other) as on_other,
    ):
        emulator.counts.reset()
        # The reader on the polling gateway wants only the status. The other reader wants everything and requests it.
        status = await on_first.subscribe(RUN_STATUS, run=run.id)
        await status.wait_for_event("RunStatusChange")
        events = await on_other.subscribe(RUN_EVENTS, run=run.id)
        await events.wait_for_event("RunSnapshot")
        emulator.clock.advance(QUEUED_SECONDS)
        await asyncio.gather(
            *(reader.wait_for_event("RunStatusChange", status="IN_PROGRESS") for reader in (status, events))
        )
        emulator.clock.advance(STEP_SECONDS)
        await events.wait_for_event("StepChanged")
        emulator.clock.advance(LONG_SECONDS)
        assert statuses(await status.wait_for_completion()) == statuses(await events.wait_for_completion())
        assert statuses(events.events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
        poll_count = emulator.counts.by_operation["getRun"]
        check_events_match_messages(events.events, await messages_of_run(emulator, run))
    assert poll_count <= 15


async def test_a_query_after_an_event_sees_the_new_state_on_every_gateway(emulator: Emulator, valkey: Valkey) -> None:
    state = """query ($run: ID!) { run(id: $run) { status messages { nodes { text } } thread { activeRun { id } } } }"""
    async with two_gateways(emulator, valkey.url, gateway_cache=True) as gateways:
        run = await start_run(emulator, gateways[0])
        async with open_socket(gateways[1]) as socket:
            reader = await socket.subscribe(RUN_EVENTS, run=run.id)
            await reader.wait_for_event("RunSnapshot")
            for seconds, status in ((0, "QUEUED"), (QUEUED_SECONDS, "IN_PROGRESS"), (LONG_SECONDS, "COMPLETED")):
                emulator.clock.advance(seconds)
                await wait_for_status(reader, status)
                truth = await messages_of_run(emulator, run)
                for gateway in reversed(gateways):
                    shown = (await gateway.data(state, {"run": run.id}))["run"]
                    assert shown["status"] == status
                    assert [node["text"] for node in shown["messages"]["nodes"]] == [
                        message["text"] for message in truth
                    ]
                    assert (shown["thread"]["activeRun"] is None) == (status == "COMPLETED")


async def test_outputs_submitted_to_one_gateway_continue_the_run_for_the_reader_of_the_other(
    emulator: Emulator, valkey: Valkey
) -> None:
    async with two_gateways(emulator, valkey.url) as (first, other), open_socket(other) as socket:
        run = await start_tool_run(emulator, first)
        reader = await socket.subscribe(RUN_EVENTS, run=run.id)
        emulator.clock.advance(LONG_SECONDS)
        await reader.wait_for_event("RunStatusChange", status="REQUIRES_ACTION")
        await submit_outputs(other, emulator, run)
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.wait_for_completion()
        before = ["QUEUED", "IN_PROGRESS", "REQUIRES_ACTION"]
        assert statuses(events) == [*before, "QUEUED", "IN_PROGRESS", "COMPLETED"]
        check_events_match_messages(events, await messages_of_run(emulator, run))


async def test_a_thread_written_through_one_gateway_is_followed_on_the_other(
    emulator: Emulator, valkey: Valkey
) -> None:
    async with two_gateways(emulator, valkey.url) as (first, other), open_socket(other) as socket:
        run = await start_run(emulator, first)
        reader = await socket.subscribe(THREAD_EVENTS, thread=run.thread_id)
        await reader.wait_for_event("RunStatusChange", status="QUEUED")
        emulator.clock.advance(QUEUED_SECONDS)
        await reader.wait_for_event("RunStatusChange", status="IN_PROGRESS")
        emulator.clock.advance(LONG_SECONDS)
        await reader.wait_for_event("RunStatusChange", status="COMPLETED")
        (finished,) = reader.of_type("MessageFinished")
        assert [finished["message"]["text"]] == [message["text"] for message in await messages_of_run(emulator, run)]


async def test_two_principals_never_meet_in_redis(emulator: Emulator, valkey: Valkey) -> None:
    async with two_gateways(emulator, valkey.url) as (first, other):
        run = await start_run(emulator, first)
        async with open_stream(first, RUN_EVENTS, run=run.id) as own:
            await own.wait_for_event("RunSnapshot")
            for after in (None, own.cursor):
                async with open_stream(other, RUN_EVENTS, key="other", run=run.id, last_event_id=after) as stranger:
                    await stranger.wait_for_end()
                    assert stranger.error_codes == ["NOT_FOUND"]
                    assert stranger.events == []


async def test_without_redis_from_the_start_runs_are_followed_within_each_gateway(
    emulator: Emulator, tmp_path: Any
) -> None:
    async with two_gateways(emulator, f"unix://{tmp_path}/nobody.sock") as (first, other):
        run = await start_run(emulator, first)
        async with open_socket(first) as on_first, open_socket(other) as on_other:
            here = await on_first.subscribe(RUN_EVENTS, run=run.id)
            there = await on_other.subscribe(RUN_EVENTS, run=run.id)
            await asyncio.gather(here.wait_for_event("RunSnapshot"), there.wait_for_event("RunSnapshot"))
            emulator.clock.advance(QUEUED_SECONDS)
            await asyncio.gather(*(reader.wait_for_event("RunStatusChange") for reader in (here, there)))
            emulator.clock.advance(LONG_SECONDS)
            for reader, provenance in ((here, "STREAMED"), (there, "POLLED")):
                events = await reader.wait_for_completion()
                assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
                check_events_match_messages(events, await messages_of_run(emulator, run))
                assert {event["provenance"] for event in events if "provenance" in event} == {provenance}


@pytest.mark.parametrize("back", [False, True], ids=["stays away", "comes back empty"])
async def test_readers_lose_nothing_when_redis_dies_in_the_middle(emulator: Emulator, back: bool) -> None:
    with running_valkey() as redis:
        async with two_gateways(emulator, redis.url) as (first, other):
            streamed, polled = await start_run(emulator, first), await start_run_without_gateway(emulator)
            async with open_socket(first) as on_first, open_socket(other) as on_other:
                here = await on_first.subscribe(RUN_EVENTS, run=streamed.id)
                there = await on_other.subscribe(RUN_EVENTS, run=streamed.id)
                watched = [await socket.subscribe(RUN_EVENTS, run=polled.id) for socket in (on_first, on_other)]
                await asyncio.gather(*(reader.wait_for_event("RunSnapshot") for reader in (here, there, *watched)))
                emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS + 5 * PIECE_SECONDS)
                await asyncio.gather(*(reader.wait_for_event("TextDelta", 5) for reader in (here, there)))
                await asyncio.gather(*(reader.wait_for_event("StepChanged") for reader in watched))
                before = len(here.events)
                redis.kill()
                if back:
                    redis.start()
                emulator.clock.advance(5 * PIECE_SECONDS)
                await here.wait_for_event("TextDelta", 10)
                emulator.clock.advance(LONG_SECONDS)
                events = await here.wait_for_completion()
                assert not here.of_type("StreamError", "Lagged")
                assert {event["provenance"] for event in events[before:] if "provenance" in event} == {"STREAMED"}
                check_events_match_messages(events, await messages_of_run(emulator, streamed))
                for reader in (here, there, *watched):
                    assert statuses(await reader.wait_for_completion()) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
                check_events_match_messages(there.events, await messages_of_run(emulator, streamed))
                for reader in watched:
                    check_events_match_messages(reader.events, await messages_of_run(emulator, polled))


async def test_a_redis_that_hangs_delays_no_reader(emulator: Emulator) -> None:
    with running_valkey() as redis:
        async with two_gateways(emulator, redis.url) as (first, _), open_socket(first) as socket:
            run = await start_run(emulator, first)
            reader = await socket.subscribe(RUN_EVENTS, run=run.id)
            await reader.wait_for_event("RunSnapshot")
            os.kill(redis.command("INFO", "server")["process_id"], signal.SIGSTOP)
            emulator.clock.advance(LONG_SECONDS)
            events = await reader.wait_for_completion()
            assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
            check_events_match_messages(events, await messages_of_run(emulator, run))
            other = await start_run(emulator, first)
            reader = await socket.subscribe(RUN_EVENTS, run=other.id)
            emulator.clock.advance(LONG_SECONDS)
            await reader.wait_for_completion()
