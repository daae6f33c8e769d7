"""Tests that a run is over for its readers only when all that it wrote is told, however little its stream tells."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from tests.journeys.test_live_runs_faults import (
    COMPLETED,
    CREATED,
    DONE,
    MESSAGE,
    PIECES,
    PROGRESS,
    RUN,
    STEP,
    STEPPED,
    TEXT,
    WRITTEN,
    check_message_and_end,
    frame,
    listing,
    message_object,
    run_object,
    step_object,
)
from tests.support.emulator_runs import RUN_EVENTS, RUN_STATUS, THREAD_EVENTS, statuses
from tests.support.faces import both_faces
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import succeed
from tests.support.scripted_upstream import (
    Request,
    ScriptedResponse,
    chunked_response,
    response,
    scripted_upstream,
)
from tests.support.subscription_clients import Event, open_socket

pytestmark = both_faces

CALL: dict[str, Any] = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
ACTION = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [CALL]}}
WAITING = run_object("requires_action", started_at=2, required_action=ACTION)
WAITS = frame("thread.run.requires_action", WAITING)


def tool_step(status: str) -> dict[str, Any]:
    return step_object(status, "step_0", {"type": "tool_calls", "tool_calls": [CALL]})


CALLS = frame("thread.run.step.created", tool_step("in_progress"))
CALLED = frame("thread.run.step.completed", tool_step("completed"))
EMPTIED = frame("thread.message.completed", message_object("completed"))

UNTOLD = {
    "no message events": [CREATED, PROGRESS, STEP, STEPPED, COMPLETED, DONE],
    "no message events, and steps before the run": [STEPPED, COMPLETED, DONE],
    "only steps of tools": [CREATED, PROGRESS, CALLS, CALLED, COMPLETED, DONE],
    "no step events": [CREATED, PROGRESS, MESSAGE, *PIECES, WRITTEN, COMPLETED, DONE],
    "no step of the message": [CREATED, PROGRESS, CALLS, CALLED, MESSAGE, *PIECES, WRITTEN, COMPLETED, DONE],
    "no end of the message": [CREATED, PROGRESS, STEP, MESSAGE, *PIECES, STEPPED, COMPLETED, DONE],
    "no text in the finished message": [CREATED, PROGRESS, STEP, MESSAGE, *PIECES, EMPTIED, STEPPED, COMPLETED, DONE],
    "no events but the run's": [CREATED, PROGRESS, COMPLETED, DONE],
    "no last words": [CREATED, PROGRESS, STEP, STEPPED, COMPLETED],
    "an incomplete run": [CREATED, PROGRESS, frame("x", run_object("incomplete")), DONE],
    "a failed run that wrote": [
        CREATED,
        PROGRESS,
        frame("thread.run.failed", run_object("failed", usage={"completion_tokens": 3})),
        DONE,
    ],
}


def upstream_telling(
    *frames: bytes | asyncio.Event, afterwards: str, steps: Sequence[Any], cut: bool = False
) -> Callable[[Request], ScriptedResponse]:
    """Return an upstream that streams these frames. Reads get the run as it is `afterwards`, its message and steps."""

    def reply(request: Request) -> ScriptedResponse:
        path = request.target.partition("?")[0]
        if request.method == "POST":
            return chunked_response(*frames, whole=not cut, then="reset" if cut else "keep")
        if path.endswith("/messages"):
            return response(body=listing(message_object(None, TEXT)))
        if path.endswith("/steps"):
            return response(body=listing(*steps))
        if path.endswith("/runs"):
            return response(body=listing(run_object(afterwards)))
        return response(body=run_object(afterwards))

    return reply


async def create_run(gateway: Gateway) -> None:
    await succeed(gateway, "createRun", "run { id }", threadId="thread_1", assistantId="asst_1")


async def create_thread_and_run(gateway: Gateway) -> None:
    await succeed(gateway, "createThreadAndRun", "run { id }", assistantId="asst_1")


def told_steps(events: Sequence[Event]) -> list[str]:
    shown = [step["id"] for event in events if event["type"] == "RunSnapshot" for step in event["steps"]]
    changed = [event["step"] for event in events if event["type"] == "StepChanged"]
    return sorted({*shown, *(step["id"] for step in changed if step["status"] == "COMPLETED")})


async def read_to_end(gateway: Gateway) -> tuple[list[Event], list[Event]]:
    """Read the run's events and statuses to their end."""
    async with open_socket(gateway) as socket:
        readers = [await socket.subscribe(RUN_EVENTS, run=RUN.id), await socket.subscribe(RUN_STATUS, run=RUN.id)]
        events, status = await asyncio.gather(*(reader.wait_for_completion() for reader in readers))
        check_message_and_end(readers[0], statuses(status)[-1])
    return list(events), list(status)


@pytest.mark.parametrize("start", [create_run, create_thread_and_run])
@pytest.mark.parametrize("dialect", ["openai-v2", "openai-v1"])
@pytest.mark.parametrize("frames", UNTOLD.values(), ids=UNTOLD)
async def test_what_the_stream_left_out_is_told_before_the_end(
    frames: list[bytes], dialect: str, start: Callable[[Gateway], Awaitable[None]]
) -> None:
    ends = {"incomplete": "incomplete", "failed": "failed"}
    end = next((one for one in ends if any(f'"{one}"'.encode() in sent for sent in frames)), "completed")
    steps = [tool_step("completed"), step_object("completed")] if CALLS in frames else [step_object("completed")]
    async with scripted_upstream() as upstream:
        upstream.default_response = upstream_telling(*frames, afterwards=end, steps=steps)
        async with running_gateway(upstream.url, upstream_dialect=dialect) as gateway:
            await start(gateway)
            events, _ = await read_to_end(gateway)
    assert len(told_steps(events)) == len(steps)
    names = [event["type"] for event in events]
    assert names[-1] in {"RunStatusChange", "RunSnapshot"}
    assert names.count("MessageFinished") + sum(len(event.get("messages", ())) > 0 for event in events) == 1
    paths = sorted(request.target.partition("?")[0].rpartition("/")[2] for request in upstream.requests[1:])
    assert paths == ["messages", "run_1", "steps"]


async def test_what_a_poll_told_is_marked_as_polled() -> None:
    async with scripted_upstream() as upstream:
        frames = [CREATED, PROGRESS, STEP, STEPPED, COMPLETED, DONE]
        upstream.default_response = upstream_telling(*frames, afterwards="completed", steps=[step_object("completed")])
        async with running_gateway(upstream.url) as gateway:
            await create_run(gateway)
            events, _ = await read_to_end(gateway)
    told = [(event["type"], event["provenance"]) for event in events if "provenance" in event]
    assert told[-3:] == [("MessageCreated", "POLLED"), ("MessageFinished", "POLLED"), ("RunStatusChange", "POLLED")]
    assert {provenance for _, provenance in told[:-3]} == {"STREAMED"}


async def test_a_stream_that_breaks_after_the_runs_end_is_completed_too() -> None:
    async with scripted_upstream() as upstream:
        frames = [CREATED, PROGRESS, STEP, STEPPED, COMPLETED]
        steps = [step_object("completed")]
        upstream.default_response = upstream_telling(*frames, afterwards="completed", steps=steps, cut=True)
        async with running_gateway(upstream.url) as gateway:
            await create_run(gateway)
            events, _ = await read_to_end(gateway)
    assert not [event for event in events if event["type"] == "StreamError"]


async def test_readers_of_the_thread_get_the_message_that_the_stream_left_out() -> None:
    async with scripted_upstream() as upstream:
        go_on = asyncio.Event()
        frames: list[Any] = [CREATED, PROGRESS, go_on, STEP, STEPPED, COMPLETED, DONE]
        told = upstream_telling(*frames, afterwards="completed", steps=[step_object("completed")])
        running = upstream_telling(*frames, afterwards="in_progress", steps=[])

        def reply(request: Request) -> ScriptedResponse:
            if go_on.is_set() or request.method == "POST":
                return told(request)
            return response(body=listing()) if "/messages" in request.target else running(request)

        upstream.default_response = reply
        async with running_gateway(upstream.url) as gateway, open_socket(gateway) as socket:
            await create_run(gateway)
            reader = await socket.subscribe(THREAD_EVENTS, thread=RUN.thread_id)
            await reader.wait_for_event("RunStatusChange", status="IN_PROGRESS")
            go_on.set()
            await reader.wait_for_event("RunStatusChange", status="COMPLETED")
            await reader.wait_for_event("MessageFinished")
            finished = [event["message"]["text"] for event in reader.of_type("MessageFinished")]
            assert finished == [TEXT]


@pytest.mark.parametrize("first", [[CALLS], []], ids=["the step of the call told", "no step told"])
@pytest.mark.parametrize("second", [[STEPPED], [STEP, MESSAGE, *PIECES, WRITTEN, STEPPED]], ids=["no message", "whole"])
async def test_a_run_that_waited_is_completed_after_its_outputs(first: list[bytes], second: list[bytes]) -> None:
    called = [CALLED] if first else []
    again = [
        frame("thread.run.queued", run_object("queued", started_at=2)),
        *called,
        PROGRESS,
        *second,
        COMPLETED,
        DONE,
    ]
    steps = [tool_step("completed"), step_object("completed")]
    async with scripted_upstream() as upstream:
        before = upstream_telling(CREATED, PROGRESS, *first, WAITS, DONE, afterwards="completed", steps=steps)
        after = upstream_telling(*again, afterwards="completed", steps=steps)

        def reply(request: Request) -> ScriptedResponse:
            is_submitted = any("/submit_tool_outputs" in target for target in upstream.targets)
            is_run = request.method == "GET" and request.target.endswith(("/run_1", "/run_1?"))
            if is_run and not is_submitted:
                return response(body=WAITING)
            return after(request) if is_submitted else before(request)

        upstream.default_response = reply
        async with running_gateway(upstream.url) as gateway:
            await create_run(gateway)
            outputs = [{"callId": "call_1", "output": "22 °C"}]
            await succeed(gateway, "submitToolOutputs", "run { id }", runId=RUN.id, toolOutputs=outputs)
            events, _ = await read_to_end(gateway)
    assert len(told_steps(events)) == 2
    lists = [target for target in upstream.targets if "/steps" in target or "/messages" in target]
    assert len(lists) == (0 if first and MESSAGE in second else 2)


@pytest.mark.parametrize("end", ["failed", "cancelled", "expired"])
async def test_a_run_that_wrote_nothing_costs_no_further_call(end: str) -> None:
    async with scripted_upstream() as upstream:
        frames = [CREATED, PROGRESS, frame(f"thread.run.{end}", run_object(end)), DONE]
        upstream.default_response = upstream_telling(*frames, afterwards=end, steps=[])
        async with running_gateway(upstream.url) as gateway, open_socket(gateway) as socket:
            await create_run(gateway)
            reader = await socket.subscribe(RUN_EVENTS, run=RUN.id)
            assert statuses(await reader.wait_for_completion())[-1] == end.upper()
    assert [request.method for request in upstream.requests] == ["POST"]
