"""Tests that every subscription in `queries/` shows real data of the demo, and costs what its file says.

The budget covers the calls until the first event, or until the subscription is open if nothing has happened yet.
`repeated` is the cost of a second subscriber. If a mutation is in the same file, the budget is that of the mutation,
and `followed` is the cost of the subscription until the run is over. A run that waits for outputs is polled without
end, so it has no `followed`.
"""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from graphql import OperationType

from gateway import compose_options
from gateway.compose import DEMO_KEY
from gateway.run_log.poll_timing import PollIntervals
from gateway.run_log.run_log_options import RunLogOptions
from tests.support.emulator import Emulator, running_emulator
from tests.support.examples import Example, Stream, following, load_examples
from tests.support.gateway import Gateway, running_gateway
from tests.support.valkey import Valkey

MUTATION, SUBSCRIPTION = OperationType.MUTATION, OperationType.SUBSCRIPTION
ALONE = [example for example in load_examples() if example.kinds == (SUBSCRIPTION,)]
BESIDE_ITS_MUTATION = [example for example in load_examples() if example.kinds == (MUTATION, SUBSCRIPTION)]
# Nothing has happened since the demo's threads were written.
QUIET = {"16-thread-events"}
LONG_ENOUGH_SECONDS = 60


def each(examples: list[Example]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", examples, ids=lambda example: example.name)


def named(name: str) -> Example:
    (found,) = [example for example in load_examples() if example.name[len("01-") :] == name]
    return found


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator with the demo's data and a clock that the test moves."""
    async with running_emulator(seed_keys=(DEMO_KEY,)) as emulator:
        yield emulator


@pytest.fixture
async def demo(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_gateway(emulator.url, upstream_api_key=DEMO_KEY) as gateway:
        yield gateway


@pytest.fixture
def polls_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevent further polls, so that only the calls of the subscription itself are counted."""
    hour = 3600.0
    rarely = PollIntervals(hour, hour, waiting_min_seconds=hour, waiting_max_seconds=hour)
    monkeypatch.setattr(compose_options, "RunLogOptions", functools.partial(RunLogOptions, poll_intervals=rarely))


async def start(gateway: Gateway, example: Example) -> str:
    """Run an example's mutation and return the id of the run that it started."""
    body = {"query": example.text, "operationName": example.named(MUTATION)}
    answer = (await gateway.post(body)).json
    assert "errors" not in answer, answer
    (payload,) = answer["data"].values()
    assert payload["userErrors"] == []
    run_id: str = payload["run"]["id"]
    return run_id


async def first_event(example: Example, stream: Stream) -> Any:
    return None if example.name in QUIET else await stream.event()


async def read_to_the_end(stream: Stream, emulator: Emulator) -> list[Any]:
    """Return all events of a new run until it is over or waits."""
    events = [await stream.event()]
    emulator.clock.advance(LONG_ENOUGH_SECONDS)
    async for event in stream.events():
        events.append(event)
        if event.get("run", {}).get("status") == "REQUIRES_ACTION":
            break
    return events


def test_there_are_both_kinds() -> None:
    assert len(ALONE) >= 3
    assert len(BESIDE_ITS_MUTATION) >= 2


@each([example for example in ALONE + BESIDE_ITS_MUTATION if example.name not in QUIET])
async def test_starts_with_the_demos_data(example: Example, demo: Gateway) -> None:
    async with following(demo, example.text, operation_name=example.named(SUBSCRIPTION)) as stream:
        assert (await stream.event()) is not None


async def test_chat_is_followed_word_by_word(demo: Gateway, emulator: Emulator) -> None:
    chat = named("chat")
    run = await start(demo, chat)
    async with following(demo, chat.text, operation_name=chat.named(SUBSCRIPTION), run=run) as stream:
        first, *events = await read_to_the_end(stream, emulator)
    assert first == {"__typename": "RunSnapshot", "run": {"status": "QUEUED"}, "messages": []}
    words = [event["value"] for event in events if event["__typename"] == "TextDelta"]
    (whole,) = [event["message"]["text"] for event in events if event["__typename"] == "MessageFinished"]
    assert len(words) > 5
    assert "".join(words) == whole
    assert events[-1] == {"__typename": "RunStatusChange", "previous": "IN_PROGRESS", "status": "COMPLETED"}


async def test_what_a_run_made_of_files_can_be_opened(demo: Gateway, emulator: Emulator) -> None:
    sending = named("send-files")
    run = await start(demo, sending)
    async with following(demo, sending.text, operation_name=sending.named(SUBSCRIPTION), run=run) as stream:
        events = await read_to_the_end(stream, emulator)
    (message,) = [event["message"] for event in events if event["__typename"] == "MessageFinished"]
    assert "The largest revenue is 142700 (region Île-de-France)." in message["text"]
    assert "teapot.png is an image of 320" in message["text"]
    image, text = message["content"]
    made = [image["file"], *(annotation["file"] for annotation in text["annotations"])]
    assert [file["filename"] for file in made] == ["chart.png", "result.csv"]
    for file, beginning in zip(made, (b"\x89PNG", b"region,revenue\n"), strict=True):
        async with demo.session.get(file["contentUrl"]) as response:
            assert (await response.read()).startswith(beginning)


async def test_tool_calls_come_in_pieces_then_whole(demo: Gateway, emulator: Emulator) -> None:
    trip = named("tool-calls")
    run = await start(demo, trip)
    async with following(demo, trip.text, operation_name=trip.named(SUBSCRIPTION), run=run) as stream:
        *events, last = await read_to_the_end(stream, emulator)
    pieces = [event for event in events if event["__typename"] == "ToolCallDelta"]
    tool_calls = last["run"]["requiredAction"]["toolCalls"]
    assert [piece["callId"] for piece in pieces if piece["callId"]] == [call["callId"] for call in tool_calls]
    assert [piece["name"] for piece in pieces if piece["name"]] == ["get_weather", "find_trains"]
    assert all(call["parsedArguments"] for call in tool_calls)


async def test_answered_tool_calls_go_on_in_the_subscription_that_is_open(demo: Gateway, emulator: Emulator) -> None:
    trip, answer = named("tool-calls"), named("answer-tool-calls")
    async with following(demo, trip.text, operation_name=trip.named(SUBSCRIPTION)) as stream:
        waiting = await stream.event()
        assert waiting["run"]["status"] == "REQUIRES_ACTION"
        answered = (await demo.post({"query": answer.text})).json["data"]["submitToolOutputs"]
        assert answered["userErrors"] == []
        emulator.clock.advance(LONG_ENOUGH_SECONDS)
        events = [event async for event in stream.events()]
    assert [event["run"]["status"] for event in events if event["__typename"] == "RunStatusChange"] == [
        "QUEUED",
        "IN_PROGRESS",
        "COMPLETED",
    ]
    assert "refunded" in next(event["message"]["text"] for event in events if event["__typename"] == "MessageFinished")


async def test_status_comes_with_the_fields_selected_below_the_run(demo: Gateway) -> None:
    async with following(demo, named("run-status").text) as stream:
        (event,) = [event async for event in stream.events()]
    assert (event["previous"], event["status"], event["provenance"]) == (None, "COMPLETED", "SNAPSHOT")
    assert len(event["run"]["steps"]["nodes"]) == 2


async def test_resume_reports_the_gap_and_then_shows_the_present_state(demo: Gateway) -> None:
    async with following(demo, named("resume").text) as stream:
        lost, there = [event async for event in stream.events()]
    assert (lost["code"], lost["final"]) == ("CURSOR_EXPIRED", False)
    assert there["run"]["status"] == "COMPLETED"
    async with following(demo, named("resume").text, after=there["cursor"]) as stream:
        assert [event async for event in stream.events()] == []


async def test_thread_events_show_what_reply_writes(demo: Gateway, emulator: Emulator) -> None:
    async with following(demo, named("thread-events").text) as stream:
        assert "errors" not in (await demo.post({"query": named("reply").text})).json
        emulator.clock.advance(LONG_ENOUGH_SECONDS)
        events = []
        async for event in stream.events():
            events.append(event)
            if event.get("status") == "COMPLETED":
                break
    texts = [event["message"]["text"] for event in events if event["__typename"] == "MessageCreated"]
    assert texts[0] == "Please make it shorter."


@pytest.mark.usefixtures("shared_clock", "polls_once")
@each(ALONE)
async def test_a_subscription_keeps_its_budget_and_a_second_one_costs_nothing(
    example: Example, emulator: Emulator
) -> None:
    async with running_gateway(emulator.url, upstream_api_key=DEMO_KEY, gateway_cache=True) as gateway:
        await check_budget(example, emulator, gateway, gateway)


@pytest.mark.usefixtures("shared_clock", "polls_once")
@each(ALONE)
async def test_a_subscriber_of_another_process_costs_nothing(
    example: Example, emulator: Emulator, valkey: Valkey
) -> None:
    async with two_gateways(emulator, valkey) as (first, second):
        await check_budget(example, emulator, first, second)


@asynccontextmanager
async def two_gateways(emulator: Emulator, valkey: Valkey) -> AsyncIterator[tuple[Gateway, Gateway]]:
    redis = {"redis_url": valkey.url, "redis_deadline_seconds": 5}
    options = {"upstream_api_key": DEMO_KEY, "gateway_cache": True, **redis}
    async with (
        running_gateway(emulator.url, **options) as first,
        running_gateway(emulator.url, **options) as second,
    ):
        yield first, second


async def check_budget(example: Example, emulator: Emulator, first: Gateway, again: Gateway) -> None:
    emulator.counts.reset()
    async with following(first, example.text) as stream:
        await first_event(example, stream)
        assert emulator.counts.total == example.budget["calls"]
        # The entries of another process take a moment to arrive in Redis.
        for _ in range(20):
            emulator.counts.reset()
            async with following(again, example.text) as second_stream:
                await first_event(example, second_stream)
            if emulator.counts.total == example.budget["repeated"]:
                return
    raise AssertionError(f"expected {example.budget['repeated']} calls of a second one, got {emulator.counts.total}")


@pytest.mark.usefixtures("shared_clock", "polls_once")
@each(BESIDE_ITS_MUTATION)
async def test_a_run_started_here_is_followed_within_its_budget(example: Example, emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_api_key=DEMO_KEY, gateway_cache=True) as gateway:
        await check_followed(example, emulator, gateway, gateway)


@pytest.mark.usefixtures("shared_clock", "polls_once")
@each(BESIDE_ITS_MUTATION)
async def test_a_run_started_by_another_process_is_followed_within_the_same_budget(
    example: Example, emulator: Emulator, valkey: Valkey
) -> None:
    async with two_gateways(emulator, valkey) as (first, second):
        await check_followed(example, emulator, first, second)


async def check_followed(example: Example, emulator: Emulator, first: Gateway, follower: Gateway) -> None:
    emulator.counts.reset()
    run = await start(first, example)
    assert emulator.counts.total == example.budget["calls"]
    async with following(follower, example.text, operation_name=example.named(SUBSCRIPTION), run=run) as stream:
        await read_to_the_end(stream, emulator)
    if "followed" in example.budget:
        assert emulator.counts.total == example.budget["calls"] + example.budget["followed"]
