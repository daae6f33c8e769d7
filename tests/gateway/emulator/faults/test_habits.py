"""Each habit of other servers, as a client of the emulator sees it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.faults.fault_rules import FaultRule, FaultRuleError
from gateway.emulator.faults.fault_text import parse_fault_rules
from gateway.emulator.faults.habits import HABITS, habitual_frames
from tests.gateway.emulator.api_client import Api

Habitual = Callable[[str], Awaitable[Api]]
MODEL = {"model": "gpt-5-mini"}
BACKGROUND = {**MODEL, "background": True, "store": True}
STREAM_HABITS = ("no-event-lines", "no-done", "no-text-done", "unknown-events")


@pytest.fixture
def habitual(aiohttp_client: Any, clock: ManualClock) -> Habitual:
    async def make(text: str) -> Api:
        client: TestClient[Any, web.Application] = await aiohttp_client(
            create_app(clock=clock, faults=parse_fault_rules(text))
        )
        return Api(client, clock)

    return make


async def streamed_text(api: Api) -> str:
    """Return the bytes of a streamed answer as text."""
    async with api.stream("/responses", {**MODEL, "input": "What is a heron?"}) as stream:
        api.clock.advance(60)
        return (await stream.response.read()).decode()


def events_of(text: str) -> list[Any]:
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


async def test_without_a_habit_a_stream_has_everything(habitual: Habitual) -> None:
    text = await streamed_text(await habitual(""))
    events = events_of(text)
    assert text.count("event: ") == len(events)
    assert text.endswith("data: [DONE]\n\n")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize("habit", STREAM_HABITS)
async def test_each_habit_of_streams_changes_only_what_it_names(habitual: Habitual, habit: str) -> None:
    usual = await streamed_text(await habitual(""))
    strange = await streamed_text(await habitual(f"createResponse:{habit}"))
    types = [event["type"] for event in events_of(usual)]
    changed = [event["type"] for event in events_of(strange)]
    match habit:
        case "no-event-lines":
            assert "event: " not in strange
        case "no-done":
            assert "[DONE]" not in strange
        case "no-text-done":
            assert changed == [one for one in types if one != "response.output_text.done"]
        case "unknown-events":
            assert "response.emulator.note" in changed
            assert [one for one in changed if one != "response.emulator.note"] == types
    if habit in {"no-event-lines", "no-done"}:
        assert changed == types


async def test_times_are_fractions(habitual: Habitual) -> None:
    api = await habitual("*:float-times")
    made = await api.ok("POST", "/responses", {**BACKGROUND, "input": "Hi?"})
    assert made["created_at"] == api.clock.now() + 0.25
    assert made["completed_at"] is None
    first, *_ = events_of(await streamed_text(api))
    assert first["response"]["created_at"] % 1 == 0.25


async def test_messages_have_no_status(habitual: Habitual) -> None:
    api = await habitual("*:null-status")
    conversation = await api.ok("POST", "/conversations", {"items": [{"role": "user", "content": "Hi"}]})
    (item,) = (await api.ok("GET", f"/conversations/{conversation['id']}/items"))["data"]
    assert item["status"] is None
    made = await api.ok("POST", "/responses", {**BACKGROUND, "input": "Hi?"})
    assert made["status"] == "queued"


async def test_background_is_refused_and_the_foreground_is_not(habitual: Habitual) -> None:
    api = await habitual("createResponse:no-background")
    status, error = await api.error("POST", "/responses", {**BACKGROUND, "input": "Hi?"})
    assert (status, error["param"]) == (400, "background")
    assert "response.completed" in await streamed_text(api)
    reply = await api.call("POST", "/responses", raw=b"{")
    assert reply.status == 400
    assert "could not parse" in reply.json["error"]["message"]


async def test_a_server_without_locks_runs_two_responses_at_once(habitual: Habitual) -> None:
    api = await habitual("createResponse:no-lock")
    conversation = await api.ok("POST", "/conversations")
    body = {**BACKGROUND, "conversation": conversation["id"]}
    made = [await api.ok("POST", "/responses", {**body, "input": f"{name}?"}) for name in ("One", "Two")]
    api.clock.advance(60)
    for response in made:
        assert (await api.ok("GET", f"/responses/{response['id']}"))["status"] == "completed"
    items = (await api.ok("GET", f"/conversations/{conversation['id']}/items?order=asc"))["data"]
    assert sorted(item["role"] for item in items) == ["assistant", "assistant", "user", "user"]


async def test_before_is_ignored(habitual: Habitual) -> None:
    api = await habitual("listThreads:no-before,listMessages:no-before")
    thread = await api.new_thread("One", "Two")
    newest, oldest = (await api.ok("GET", f"/threads/{thread}/messages"))["data"]
    page = await api.ok("GET", f"/threads/{thread}/messages?before={oldest['id']}")
    assert [message["id"] for message in page["data"]] == [newest["id"], oldest["id"]]


async def test_habits_add_up_with_each_other_and_with_a_fault(habitual: Habitual) -> None:
    api = await habitual("createResponse:no-done,createResponse:no-event-lines,createResponse:cut:events=3")
    async with api.stream("/responses", {**MODEL, "input": "What is a heron?"}) as stream:
        api.clock.advance(60)
        for _ in range(3):
            assert (await stream.response.content.readuntil(b"\n\n")).startswith(b"data: ")
        assert stream.response.headers["x-emulator-fault"] == "no-done+no-event-lines+cut"


@pytest.mark.parametrize("habit", sorted(HABITS))
def test_a_habit_replaces_no_answer(habit: str) -> None:
    (rule,) = parse_fault_rules(f"createResponse:{habit}")
    assert isinstance(rule, FaultRule)
    assert rule.is_habit
    with pytest.raises(FaultRuleError, match="expected no 'when'"):
        parse_fault_rules(f"createResponse:{habit}:when=after")


def test_a_frame_that_another_fault_has_spoiled_stays_as_it_is() -> None:
    for frame in (b'event: x\ndata: {"ty\n\n', b": a comment\n\n"):
        assert habitual_frames(frame, HABITS) == [frame]


async def test_a_server_that_ignores_before_takes_writes(habitual: Habitual) -> None:
    api = await habitual("*:no-before")
    made = await api.ok("POST", "/conversations", {"metadata": {"a": "1"}})
    assert made["metadata"] == {"a": "1"}
