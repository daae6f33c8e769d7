"""Tests runs and threads that others change: one process polls for all readers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.support.emulator import Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    RUN_STATUS,
    STEP_SECONDS,
    THREAD_EVENTS,
    StartedRun,
    check_events_match_messages,
    messages_of_run,
    start_run,
    start_run_without_gateway,
    statuses,
)
from tests.support.faces import both_faces, counts_calls
from tests.support.gateway import Gateway
from tests.support.mutations import WEATHER, succeed
from tests.support.subscription_clients import LiveSocket, open_socket
from tests.support.subscription_gateway import until

pytestmark = both_faces


@pytest.fixture
async def socket(gateway: Gateway) -> AsyncIterator[LiveSocket]:
    async with open_socket(gateway) as socket:
        yield socket


async def finished_polls(emulator: Emulator, run: StartedRun) -> dict[str, int]:
    """Return the upstream requests since the counts were reset. Checks that no more follow."""
    requests = dict(emulator.counts.by_operation)
    await emulator.get(run.path)
    assert emulator.counts.total == sum(requests.values()) + 1
    return requests


async def test_a_run_started_elsewhere_is_polled_with_its_steps_and_messages(
    emulator: Emulator, socket: LiveSocket
) -> None:
    run = await start_run_without_gateway(emulator)
    reader = await socket.subscribe(RUN_EVENTS, run=run.id)
    await reader.wait_for_event("RunSnapshot")
    emulator.clock.advance(QUEUED_SECONDS)
    await reader.wait_for_event("RunStatusChange", status="IN_PROGRESS")
    emulator.clock.advance(STEP_SECONDS)
    await reader.wait_for_event("StepChanged")
    emulator.clock.advance(LONG_SECONDS)
    events = await reader.wait_for_completion()
    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    check_events_match_messages(events, await messages_of_run(emulator, run))
    assert {event["provenance"] for event in events if "provenance" in event} == {"POLLED"}
    assert not reader.of_type("TextDelta", "ToolCallDelta", "StreamError")
    assert [step["step"]["status"] for step in reader.of_type("StepChanged")] == ["IN_PROGRESS", "COMPLETED"]


@counts_calls
async def test_readers_of_only_the_status_cause_no_polls_of_messages_and_steps(
    emulator: Emulator, socket: LiveSocket
) -> None:
    run = await start_run_without_gateway(emulator)
    emulator.counts.reset()
    reader = await socket.subscribe(RUN_STATUS, run=run.id)
    await reader.wait_for_event("RunStatusChange", status="QUEUED")
    emulator.clock.advance(QUEUED_SECONDS)
    await reader.wait_for_event("RunStatusChange", status="IN_PROGRESS")
    emulator.clock.advance(STEP_SECONDS)
    await until(lambda: emulator.counts.by_operation["getRun"] >= 3)
    assert emulator.counts.by_operation.keys() == {"getRun"}
    emulator.clock.advance(LONG_SECONDS)
    events = await reader.wait_for_completion()
    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    assert [event["provenance"] for event in events] == ["SNAPSHOT", "POLLED", "POLLED"]


@counts_calls
async def test_a_hundred_subscribers_cost_the_polls_of_one(emulator: Emulator, gateway: Gateway) -> None:
    run = await start_run_without_gateway(emulator)
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(open_socket(gateway)) for _ in range(10)]
        emulator.counts.reset()
        readers = [await socket.subscribe(RUN_EVENTS, run=run.id) for socket in sockets for _ in range(10)]
        for condition in ("RunSnapshot", "RunStatusChange", "StepChanged"):
            await asyncio.gather(*(reader.wait_for_event(condition) for reader in readers))
            emulator.clock.advance(QUEUED_SECONDS if condition == "RunSnapshot" else STEP_SECONDS)
        emulator.clock.advance(LONG_SECONDS)
        await asyncio.gather(*(reader.wait_for_completion() for reader in readers))
        requests = await finished_polls(emulator, run)
        assert all(reader.events == readers[0].events for reader in readers)
    polls = requests["getRun"]
    # Four things happened, and each had to be found. A poll costs three calls at most.
    assert 4 <= polls <= 20
    assert requests.keys() == {"getRun", "listRunSteps", "listMessages"}
    assert max(requests.values()) == polls


@counts_calls
async def test_the_last_reader_leaving_ends_the_polls(emulator: Emulator, socket: LiveSocket) -> None:
    run = await start_run_without_gateway(emulator)
    readers = [await socket.subscribe(RUN_STATUS, run=run.id) for _ in range(2)]
    await asyncio.gather(*(reader.wait_for_event("RunStatusChange") for reader in readers))
    await socket.unsubscribe(readers[0])
    seen = emulator.counts.by_operation["getRun"]
    await until(lambda: emulator.counts.by_operation["getRun"] >= seen + 2)
    before = asyncio.all_tasks()
    await socket.unsubscribe(readers[1])
    await until(lambda: bool(before - asyncio.all_tasks()))  # the poller
    requests = emulator.counts.total
    again = await socket.subscribe(RUN_STATUS, run=run.id)
    await again.wait_for_event("RunStatusChange")
    assert emulator.counts.total <= requests + 2


async def test_a_waiting_run_elsewhere_is_reported_and_goes_on_after_outputs_there(
    emulator: Emulator, socket: LiveSocket
) -> None:
    run = await start_run_without_gateway(emulator, tools=[WEATHER])
    reader = await socket.subscribe(RUN_EVENTS, run=run.id)
    emulator.clock.advance(QUEUED_SECONDS)
    await reader.wait_until(lambda reader: "IN_PROGRESS" in statuses(reader.events))
    emulator.clock.advance(LONG_SECONDS)
    await reader.wait_for_event("RunStatusChange", status="REQUIRES_ACTION")
    waiting = (await emulator.get(run.path))["required_action"]["submit_tool_outputs"]["tool_calls"][0]
    outputs = {"tool_outputs": [{"tool_call_id": waiting["id"], "output": "22 °C"}]}
    await emulator.post(f"{run.path}/submit_tool_outputs", outputs)
    await reader.wait_for_event("RunStatusChange", previous="REQUIRES_ACTION", status="QUEUED")
    emulator.clock.advance(LONG_SECONDS)
    events = await reader.wait_for_completion()
    assert statuses(events)[-3:] == ["REQUIRES_ACTION", "QUEUED", "COMPLETED"]
    check_events_match_messages(events, await messages_of_run(emulator, run))


async def test_a_thread_reports_each_message_and_run_once_from_any_writer(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run(emulator, gateway)
    reader = await socket.subscribe(THREAD_EVENTS, thread=run.thread_id)
    await reader.wait_for_event("RunStatusChange", status="QUEUED")
    emulator.clock.advance(QUEUED_SECONDS)
    await reader.wait_for_event("RunStatusChange", status="IN_PROGRESS")
    emulator.clock.advance(LONG_SECONDS)
    await reader.wait_for_event("RunStatusChange", status="COMPLETED")
    await reader.wait_for_event("MessageFinished")

    path = f"/threads/{run.key.thread_id}"
    await emulator.post(f"{path}/messages", {"role": "user", "content": "By REST?"})
    await reader.wait_for_event("MessageCreated", 2)
    content = [{"text": "By the gateway?"}]
    await succeed(gateway, "createMessage", "message { id }", threadId=run.thread_id, content=content)
    await reader.wait_for_event("MessageCreated", 3)
    assistant_id = (await emulator.get("/assistants"))["data"][0]["id"]
    second = await emulator.post(f"{path}/runs", {"assistant_id": assistant_id})
    await reader.wait_for_event("RunStatusChange", 2, status="QUEUED")
    emulator.clock.advance(QUEUED_SECONDS)
    await reader.wait_for_event("RunStatusChange", 2, status="IN_PROGRESS")
    emulator.clock.advance(LONG_SECONDS)
    await reader.wait_for_event("RunStatusChange", 2, status="COMPLETED")

    by_run: dict[str, list[str]] = {}
    for event in reader.of_type("RunStatusChange"):
        by_run.setdefault(event["run"]["id"], []).append(event["status"])
    other = StartedRun(run.key._replace(run_id=second["id"]))
    assert by_run == {one.id: ["QUEUED", "IN_PROGRESS", "COMPLETED"] for one in (run, other)}
    answers = [(await messages_of_run(emulator, one))[0] for one in (run, other)]
    finished = [event["message"] for event in reader.of_type("MessageFinished")]
    assert [(one["id"], one["text"]) for one in finished] == [(one["id"], one["text"]) for one in answers]
    created = [event["message"] for event in reader.of_type("MessageCreated")]
    assert [one["role"] for one in created] == ["ASSISTANT", "USER", "USER", "ASSISTANT"]
    assert [one["text"] for one in created[1:3]] == ["By REST?", "By the gateway?"]
    assert len({one["id"] for one in created}) == 4
    assert not reader.of_type("StreamError", "Lagged")

    seen = [event["cursor"] for event in reader.events]
    resumed = await socket.subscribe(THREAD_EVENTS, thread=run.thread_id, after=seen[5])
    await resumed.wait_until(lambda resumed: len(resumed.events) == len(seen) - 6)
    assert resumed.events == reader.events[6:]


async def test_another_principals_thread_cannot_be_followed(emulator: Emulator, gateway: Gateway) -> None:
    run = await start_run_without_gateway(emulator)
    async with open_socket(gateway) as own, open_socket(gateway, key="other") as other:
        reader = await own.subscribe(THREAD_EVENTS, thread=run.thread_id)
        await reader.wait_for_event("RunStatusChange")
        for after in (None, reader.cursor):
            stranger = await other.subscribe(THREAD_EVENTS, thread=run.thread_id, after=after)
            assert (await stranger.wait_for_end()).error_codes == ["NOT_FOUND"]
            assert stranger.events == []
        assert not reader.is_over
