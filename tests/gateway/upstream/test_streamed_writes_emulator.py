"""Tests that the bundled emulator streams its runs to the client, in both versions of the API."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.upstream.threads_api_client import BoundThreadsApi, UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.bodies import RunBody, ThreadAndRunBody, ToolOutputsBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.wire import RunObject, ThreadObject
from schema.contract.writes import CREATE_RUN, CREATE_THREAD_AND_RUN, SUBMIT_TOOL_OUTPUTS
from tests.support.clocks import EagerClock
from tests.support.emulator import AUTHORIZATION, Emulator, running_emulator
from tests.support.upstream_client import StreamRecorder

WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(params=["v1", "v2"])
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[Emulator]:
    async with running_emulator(version=request.param, clock=EagerClock()) as running:
        yield running


Bind = Callable[[StreamRecorder], BoundThreadsApi]


@pytest.fixture
async def bind(emulator: Emulator) -> AsyncIterator[Bind]:
    options = UpstreamOptions(emulator.url, "openai-v1" if emulator.version == "v1" else "openai-v2")
    async with UpstreamClient(options) as client:
        yield lambda recorder: client.bind(AUTHORIZATION, recorder)
        assert client.stream_slots._value == client.options.max_streams


async def assistant_id(emulator: Emulator, **fields: Any) -> str:
    made = await emulator.post("/assistants", {"model": "gpt-4o", "instructions": "Answer."} | fields)
    return str(made["id"])


async def thread(emulator: Emulator) -> ThreadKey:
    made = await emulator.post("/threads", {"messages": [{"role": "user", "content": "How is the weather?"}]})
    return ThreadKey(made["id"])


def names(recorder: StreamRecorder) -> list[str | None]:
    return [event.name for event in recorder.events if event.delta is None]


ANSWER = [
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.completed",
    "thread.run.step.completed",
    "thread.run.completed",
    "done",
]
BEGINNING = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]


async def test_a_run_is_streamed_from_its_creation_to_its_end(emulator: Emulator, bind: Bind) -> None:
    recorder, key = StreamRecorder(), await thread(emulator)
    run = await bind(recorder).write(CREATE_RUN, key, RunBody(assistant_id=await assistant_id(emulator)))
    assert (run.thread_id, run.status) == (key.thread_id, "queued")
    await recorder.finished()
    assert recorder.failure is None
    assert names(recorder) == [*BEGINNING, *ANSWER]
    assert [stream.thread_id for stream in recorder.streams] == [key.thread_id]
    assert emulator.counts.by_operation["createRun"] == 1


async def test_a_thread_created_with_its_run_comes_first(emulator: Emulator, bind: Bind) -> None:
    recorder = StreamRecorder()
    message = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    body = {"assistant_id": await assistant_id(emulator), "thread": {"messages": [message]}}
    run = await bind(recorder).write(CREATE_THREAD_AND_RUN, None, ThreadAndRunBody.model_validate(body))
    await recorder.finished()
    assert names(recorder) == ["thread.created", *BEGINNING, *ANSWER]
    assert isinstance(recorder.events[0].wire, ThreadObject)
    assert recorder.events[0].wire.id == run.thread_id
    assert [stream.thread_id for stream in recorder.streams] == [None]


async def test_submitting_tool_outputs_returns_a_stream(emulator: Emulator, bind: Bind) -> None:
    before, after, key = StreamRecorder(), StreamRecorder(), await thread(emulator)
    run = await bind(before).write(CREATE_RUN, key, RunBody(assistant_id=await assistant_id(emulator, tools=[WEATHER])))
    await before.finished()
    assert names(before)[-2:] == ["thread.run.requires_action", "done"]
    waiting = before.events[-2].wire
    assert isinstance(waiting, RunObject)
    (call,) = json.loads(bytes(waiting.required_action))["submit_tool_outputs"]["tool_calls"]
    outputs = ToolOutputsBody.model_validate({"tool_outputs": [{"tool_call_id": call["id"], "output": "Rain"}]})
    again = await bind(after).write(SUBMIT_TOOL_OUTPUTS, RunKey(key.thread_id, run.id), outputs)
    assert again.id == run.id
    await after.finished()
    assert after.failure is None
    assert names(after) == ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress", *ANSWER]


async def test_a_refusal_is_raised_and_nothing_is_recorded(emulator: Emulator, bind: Bind) -> None:
    recorder = StreamRecorder()
    with pytest.raises(GatewayError) as caught:
        await bind(recorder).write(
            CREATE_RUN, ThreadKey("thread_of_nobody"), RunBody(assistant_id=await assistant_id(emulator))
        )
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert not recorder.streams


@pytest.mark.parametrize("fault", ["cut", "garbled", "half-character"])
async def test_a_stream_that_breaks_in_the_middle_is_reported(emulator: Emulator, bind: Bind, fault: str) -> None:
    recorder, key = StreamRecorder(), await thread(emulator)
    emulator.misbehave(f"createRun:{fault}:events=8")
    run = await bind(recorder).write(CREATE_RUN, key, RunBody(assistant_id=await assistant_id(emulator)))
    await recorder.finished()
    assert run.status == "queued"
    assert recorder.failure is not None or any(event.decode_error for event in recorder.events)
    assert names(recorder)[:3] == BEGINNING
