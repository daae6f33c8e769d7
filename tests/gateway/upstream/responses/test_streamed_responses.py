"""A response is streamed as a run: named, kept, read on after a break, and decided by reading it where no end came."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gateway.emulator.clock import ManualClock
from gateway.emulator.faults.habits import HABITS
from gateway.upstream.responses.followed_chain import parse_position, to_position
from gateway.upstream.responses.item_parts import awaits_client, id_of_call
from gateway.upstream.responses.run_chains import items_of
from gateway.upstream.retry import CallFailure
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.run_streams import RunStream
from schema.contract.wire import MessageObject, RunObject
from tests.support.clocks import EagerClock
from tests.support.emulator import AUTHORIZATION, Emulator, running_emulator
from tests.support.full_runs import long_except
from tests.support.response_client import (
    TOKEN,
    WEATHER,
    ResponseClient,
    follow_events,
    read_all,
    response_client,
    text_of,
)
from tests.support.subscription_gateway import until

HABIT_LIST = "".join(f",*:{habit}" for habit in sorted(HABITS - {"no-background", "no-lock", "no-before"}))


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with running_emulator(clock=EagerClock()) as emulator:
        yield emulator


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[ResponseClient]:
    async with response_client(emulator) as client:
        yield client


@pytest.fixture
async def slow() -> AsyncIterator[ResponseClient]:
    """A client of an emulator whose clock stands still until the test moves it."""
    async with running_emulator(clock=ManualClock()) as emulator, response_client(emulator) as client:
        yield client


async def whole_text(client: ResponseClient, run_id: str) -> str:
    """Return the text of a response, as it is read."""
    response = await client.read(run_id)
    messages = [msgspec.json.decode(raw) for item, raw in items_of(response) if item.type == "message"]
    return "".join(part["text"] for message in messages for part in message["content"])


async def finished(client: ResponseClient) -> Any:
    await client.recorder.finished()
    return client.recorder


async def test_a_new_run_is_named_kept_and_streamed(client: ResponseClient) -> None:
    thread_id = await client.conversation()
    run = await client.started(thread_id, metadata={"a": "1"})
    assert (run.thread_id, run.assistant_id, run.status) == (thread_id, "asst_1", "queued")
    chain = await client.chain(run.id)
    assert (chain.thread_id, chain.assistant_id, chain.response_ids) == (thread_id, "asst_1", (run.id,))
    assert b'"metadata"' in chain.request
    assert b"weather" not in chain.request
    recorder = await finished(client)
    assert recorder.failure is None
    state, _ = follow_events(recorder.events)
    assert state.run is not None
    assert (state.run.status, state.run.thread_id, state.run.assistant_id) == ("completed", thread_id, "asst_1")
    assert text_of(recorder.events) == await whole_text(client, run.id) != ""
    chain = await client.chain(run.id)
    assert chain.status == "completed"
    assert chain.ended_run is not None
    (message,) = [event.wire for event in recorder.events if isinstance(event.wire, MessageObject)][-1:]
    kept = await client.kept.chains.find_items(thread_id, [message.id])
    assert (kept[message.id].run_id, kept[message.id].created_at) == (run.id, message.created_at)
    assert await client.kept.locks.find_holder(thread_id) is None


async def test_a_run_holds_the_lease_while_it_is_under_way_and_waits(slow: ResponseClient) -> None:
    thread_id = await slow.conversation()
    run = await slow.started(thread_id, tools=[WEATHER])
    assert await slow.kept.locks.find_holder(thread_id) == run.id
    slow.emulator.clock.advance(20)
    await finished(slow)
    chain = await slow.chain(run.id)
    assert (chain.status, chain.waiting_since) == ("requires_action", slow.emulator.clock.now())
    slow.emulator.clock.advance(620)
    assert await slow.kept.locks.find_holder(thread_id) == run.id
    slow.emulator.clock.advance(20)
    assert await slow.kept.locks.find_holder(thread_id) is None


async def test_a_chain_goes_on_with_its_answers(client: ResponseClient) -> None:
    run = await client.started(tools=[WEATHER])
    await finished(client)
    answers = await answer_all(client, run.id)
    before = len(client.recorder.events)
    going_on = await client.answer(await client.chain(run.id), answers, tools=[WEATHER])
    assert isinstance(going_on, RunObject)
    assert (going_on.id, going_on.status) == (run.id, "queued")
    recorder = await finished(client)
    state, _ = follow_events(recorder.events)
    assert state.run is not None
    assert state.run.status == "completed"
    assert state.is_settled
    assert text_of(recorder.events)
    calls = [step for step in state.snapshot().steps if step.type == "tool_calls"]
    assert calls
    assert all(b"22 degrees" in bytes(step.step_details) and step.status == "completed" for step in calls)
    chain = await client.chain(run.id)
    assert (len(chain.response_ids), chain.status, dict(chain.answers)) == (2, "completed", answers)
    positions = [event.position for event in recorder.events[before:] if event.position]
    assert {(parse_position(one) or ("", 0))[0] for one in positions} == {chain.response_ids[1]}


async def answer_all(client: ResponseClient, response_id: str) -> dict[str, str]:
    response = await client.read(response_id)
    return {id_of_call(item) or "": "22 degrees" for item, _ in items_of(response) if awaits_client(item)}


@pytest.mark.parametrize("events", long_except(range(1, 28), [1, 4, 9]))
async def test_a_stream_that_breaks_is_read_on_behind_its_last_event(client: ResponseClient, events: int) -> None:
    client.emulator.misbehave(f"createResponse:cut:events={events},getResponse:cut:events=2:first=3")
    run = await client.started()
    recorder = await finished(client)
    assert recorder.failure is None
    text = await whole_text(client, run.id)
    assert text_of(recorder.events) == text != ""
    positions = [parse_position(event.position) for event in recorder.events if event.position]
    numbers = [number for _, number in filter(None, positions)]
    assert numbers == list(range(len(numbers)))
    assert client.emulator.counts.by_operation["createResponse"] == 1
    assert client.emulator.counts.by_operation["getResponse"] >= 2


async def test_a_server_that_sends_events_again_is_heard_once(client: ResponseClient, emulator: Emulator) -> None:
    """The emulator counts from -1 in place of a number that it does not take."""
    run = await client.started()
    await finished(client)
    stream = await client.replay(RunKey(run.thread_id or "", run.id), to_position(run.id, 5))
    assert stream is not None
    events = await read_all(stream)
    numbers = [(parse_position(event.position) or ("", -1))[1] for event in events if event.position]
    assert numbers == list(range(6, 6 + len(numbers)))


@pytest.mark.parametrize("habit", [*sorted(HABITS - {"no-background"}), "all"])
async def test_the_habits_of_other_servers_are_survived(client: ResponseClient, habit: str) -> None:
    rules = f"*:{habit}" if habit != "all" else HABIT_LIST.removeprefix(",")
    client.emulator.misbehave(f"createResponse:cut:events=7,{rules}")
    run = await client.started()
    recorder = await finished(client)
    assert recorder.failure is None
    assert text_of(recorder.events) == await whole_text(client, run.id) != ""
    state, _ = follow_events(recorder.events)
    assert state.run is not None
    assert state.run.status == "completed"


@pytest.mark.parametrize("rules", ["", "*:no-done", "createResponse:cut:events=9"])
async def test_a_stream_that_ends_after_a_cancel_is_decided_by_the_response(slow: ResponseClient, rules: str) -> None:
    slow.emulator.misbehave(rules)
    thread_id = await slow.conversation()
    run = await slow.started(thread_id)
    slow.emulator.clock.advance(1.9)
    await until(lambda: len(slow.recorder.events) > 5)
    await slow.emulator.post(f"/responses/{run.id}/cancel")
    recorder = await finished(slow)
    assert recorder.failure is None
    state, _ = follow_events(recorder.events)
    assert state.run is not None
    assert state.run.status == "cancelled"
    assert text_of(recorder.events) == await whole_text(slow, run.id)
    assert (await slow.chain(run.id)).status == "cancelled"
    assert await slow.kept.locks.find_holder(thread_id) is None


async def test_the_background_is_asked_for_once(client: ResponseClient) -> None:
    client.emulator.misbehave("createResponse:no-background")
    run = await client.started()
    await finished(client)
    assert not client.streams.takes_background
    assert client.emulator.counts.by_operation["createResponse"] == 2
    assert b'"background":false' in (await client.chain(run.id)).request
    assert (await client.chain(run.id)).status == "completed"
    assert text_of(client.recorder.events) == await whole_text(client, run.id)


async def test_a_refusal_for_another_reason_says_nothing_of_the_background(client: ResponseClient) -> None:
    failure = await client.start("conv_unknown")
    assert isinstance(failure, CallFailure)
    assert failure.error.code is ErrorCode.NOT_FOUND
    assert client.streams.takes_background
    assert client.emulator.counts.by_operation["createResponse"] == 1
    assert await client.kept.locks.find_holder("conv_unknown") == TOKEN


async def test_a_run_in_the_foreground_is_cancelled_by_closing_its_stream(slow: ResponseClient) -> None:
    run = await slow.started(background=False)
    slow.emulator.clock.advance(1.9)
    await until(lambda: len(slow.recorder.events) > 3)
    assert await slow.streams.cancel_foreground(run.id)
    recorder = await finished(slow)
    assert recorder.failure is None
    state, _ = follow_events(recorder.events)
    assert state.run is not None
    assert state.run.status == "cancelled"
    assert (await slow.chain(run.id)).status == "cancelled"
    assert not await slow.streams.cancel_foreground(run.id)


async def test_without_a_free_stream_slot_a_response_runs_unstreamed_and_is_kept(emulator: Emulator) -> None:
    async with response_client(emulator, max_streams=1) as client:
        async with client.pool.stream_slots:
            thread_id = await client.conversation()
            run = await client.started(thread_id)
            assert not client.recorder.streams
            assert await client.replay(RunKey(thread_id, run.id)) is None
        assert (await client.chain(run.id)).thread_id == thread_id
        assert await client.kept.locks.find_holder(thread_id) == run.id


async def read_some(stream: RunStream | None, count: int) -> list[Any]:
    assert stream is not None
    events: list[Any] = []
    async with asyncio.timeout(20):
        while len(events) < count and (batch := await stream.read_events()):
            events += batch
    await stream.aclose()
    return events


@pytest.mark.parametrize("count", long_except(range(1, 28), [1, 5, 12]))
async def test_another_process_goes_on_behind_any_event(client: ResponseClient, count: int) -> None:
    run = await client.started()
    key = RunKey(run.thread_id or "", run.id)
    seen: list[Any] = []
    await finished(client)
    whole = client.recorder.events
    async with response_client(client.emulator, client.kept) as other:
        seen = whole[: _boundary(whole, count)]
        position = next((event.position for event in reversed(seen) if event.position), None)
        stream = await other.replay(key, position)
        assert stream is not None
        rest = await read_all(stream)
    assert text_of([*seen, *rest]) == await whole_text(client, run.id) != ""
    assert shown([*seen, *rest]) == shown(whole)


def _boundary(events: list[Any], count: int) -> int:
    """Return the end of the first events, at least so many, that a process can have logged when it was killed."""
    return next((at for at in range(count, len(events)) if events[at - 1].position), len(events) - 1)


def shown(events: list[Any]) -> list[Any]:
    return [(event.name, type(event.wire), getattr(event.wire, "id", None), event.delta) for event in events]


async def test_a_chain_is_followed_from_the_place_in_an_earlier_response_to_its_end(client: ResponseClient) -> None:
    run = await client.started(tools=[WEATHER])
    await finished(client)
    answers = await answer_all(client, run.id)
    await client.answer(await client.chain(run.id), answers, tools=[WEATHER])
    await finished(client)
    whole = client.recorder.events
    stream = await client.replay(RunKey(run.thread_id or "", run.id), to_position(run.id, 3))
    assert stream is not None
    rest = await read_all(stream)
    seen = whole[: 1 + [event.position for event in whole].index(to_position(run.id, 3))]
    assert shown([*seen, *rest]) == shown(whole)
    state, _ = follow_events([*seen, *rest])
    assert state.run is not None
    last = whole[-1].wire
    assert isinstance(last, RunObject)
    assert (state.run.status, state.run.usage) == ("completed", last.usage)


async def test_a_run_that_was_started_past_the_gateway_is_followed_from_its_beginning(slow: ResponseClient) -> None:
    thread_id = await slow.conversation()
    made = await start_past_the_gateway(slow, thread_id)
    stream = await slow.replay(RunKey(thread_id, made))
    assert stream is not None
    slow.emulator.clock.advance(60)
    assert text_of(await read_all(stream)) == await whole_text(slow, made)
    assert await slow.replay(RunKey(thread_id, made)) is None  # it is over: a poll shows it at once
    assert await slow.replay(RunKey("conv_other", made)) is None
    with pytest.raises(GatewayError, match="not found"):
        await slow.replay(RunKey(thread_id, "resp_unknown"))


async def start_past_the_gateway(client: ResponseClient, thread_id: str) -> str:
    """Start a response in the background as another client does, and leave its stream."""
    emulator = client.emulator
    body = {**client.request(thread_id), "stream": True}
    headers = {"Authorization": AUTHORIZATION}
    async with emulator.session.post(f"{emulator.url}/responses", json=body, headers=headers) as reply:
        created = await reply.content.readuntil(b"\n\n")
    response_id: str = msgspec.json.decode(created.partition(b"data: ")[2])["response"]["id"]
    return response_id


async def test_what_is_left_queued_after_a_broken_start_is_cancelled_and_has_failed() -> None:
    async with (
        running_emulator(clock=ManualClock()) as emulator,
        response_client(emulator, expiry_seconds=0.05, stream_idle_seconds=0.02) as client,
    ):
        emulator.misbehave("createResponse:cut:events=1")
        thread_id = await client.conversation()
        run = await client.started(thread_id)
        recorder = await finished(client)
        assert recorder.failure is None
        ended = recorder.events[-1].wire
        assert (ended.id, ended.status, ended.last_error.code) == (run.id, "failed", "server_error")
        assert (await client.read(run.id)).status == "cancelled"
        assert (await client.chain(run.id)).status == "failed"
        assert await client.kept.locks.find_holder(thread_id) is None
