"""Starts runs in the emulator, moves them on, and checks the events that a reader received."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from schema.contract.keys import MessageKey, RunKey, ThreadKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway
from tests.support.mutations import WEATHER, assistant, succeed, thread_with_question
from tests.support.subscription_clients import Event, SubscriptionReader

RUN_EVENTS = """
subscription ($run: ID!, $after: String) {
  runEvents(runId: $run, after: $after) {
    type: __typename
    ... on RunSnapshot { cursor run { status } messages { id text } steps { id status } }
    ... on RunStatusChange { cursor previous status provenance run { lastError { code } incompleteReason } }
    ... on StepChanged { cursor provenance step { id status } }
    ... on ToolCallDelta { cursor stepId index callId name argumentsDelta argumentsOffset codeDelta codeOffset }
    ... on MessageCreated { cursor provenance message { id text } }
    ... on TextDelta { cursor messageId index offset value }
    ... on MessageFinished { cursor provenance message { id text } }
    ... on StreamError { cursor code detail final }
    ... on Lagged { cursor skipped }
  }
}"""

RUN_STATUS = """
subscription ($run: ID!) { runStatus(runId: $run) { type: __typename cursor previous status provenance } }"""

THREAD_EVENTS = """
subscription ($thread: ID!, $after: String) {
  threadEvents(threadId: $thread, after: $after) {
    type: __typename
    ... on RunStatusChange { cursor previous status provenance run { id } }
    ... on MessageCreated { cursor provenance message { id role text } }
    ... on MessageFinished { cursor provenance message { id role text } }
    ... on StreamError { cursor code detail final }
    ... on Lagged { cursor skipped }
  }
}"""

TERMINAL = {"CANCELLED", "FAILED", "COMPLETED", "INCOMPLETE", "EXPIRED"}

QUEUED_SECONDS = 1.0
"""The time that the emulator's runs stay queued."""

STEP_SECONDS = 0.4
"""The time until a step with its message or tool call begins."""

PIECE_SECONDS = 0.0401
"""The time for each piece of a text or of arguments, and a little more, since times are rounded."""

LONG_SECONDS = 60.0
"""Enough for the emulator to end any run that does not wait for tool outputs."""


@dataclass(frozen=True)
class StartedRun:
    """A run of the emulator. `id` is its global ID."""

    key: RunKey
    id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", to_global_id(self.key))

    @property
    def thread_id(self) -> str:
        return to_global_id(ThreadKey(self.key.thread_id))

    @property
    def path(self) -> str:
        """The path of the run in the API."""
        return f"/threads/{self.key.thread_id}/runs/{self.key.run_id}"


async def start_run(emulator: Emulator, gateway: Gateway, **options: Any) -> StartedRun:
    """Start a run through a gateway. On return, the run is queued."""
    thread_id = await thread_with_question(emulator)
    assistant_id = await assistant(emulator)
    fields = "run { id upstreamId status } thread { upstreamId }"
    made = await succeed(gateway, "createRun", fields, threadId=thread_id, assistantId=assistant_id, **options)
    assert made["run"]["status"] == "QUEUED"
    run = StartedRun(RunKey(thread_id, made["run"]["upstreamId"]))
    assert made["run"]["id"] == run.id
    return run


async def start_tool_run(emulator: Emulator, gateway: Gateway) -> StartedRun:
    """Start a run through a gateway that will call a function."""
    return await start_run(emulator, gateway, tools=[{"function": WEATHER["function"]}])


async def start_run_without_gateway(emulator: Emulator, **options: Any) -> StartedRun:
    """Start a run directly at the emulator."""
    thread_id = await thread_with_question(emulator)
    assistant_id = await assistant(emulator)
    run = await emulator.post(f"/threads/{thread_id}/runs", {"assistant_id": assistant_id, **options})
    return StartedRun(RunKey(thread_id, run["id"]))


async def submit_outputs(gateway: Gateway, emulator: Emulator, run: StartedRun, output: str = "22 °C") -> None:
    """Submit outputs for the function calls that a run waits for."""
    waiting = await emulator.get(run.path)
    calls = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = [{"callId": call["id"], "output": output} for call in calls]
    await succeed(gateway, "submitToolOutputs", "run { status }", runId=run.id, toolOutputs=outputs)


async def wait_for_status(reader: SubscriptionReader, status: str) -> None:
    """Wait until this is the last status that a reader has received."""
    await reader.wait_until(lambda reader: statuses(reader.events)[-1:] == [status])


async def write_message(emulator: Emulator, reader: SubscriptionReader) -> None:
    """Let a run in progress write its message piece by piece, without ending the run."""
    emulator.clock.advance(STEP_SECONDS)
    await reader.wait_for_event("MessageCreated")
    pieces = 0
    while not reader.of_type("MessageFinished"):
        pieces += 1
        emulator.clock.advance(PIECE_SECONDS)
        await reader.wait_until(partial(_has_written, pieces=pieces))


def _has_written(reader: SubscriptionReader, pieces: int) -> bool:
    return len(reader.of_type("TextDelta")) >= pieces or bool(reader.of_type("MessageFinished"))


def statuses(events: Sequence[Event]) -> list[str]:
    """Return the statuses in the order in which a reader received them. Checks that each links to the one before."""
    seen: list[str] = []
    for event in events:
        if event["type"] == "RunSnapshot":
            if not seen or seen[-1] != event["run"]["status"]:
                seen.append(event["run"]["status"])
        elif event["type"] == "RunStatusChange":
            if seen:
                assert event["previous"] == seen[-1], f"{event} after {seen}"
            assert event["status"] not in seen[-1:], f"{event} seen twice"
            seen.append(event["status"])
    return seen


def check_events_match_messages(events: Sequence[Event], truth: Sequence[Event]) -> None:
    """Check that the events of a whole run lead a reader to the messages that the upstream has now.

    There is one end, as the last event. Each message is created and finished once, with its complete text. The pieces
    of text make up each message, each at its offset. If the reader received an error before, some pieces may be
    missing, but none comes twice.
    """
    assert [_is_end(event) for event in events] == [False] * (len(events) - 1) + [True], events
    final = {message["id"]: message["text"] for message in truth}
    created: set[str] = set()
    pieces: dict[str, list[str]] = {}
    finished: dict[str, str] = {}
    for event in events:
        match event["type"]:
            case "RunSnapshot":
                pieces = {message["id"]: [message["text"]] for message in event["messages"] if message["text"]}
                created = {message["id"] for message in event["messages"]}
                if _is_end(event):
                    finished |= {message["id"]: message["text"] for message in event["messages"]}
            case "MessageCreated":
                assert event["message"]["id"] not in created, f"{event} seen twice"
                created.add(event["message"]["id"])
                assert not event["message"]["text"] or event["provenance"] == "POLLED"
            case "TextDelta":
                assert event["messageId"] not in finished, f"{event} after the end of its message"
                seen = pieces.setdefault(event["messageId"], [])
                assert event["offset"] == utf16_length("".join(seen)), f"{event} after {seen}"
                seen.append(event["value"])
            case "MessageFinished":
                assert event["message"]["id"] not in finished, f"{event} seen twice"
                finished[event["message"]["id"]] = event["message"]["text"]
    assert finished == final
    is_lossy = any(event["type"] == "StreamError" for event in events)
    for message_id, seen in pieces.items():
        whole = final[message_id]
        assert "".join(seen) == whole or (is_lossy and _contains_in_order(whole, seen)), f"{seen} of {whole!r}"


def utf16_length(text: str) -> int:
    """Return the length of a text as JavaScript counts it."""
    return len(text.encode("utf-16-le")) // 2


def _contains_in_order(whole: str, parts: Sequence[str]) -> bool:
    """Tell whether the parts occur in a text in this order, without overlap."""
    place = 0
    for part in parts:
        found = whole.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True


async def messages_of_run(emulator: Emulator, run: StartedRun) -> list[Event]:
    """Return the messages that a run wrote, as the upstream has them."""
    path = f"/threads/{run.key.thread_id}/messages?run_id={run.key.run_id}&order=asc"
    listed = (await emulator.get(path))["data"]
    return [{"id": _message_id(run, one["id"]), "text": _text(one)} for one in listed]


def _message_id(run: StartedRun, upstream_id: str) -> str:
    return to_global_id(MessageKey(run.key.thread_id, upstream_id))


def _text(message: dict[str, Any]) -> str:
    return "\n".join(part["text"]["value"] for part in message["content"] if part["type"] == "text")


def _is_end(event: Event) -> bool:
    if event["type"] == "RunSnapshot":
        return event["run"]["status"] in TERMINAL
    return event["type"] == "RunStatusChange" and event["status"] in TERMINAL
