"""Tests a run that is started through the gateway and followed by subscription, as in a browser."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    PIECE_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    RUN_STATUS,
    STEP_SECONDS,
    StartedRun,
    check_events_match_messages,
    messages_of_run,
    start_run,
    start_run_without_gateway,
    start_tool_run,
    statuses,
    submit_outputs,
    wait_for_status,
    write_message,
)
from tests.support.faces import both_faces, both_faces_always, cancelled_at_once, counts_calls, never_expires, unmapped
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import assistant, succeed, thread_with_question
from tests.support.subscription_clients import LiveSocket, open_socket, open_stream

pytestmark = both_faces
STUCK = pytest.param("stuck", marks=never_expires)


@pytest.fixture
async def socket(gateway: Gateway) -> AsyncIterator[LiveSocket]:
    async with open_socket(gateway) as socket:
        yield socket


@counts_calls
async def test_a_run_is_followed_word_by_word_by_one_streaming_create_and_nothing_else(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run(emulator, gateway)
    reader = await socket.subscribe(RUN_EVENTS, run=run.id)
    await reader.wait_for_event("RunSnapshot")
    assert reader.events[0]["run"] == {"status": "QUEUED"}
    assert reader.events[0]["messages"] == []
    emulator.clock.advance(QUEUED_SECONDS)
    await reader.wait_for_event("RunStatusChange", previous="QUEUED", status="IN_PROGRESS", provenance="STREAMED")
    await write_message(emulator, reader)
    assert statuses(reader.events) == ["QUEUED", "IN_PROGRESS"]
    emulator.clock.advance(LONG_SECONDS)
    events = await reader.wait_for_completion()

    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    check_events_match_messages(events, await messages_of_run(emulator, run))
    pieces = [event["value"] for event in events if event["type"] == "TextDelta"]
    (finished,) = (event for event in events if event["type"] == "MessageFinished")
    assert len(pieces) > 10
    assert "".join(pieces) == finished["message"]["text"]
    assert {event["provenance"] for event in events if "provenance" in event} == {"STREAMED"}
    assert len({event["cursor"] for event in events}) == len(events)
    of_this_test = {"createThread": 1, "createAssistant": 1, "listMessages": 1}
    assert emulator.counts.by_operation == {"createRun": 1, **of_this_test}


@counts_calls
async def test_a_thread_and_its_run_created_in_one_call_are_followed_too(emulator: Emulator, gateway: Gateway) -> None:
    assistant_id = await assistant(emulator)
    made = await succeed(
        gateway,
        "createThreadAndRun",
        "run { id upstreamId status } thread { upstreamId }",
        assistantId=assistant_id,
        thread={"messages": [{"content": [{"text": "Hello"}]}]},
    )
    assert made["run"]["status"] == "QUEUED"
    run = StartedRun(RunKey(made["thread"]["upstreamId"], made["run"]["upstreamId"]))
    async with open_stream(gateway, RUN_EVENTS, run=made["run"]["id"]) as reader:
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.wait_for_completion()
    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    check_events_match_messages(events, await messages_of_run(emulator, run))
    assert "getRun" not in emulator.counts.by_operation
    assert emulator.counts.by_operation["createThreadAndRun"] == 1


async def test_a_run_without_readers_goes_on_and_is_complete_later(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run(emulator, gateway)
    emulator.clock.advance(LONG_SECONDS)
    reader = await socket.subscribe(RUN_EVENTS, run=run.id)
    events = await reader.wait_for_completion()
    assert statuses(events) == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    assert {event["provenance"] for event in events if "provenance" in event} == {"STREAMED"}
    check_events_match_messages(events, await messages_of_run(emulator, run))


async def test_the_status_comes_at_once_then_each_change_until_the_end_of_the_run(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run(emulator, gateway)
    reader = await socket.subscribe(RUN_STATUS, run=run.id)
    await reader.wait_for_event("RunStatusChange")
    expected: list[tuple[str, str | None, str]] = [("QUEUED", None, "SNAPSHOT")]
    assert [(one["status"], one["previous"], one["provenance"]) for one in reader.events] == expected
    emulator.clock.advance(QUEUED_SECONDS)
    await reader.wait_for_event("RunStatusChange", 2)
    emulator.clock.advance(LONG_SECONDS)
    events = await reader.wait_for_completion()
    expected += [("IN_PROGRESS", "QUEUED", "STREAMED"), ("COMPLETED", "IN_PROGRESS", "STREAMED")]
    assert [(one["status"], one["previous"], one["provenance"]) for one in events] == expected


async def test_the_status_of_a_run_that_is_over_is_one_event_and_the_end(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run_without_gateway(emulator)
    emulator.clock.advance(LONG_SECONDS)
    for reader in [await socket.subscribe(RUN_STATUS, run=run.id) for _ in range(2)]:
        (event,) = await reader.wait_for_completion()
        assert (event["status"], event["previous"], event["provenance"]) == ("COMPLETED", None, "SNAPSHOT")
    async with open_stream(gateway, RUN_EVENTS, run=run.id) as stream:
        (snapshot,) = await stream.wait_for_completion()
        assert (snapshot["type"], snapshot["run"]) == ("RunSnapshot", {"status": "COMPLETED"})
        check_events_match_messages([snapshot], await messages_of_run(emulator, run))


@unmapped
async def test_a_selection_below_the_run_shows_the_state_at_each_event(emulator: Emulator) -> None:
    deep = """subscription ($run: ID!) { runStatus(runId: $run) { type: __typename status
        run { status thread { messages { nodes { text } } activeRun { status } } } } }"""
    async with running_gateway(emulator.url, gateway_cache=True) as gateway, open_socket(gateway) as socket:
        run = await start_run(emulator, gateway)
        reader = await socket.subscribe(deep, run=run.id)
        for seconds, status in ((0, "QUEUED"), (QUEUED_SECONDS, "IN_PROGRESS"), (LONG_SECONDS, "COMPLETED")):
            emulator.clock.advance(seconds)
            await reader.wait_for_event("RunStatusChange", status=status)
        events = await reader.wait_for_completion()
        (answer,) = await messages_of_run(emulator, run)
    shown = [[node["text"] for node in event["run"]["thread"]["messages"]["nodes"]] for event in events]
    question = "What is the weather?"
    assert shown == [[question], [question], [question, answer["text"]]]
    assert [event["run"]["status"] for event in events] == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    active = [event["run"]["thread"]["activeRun"] for event in events]
    assert active == [{"status": "QUEUED"}, {"status": "IN_PROGRESS"}, None]


@pytest.mark.parametrize(
    "scenario", long_except(["fail", "rate_limit", "incomplete", STUCK, "tool_error"], ["incomplete", STUCK])
)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["streamed", "polled"])
async def test_both_subscriptions_end_with_the_run_however_it_ends(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket, scenario: str, elsewhere: bool
) -> None:
    metadata = {"emulator": scenario}
    if elsewhere:
        run = await start_run_without_gateway(emulator, metadata=metadata)
    else:
        run = await start_run(emulator, gateway, metadata=metadata)
    events = await socket.subscribe(RUN_EVENTS, run=run.id)
    status = await socket.subscribe(RUN_STATUS, run=run.id)
    await asyncio.gather(events.wait_for_event("RunSnapshot"), status.wait_for_event("RunStatusChange"))
    emulator.clock.advance(QUEUED_SECONDS)
    await asyncio.gather(*(one.wait_for_event("RunStatusChange", status="IN_PROGRESS") for one in (events, status)))
    emulator.clock.advance(3600)
    end = {"incomplete": "INCOMPLETE", "stuck": "EXPIRED"}.get(scenario, "FAILED")
    await asyncio.gather(events.wait_for_completion(), status.wait_for_completion())
    assert statuses(events.events) == statuses(status.events) == ["QUEUED", "IN_PROGRESS", end]
    check_events_match_messages(events.events, await messages_of_run(emulator, run))
    run_shown = events.events[-1]["run"]
    assert run_shown["incompleteReason"] == ("max_completion_tokens" if end == "INCOMPLETE" else None)
    assert (run_shown["lastError"] is not None) == (end == "FAILED")


@cancelled_at_once
async def test_a_cancelled_run_is_reported_as_cancelling_then_cancelled(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_run(emulator, gateway)
    events = await socket.subscribe(RUN_EVENTS, run=run.id)
    status = await socket.subscribe(RUN_STATUS, run=run.id)
    await asyncio.gather(events.wait_for_event("RunSnapshot"), status.wait_for_event("RunStatusChange"))
    emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS + 3 * PIECE_SECONDS)
    await events.wait_for_event("TextDelta", 3)
    await succeed(gateway, "cancelRun", "run { status }", runId=run.id)
    await asyncio.gather(*(one.wait_for_event("RunStatusChange", status="CANCELLING") for one in (events, status)))
    emulator.clock.advance(LONG_SECONDS)
    await asyncio.gather(events.wait_for_completion(), status.wait_for_completion())
    expected = ["QUEUED", "IN_PROGRESS", "CANCELLING", "CANCELLED"]
    assert statuses(events.events) == statuses(status.events) == expected
    check_events_match_messages(events.events, await messages_of_run(emulator, run))


@counts_calls
async def test_a_tool_call_is_followed_through_its_outputs_by_the_same_subscription(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket
) -> None:
    run = await start_tool_run(emulator, gateway)
    reader = await socket.subscribe(RUN_EVENTS, run=run.id)
    emulator.clock.advance(LONG_SECONDS)
    await reader.wait_for_event("RunStatusChange", status="REQUIRES_ACTION")
    pieces = reader.of_type("ToolCallDelta")
    assert reader.events.index(pieces[-1]) < len(reader.events) - 1
    assert (pieces[0]["name"], pieces[0]["index"]) == ("get_weather", 0)
    waiting = (await emulator.get(run.path))["required_action"]["submit_tool_outputs"]["tool_calls"][0]
    assert "".join(piece["argumentsDelta"] or "" for piece in pieces) == waiting["function"]["arguments"]
    assert pieces[0]["callId"] == waiting["id"]

    emulator.counts.reset()
    await submit_outputs(gateway, emulator, run)
    await reader.wait_for_event("RunStatusChange", previous="REQUIRES_ACTION", status="QUEUED")
    emulator.clock.advance(LONG_SECONDS)
    events = await reader.wait_for_completion()
    before = ["QUEUED", "IN_PROGRESS", "REQUIRES_ACTION"]
    assert statuses(events) == [*before, "QUEUED", "IN_PROGRESS", "COMPLETED"]
    check_events_match_messages(events, await messages_of_run(emulator, run))
    assert "22 °C" in reader.of_type("MessageFinished")[0]["message"]["text"]
    assert emulator.counts.by_operation["submitToolOuputsToRun"] == 1


async def test_another_principals_run_cannot_be_followed(emulator: Emulator, gateway: Gateway) -> None:
    run = await start_run(emulator, gateway)
    async with open_socket(gateway) as own, open_socket(gateway, key="other") as other:
        reader = await own.subscribe(RUN_EVENTS, run=run.id)
        await reader.wait_for_event("RunSnapshot")
        emulator.clock.advance(QUEUED_SECONDS)
        await reader.wait_for_event("RunStatusChange")
        for query in (RUN_EVENTS, RUN_STATUS):
            stranger = await (await other.subscribe(query, run=run.id)).wait_for_end()
            assert stranger.error_codes == ["NOT_FOUND"]
            assert stranger.events == []
        resumed = await (await other.subscribe(RUN_EVENTS, run=run.id, after=reader.cursor)).wait_for_end()
        assert resumed.error_codes == ["NOT_FOUND"]
        emulator.clock.advance(LONG_SECONDS)
        await reader.wait_for_completion()
        # The log that is over does not know the other principal either.
        late = await (await other.subscribe(RUN_EVENTS, run=run.id)).wait_for_end()
        assert (late.error_codes, late.events) == (["NOT_FOUND"], [])


async def test_a_run_that_does_not_exist_is_refused(gateway: Gateway, socket: LiveSocket) -> None:
    unknown = to_global_id(RunKey("thread_missing", "run_missing"))
    for query in (RUN_EVENTS, RUN_STATUS):
        reader = await (await socket.subscribe(query, run=unknown)).wait_for_end()
        assert reader.error_codes == ["NOT_FOUND"]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["streamed", "polled"])
async def test_a_subscription_at_any_time_gets_the_whole_run_and_one_end(
    emulator: Emulator, gateway: Gateway, socket: LiveSocket, elsewhere: bool
) -> None:
    run = await start_run_without_gateway(emulator) if elsewhere else await start_run(emulator, gateway)
    readers = []
    for _ in range(13):  # until after its end, without waiting for any reader
        readers += [await socket.subscribe(query, run=run.id) for query in (RUN_EVENTS, RUN_STATUS)]
        emulator.clock.advance(0.2)
        readers += [await socket.subscribe(query, run=run.id) for query in (RUN_EVENTS, RUN_STATUS)]
    await asyncio.gather(*(reader.wait_for_completion() for reader in readers))
    truth = await messages_of_run(emulator, run)
    for place, reader in enumerate(readers):
        seen = statuses(reader.events)
        assert seen == [one for one in ("QUEUED", "IN_PROGRESS", "COMPLETED") if one in seen]
        if place % 2 == 0:
            check_events_match_messages(reader.events, truth)
            assert not reader.of_type("StreamError", "Lagged")
        assert seen[-1] == "COMPLETED"


@both_faces_always
async def test_one_socket_can_start_a_run_follow_it_and_query_its_result(
    emulator: Emulator, socket: LiveSocket
) -> None:
    thread_id, assistant_id = await thread_with_question(emulator), await assistant(emulator)
    starting = await socket.subscribe(
        "mutation ($input: CreateRunInput!) { createRun(input: $input) { type: __typename run { id } } }",
        input={"threadId": thread_id, "assistantId": assistant_id},
    )
    (made,) = await starting.wait_for_completion()
    reader = await socket.subscribe(RUN_EVENTS, run=made["run"]["id"])
    emulator.clock.advance(LONG_SECONDS)
    events = await reader.wait_for_completion()
    looking = await socket.subscribe(
        "query ($run: ID!) { run(id: $run) { type: __typename status messages { nodes { id text } } } }",
        run=made["run"]["id"],
    )
    (shown,) = await looking.wait_for_completion()
    assert shown["status"] == "COMPLETED"
    check_events_match_messages(events, shown["messages"]["nodes"])


async def test_a_status_stream_is_resumed_after_the_known_status(emulator: Emulator, gateway: Gateway) -> None:
    run = await start_run(emulator, gateway)
    async with open_stream(gateway, RUN_STATUS, run=run.id) as first:
        await wait_for_status(first, "QUEUED")
        emulator.clock.advance(QUEUED_SECONDS)
        await wait_for_status(first, "IN_PROGRESS")
    emulator.clock.advance(LONG_SECONDS)
    async with open_stream(gateway, RUN_STATUS, last_event_id=first.last_event_id, run=run.id) as again:
        (event,) = await again.wait_for_completion()
    assert (event["previous"], event["status"]) == ("IN_PROGRESS", "COMPLETED")
