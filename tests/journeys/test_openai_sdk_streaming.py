"""Tests that the official SDK streams runs from the emulator with its own handlers: the newest version and 1.20.0."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import openai
import pytest
from openai import AssistantEventHandler, AsyncAssistantEventHandler, AsyncOpenAI, DefaultHttpxClient, OpenAI
from openai.types.beta import AssistantStreamEvent
from openai.types.beta.function_tool_param import FunctionToolParam
from openai.types.beta.threads import Message, Run, Text, TextDelta
from openai.types.beta.threads.runs import RunStep, ToolCall

from gateway.emulator.clock import ManualClock
from tests.support.clocks import EagerClock, SteppingClock
from tests.support.emulator import KEY, Emulator, running_emulator
from tests.support.openai_sdk import check_object, client, ignores_its_deprecation, openai_client
from tests.support.pinned_packages import old_openai, run_script

__all__ = ["client", "old_openai"]

pytestmark = ignores_its_deprecation

SCRIPT = Path(__file__).parent / "scripts_openai_v1" / "stream_runs.py"
WEATHER: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
BEGINNING = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]


class Recorder(AsyncAssistantEventHandler):
    """Records the calls of the SDK's own handler for a stream, and checks each object against its model."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.texts: list[str] = []
        self.messages: list[Message] = []
        self.steps: list[RunStep] = []
        self.calls: list[ToolCall] = []
        self.has_ended = False

    async def on_event(self, event: AssistantStreamEvent) -> None:
        if not event.event.endswith("delta") or self.names[-1] != event.event:
            self.names.append(event.event)
        if isinstance(event.data, openai.BaseModel):
            check_object(event.data)

    async def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self.text += delta.value or ""
        assert snapshot.value == self.text

    async def on_text_done(self, text: Text) -> None:
        self.texts.append(text.value)

    async def on_message_done(self, message: Message) -> None:
        self.messages.append(message)

    async def on_run_step_done(self, run_step: RunStep) -> None:
        self.steps.append(run_step)

    async def on_tool_call_done(self, tool_call: ToolCall) -> None:
        self.calls.append(tool_call)

    async def on_end(self) -> None:
        self.has_ended = True


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with running_emulator(clock=EagerClock()) as emulator:
        yield emulator


async def a_thread(client: AsyncOpenAI, question: str) -> str:
    return (await client.beta.threads.create(messages=[{"role": "user", "content": question}])).id


async def an_assistant(client: AsyncOpenAI, *tools: FunctionToolParam) -> str:
    return (await client.beta.assistants.create(model="gpt-4o", instructions="Be brief.", tools=tools)).id


async def test_a_text_is_streamed(client: AsyncOpenAI) -> None:
    thread_id, assistant_id = await a_thread(client, "Is Rome in Italy?"), await an_assistant(client)
    handler = Recorder()
    async with client.beta.threads.runs.stream(
        thread_id=thread_id, assistant_id=assistant_id, event_handler=handler
    ) as stream:
        await stream.until_done()
    assert handler.names == [
        *BEGINNING,
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    assert handler.has_ended
    assert handler.texts == [handler.text]
    (message,), (step,) = handler.messages, handler.steps
    assert (message.status, step.status) == ("completed", "completed")
    run = handler.current_run
    assert run is not None
    assert check_object(await client.beta.threads.runs.retrieve(run.id, thread_id=thread_id)).status == "completed"
    (read,) = (await client.beta.threads.messages.list(thread_id, run_id=run.id)).data
    assert read.content == message.content


async def test_a_thread_and_its_run_are_streamed_with_citations(client: AsyncOpenAI) -> None:
    assistant = await client.beta.assistants.create(model="gpt-4o", tools=[{"type": "file_search"}])
    handler = Recorder()
    async with client.beta.threads.create_and_run_stream(
        assistant_id=assistant.id,
        thread={
            "messages": [
                {
                    "role": "user",
                    "content": "How many days of leave?",
                    "attachments": [{"file_id": "file-handbook", "tools": [{"type": "file_search"}]}],
                }
            ]
        },
        event_handler=handler,
    ) as stream:
        final = await stream.get_final_messages()
    assert handler.names[:3] == ["thread.created", *BEGINNING[:2]]
    (message,) = final
    (part,) = message.content
    assert part.type == "text"
    (citation,) = part.text.annotations
    assert part.text.value[citation.start_index : citation.end_index] == citation.text
    # The SDK reports the last call again when the run ends.
    assert {call.type for call in handler.calls} == {"file_search"}


async def test_the_interpreters_code_is_streamed(client: AsyncOpenAI) -> None:
    thread_id, assistant_id = await a_thread(client, "Draw a chart"), await an_assistant(client)
    handler = Recorder()
    async with client.beta.threads.runs.stream(
        thread_id=thread_id,
        assistant_id=assistant_id,
        tools=[{"type": "code_interpreter"}],
        event_handler=handler,
    ) as stream:
        await stream.until_done()
    called, _ = handler.steps
    assert called.step_details.type == "tool_calls"
    (whole,), shown = called.step_details.tool_calls, handler.calls[0]
    assert whole.type == "code_interpreter"
    assert shown.type == "code_interpreter"
    assert shown.code_interpreter.input == whole.code_interpreter.input
    assert [output.type for output in shown.code_interpreter.outputs] == ["logs", "image"]


async def test_a_function_is_called_and_its_output_streams_on(client: AsyncOpenAI) -> None:
    thread_id, assistant_id = await a_thread(client, "Weather in Oslo?"), await an_assistant(client, WEATHER)
    first, second = Recorder(), Recorder()
    async with client.beta.threads.runs.stream(
        thread_id=thread_id, assistant_id=assistant_id, event_handler=first
    ) as stream:
        await stream.until_done()
    waiting = cast("Run", first.current_run)
    assert first.names[-2:] == ["thread.run.step.delta", "thread.run.requires_action"]
    assert waiting.required_action is not None
    (wanted,) = waiting.required_action.submit_tool_outputs.tool_calls
    (streamed,) = first.calls
    assert streamed.type == "function"
    assert (streamed.id, streamed.function.arguments) == (wanted.id, wanted.function.arguments)
    assert json.loads(wanted.function.arguments) == {"city": "Oslo"}
    async with client.beta.threads.runs.submit_tool_outputs_stream(
        run_id=waiting.id,
        thread_id=thread_id,
        tool_outputs=[{"tool_call_id": wanted.id, "output": "4 degrees"}],
        event_handler=second,
    ) as stream:
        await stream.until_done()
    assert second.names[:3] == ["thread.run.step.completed", *BEGINNING[1:]]
    assert second.names[-1] == "thread.run.completed"
    assert "4 degrees" in second.text


async def test_a_cancellation_is_seen_from_the_stream() -> None:
    clock = ManualClock()
    async with running_emulator(clock=clock) as emulator, openai_client(emulator) as client:
        thread_id, assistant_id = await a_thread(client, "Is Rome in Italy?"), await an_assistant(client)
        handler = Recorder()
        async with client.beta.threads.runs.stream(
            thread_id=thread_id, assistant_id=assistant_id, event_handler=handler
        ) as stream:
            async for event in stream:
                if event.event == "thread.run.queued":
                    clock.advance(1.45)
                elif event.event == "thread.message.delta":
                    run = cast("Run", handler.current_run)
                    cancelling = await client.beta.threads.runs.cancel(run.id, thread_id=thread_id)
                    assert cancelling.status == "cancelling"
                elif event.event == "thread.run.cancelling":
                    clock.advance(1)
        assert handler.names[-4:] == [
            "thread.run.cancelling",
            "thread.run.step.cancelled",
            "thread.message.incomplete",
            "thread.run.cancelled",
        ]
        assert [message.status for message in handler.messages] == ["incomplete"]


async def test_a_failure_is_seen_from_the_stream(client: AsyncOpenAI) -> None:
    thread_id, assistant_id = await a_thread(client, "Is Rome in Italy?"), await an_assistant(client)
    handler = Recorder()
    async with client.beta.threads.runs.stream(
        thread_id=thread_id, assistant_id=assistant_id, metadata={"emulator": "fail"}, event_handler=handler
    ) as stream:
        await stream.until_done()
    run = cast("Run", handler.current_run)
    assert handler.names[-2:] == ["thread.run.step.failed", "thread.run.failed"]
    assert run.last_error is not None
    assert run.last_error.code == "server_error"


async def test_a_refusal_before_the_stream_is_the_sdks_own_error(client: AsyncOpenAI) -> None:
    thread_id = await a_thread(client, "Is Rome in Italy?")
    with pytest.raises(openai.NotFoundError, match="No assistant found with id 'asst_X'"):
        async with client.beta.threads.runs.stream(thread_id=thread_id, assistant_id="asst_X") as stream:
            await stream.until_done()


async def test_the_synchronous_handler_streams_too(emulator: Emulator) -> None:
    class Words(AssistantEventHandler):
        def __init__(self) -> None:
            super().__init__()
            self.text = ""

        def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
            self.text += delta.value or ""

    def stream_one() -> tuple[str, str]:
        with (
            DefaultHttpxClient(trust_env=False) as http_client,
            OpenAI(api_key=KEY, base_url=emulator.url, max_retries=0, http_client=http_client) as client,
        ):
            assistant = client.beta.assistants.create(model="gpt-4o")
            words = Words()
            with client.beta.threads.create_and_run_stream(
                assistant_id=assistant.id,
                thread={"messages": [{"role": "user", "content": "Is Rome in Italy?"}]},
                event_handler=words,
            ) as stream:
                (message,) = stream.get_final_messages()
            (part,) = message.content
            assert part.type == "text"
            return words.text, part.text.value

    streamed, whole = await asyncio.to_thread(stream_one)
    assert streamed == whole


Journey = Callable[[Emulator, str], Awaitable[Any]]


@pytest.fixture
def journey(old_openai: Path) -> Journey:
    """Run one function of the script for the older version. Returns its printed result."""

    async def run(emulator: Emulator, name: str) -> Any:
        printed = await run_script(old_openai, SCRIPT, emulator.url, KEY, name)
        assert printed["version"] == "1.20.0"
        return printed["seen"]

    return run


async def test_the_older_version_streams_a_text_and_a_function_call(emulator: Emulator, journey: Journey) -> None:
    text = await journey(emulator, "text")
    assert text["names"][:4] == ["thread.created", *BEGINNING]
    assert text["names"][-1] == "thread.run.completed"
    assert (text["done"], text["file_ids"]) == ([text["text"]], [])
    functions = await journey(emulator, "functions")
    assert functions["asked"][-1] == "thread.run.requires_action"
    assert functions["answered"][0] == "thread.run.step.completed"
    assert functions["answered"][-1] == "thread.run.completed"
    assert json.loads(functions["arguments"]) == {"city": "Oslo"}
    assert "4 degrees" in functions["text"]


async def test_the_older_version_sees_a_limit_in_the_completed_event(emulator: Emulator, journey: Journey) -> None:
    seen = await journey(emulator, "incomplete")
    assert (seen["names"][-1], seen["status"]) == ("thread.run.completed", "incomplete")


async def test_the_older_version_sees_a_cancellation(journey: Journey) -> None:
    async with running_emulator(version="v1", clock=SteppingClock(0.4)) as emulator:
        seen = await journey(emulator, "cancelled")
    assert seen["names"][-2:] == ["thread.run.cancelling", "thread.run.cancelled"]
