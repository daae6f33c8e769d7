"""Streams runs like a program of early 2024, with openai 1.20.0: `stream_runs.py URL KEY JOURNEY` prints JSON."""

import json
import sys
from collections.abc import Callable
from typing import Any

import openai
import pydantic

# A status that the service had but this SDK did not know yet.
KNOWN_FAULT = (("status",), "incomplete")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
QUESTION = {"messages": [{"role": "user", "content": "How is the weather in Oslo?"}]}


def check(model: Any) -> None:
    """Raise if an object lacks a field of its model or has a field of another type."""
    try:
        type(model).model_validate(model.to_dict())
    except pydantic.ValidationError as error:
        if {(fault["loc"], fault["input"]) for fault in error.errors()} != {KNOWN_FAULT}:
            raise


class Recorder(openai.AssistantEventHandler):
    """Records the calls of the SDK's own handler for a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.done: list[str] = []
        self.arguments = ""

    def on_event(self, event: Any) -> None:
        check(event.data)
        if not event.event.endswith("delta") or self.names[-1] != event.event:
            self.names.append(event.event)

    def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.text += delta.value or ""
        assert snapshot.value == self.text

    def on_text_done(self, text: Any) -> None:
        self.done.append(text.value)

    def on_tool_call_done(self, tool_call: Any) -> None:
        self.arguments = tool_call.function.arguments


def create_assistant(client: Any, **options: Any) -> str:
    made: str = client.beta.assistants.create(model="gpt-4", instructions="Be brief.", **options).id
    return made


def text(client: Any) -> Any:
    recorder = Recorder()
    with client.beta.threads.create_and_run_stream(
        assistant_id=create_assistant(client), thread=QUESTION, event_handler=recorder
    ) as stream:
        (message,) = stream.get_final_messages()
    return {"names": recorder.names, "text": recorder.text, "done": recorder.done, "file_ids": message.file_ids}


def functions(client: Any) -> Any:
    runs = client.beta.threads.runs
    first, second = Recorder(), Recorder()
    with client.beta.threads.create_and_run_stream(
        assistant_id=create_assistant(client, tools=[WEATHER]), thread=QUESTION, event_handler=first
    ) as stream:
        stream.until_done()
    run: Any = first.current_run
    outputs = [
        {"tool_call_id": call.id, "output": "4 degrees"} for call in run.required_action.submit_tool_outputs.tool_calls
    ]
    with runs.submit_tool_outputs_stream(
        run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs, event_handler=second
    ) as stream:
        stream.until_done()
    return {
        "asked": first.names,
        "arguments": first.arguments,
        "answered": second.names,
        "text": second.text,
    }


def incomplete(client: Any) -> Any:
    recorder = Recorder()
    with client.beta.threads.create_and_run_stream(
        assistant_id=create_assistant(client),
        thread=QUESTION,
        metadata={"emulator": "incomplete"},
        event_handler=recorder,
    ) as stream:
        stream.until_done()
    run: Any = recorder.current_run
    return {"names": recorder.names, "status": run.status}


def cancelled(client: Any) -> Any:
    runs = client.beta.threads.runs
    recorder = Recorder()
    with client.beta.threads.create_and_run_stream(
        assistant_id=create_assistant(client), thread=QUESTION, event_handler=recorder
    ) as stream:
        for event in stream:
            if event.event == "thread.run.queued":
                runs.cancel(event.data.id, thread_id=event.data.thread_id)
            elif event.event == "thread.run.cancelling":
                # Each request advances the clock.
                runs.poll(event.data.id, thread_id=event.data.thread_id, poll_interval_ms=0)
    return {"names": recorder.names}


JOURNEYS: dict[str, Callable[[Any], Any]] = {
    "text": text,
    "functions": functions,
    "incomplete": incomplete,
    "cancelled": cancelled,
}


def main(url: str, key: str, journey: str) -> None:
    with (
        openai.DefaultHttpxClient(trust_env=False) as http_client,
        openai.OpenAI(api_key=key, base_url=url, max_retries=0, http_client=http_client) as client,
    ):
        json.dump({"version": openai.__version__, "seen": JOURNEYS[journey](client)}, sys.stdout)


main(*sys.argv[1:])
