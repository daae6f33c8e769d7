"""Event streams as real servers send them, read from bytes and through the client."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.upstream.event_decoder import StreamDecoder
from schema.contract.bodies import RunBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import MessageObject, RunObject, RunStepObject, ThreadObject
from schema.contract.writes import CREATE_RUN
from tests.support.scripted_upstream import ScriptedUpstream, chunked_response, response
from tests.support.upstream_client import CREDENTIAL, ClientMaker, StreamRecorder

RUN = {"id": "run_1", "object": "thread.run", "created_at": 1, "thread_id": "thread_1", "status": "queued"}
STEP = {"id": "step_1", "object": "thread.run.step", "created_at": 1, "type": "message_creation"}
MESSAGE = {"id": "msg_1", "object": "thread.message", "created_at": 1, "role": "assistant"}
TEXT = {"index": 0, "type": "text", "text": {"value": "Hi"}}
DELTA = {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": [TEXT]}}


def named(*events: tuple[str, Any], end: str = "\n") -> bytes:
    lines = [f"event: {name}{end}data: {json.dumps(data)}{end}{end}" for name, data in events]
    return "".join(lines).encode()


def bare(*objects: Any) -> bytes:
    return "".join(f"data: {json.dumps(one)}\n\n" for one in objects).encode()


def in_status(status: str, **fields: Any) -> dict[str, Any]:
    return RUN | {"status": status} | fields


USUAL = (
    ("thread.run.created", RUN),
    ("thread.run.in_progress", in_status("in_progress")),
    ("thread.run.step.created", STEP),
    ("thread.message.created", MESSAGE),
    ("thread.message.delta", DELTA),
    ("thread.message.completed", MESSAGE),
    ("thread.run.completed", in_status("completed")),
)
SHAPE = ["queued", "in_progress", "step", "message", "delta", "message", "completed"]
DONE = b"event: done\ndata: [DONE]\n\n"
OBJECT_ID = "65f0c0ffee65f0c0ffee65f0"
FOREIGN = {"id": OBJECT_ID, "thread_id": "thread_1", "created_at": 1795329859.5, "tools": None, "metadata_": None}


@dataclass(frozen=True)
class Habit:
    """A stream and its expected content."""

    sent: bytes
    shape: list[str]


HABITS = {
    "as the specification has it": Habit(named(*USUAL) + DONE, [*SHAPE, "done"]),
    "no [DONE]": Habit(named(*USUAL), SHAPE),
    "no event lines": Habit(bare(*[data for _, data in USUAL]) + b"data: [DONE]\n\n", [*SHAPE, "done"]),
    "object and name wrapped together, nulls left out": Habit(
        bare(*[{"data": data, "event": name} for name, data in USUAL]) + b"data: [DONE]\n\n", [*SHAPE, "done"]
    ),
    "float times, unprefixed ids, null tools, metadata_": Habit(
        named(("thread.run.created", RUN | FOREIGN), ("thread.run.completed", in_status("completed", **FOREIGN))),
        ["queued", "completed"],
    ),
    "an unknown event": Habit(
        named(USUAL[0], ("thread.weather", {"object": "thread.weather"}), ("ping", {}), USUAL[-1]) + DONE,
        ["queued", "unknown", "unknown", "completed", "done"],
    ),
    "a status that contradicts the event's name": Habit(
        named(USUAL[0], ("thread.run.completed", in_status("incomplete"))) + DONE, ["queued", "incomplete", "done"]
    ),
    "a completed event of a run that goes on": Habit(
        named(USUAL[0], ("thread.run.completed", in_status("in_progress")), USUAL[-1]),
        ["queued", "in_progress", "completed"],
    ),
    "an error event": Habit(
        named(USUAL[0], ("error", {"error": {"message": "No."}})) + DONE, ["queued", "error", "done"]
    ),
    "a bare error": Habit(bare(RUN, {"error": {"message": "No.", "code": "server_error"}}), ["queued", "error"]),
    "no thread_id": Habit(
        named(("thread.run.created", RUN | {"thread_id": None})) + bare(in_status("failed", thread_id=None)),
        ["queued", "failed"],
    ),
    "no kinds": Habit(
        named(*[(name, {key: value for key, value in data.items() if key != "object"}) for name, data in USUAL]), SHAPE
    ),
    "lines that end as on Windows": Habit(
        named(*USUAL, end="\r\n") + b"event: done\r\ndata: [DONE]\r\n\r\n", [*SHAPE, "done"]
    ),
    "lines that end as on old Macs": Habit(named(*USUAL, end="\r"), SHAPE),
    "a byte order mark": Habit(b"\xef\xbb\xbf" + named(*USUAL), SHAPE),
    "comments, ids and times to come back": Habit(
        b": hello\n\nretry: 5\nid: 1\n" + named(*USUAL[:3]) + b": ping\n\n" + named(*USUAL[3:]), SHAPE
    ),
    "pretty-printed objects": Habit(
        "".join(
            f"data: {json.dumps(data, indent=2)}\n\n".replace("\n ", "\ndata:  ").replace("\n}", "\ndata: }")
            for _, data in USUAL
        ).encode(),
        SHAPE,
    ),
    "no empty line at the end": Habit(named(*USUAL).rstrip(), SHAPE),
    "it waits for function calls": Habit(
        named(*USUAL[:3], ("thread.run.requires_action", in_status("requires_action"))) + DONE,
        ["queued", "in_progress", "step", "requires_action", "done"],
    ),
    "steps skipped": Habit(named(USUAL[-1]) + b"data: [DONE]\n\n", ["completed", "done"]),
}
EACH_HABIT = pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS)


def event_shape(event: StreamEvent) -> str:
    match event.wire:
        case RunObject(status=status):
            return status
        case RunStepObject():
            return "step"
        case MessageObject():
            return "message"
        case ThreadObject():
            return "thread"
    marks = {"delta": event.delta, "error": event.error, "garbled": event.decode_error, "done": event.is_done or None}
    return next((name for name, mark in marks.items() if mark is not None), "unknown")


@EACH_HABIT
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_each_habit_is_read_from_bytes(habit: Habit, size: int) -> None:
    decoder = StreamDecoder()
    pieces = [habit.sent[start : start + size] for start in range(0, len(habit.sent), size)]
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()
    assert [event_shape(event) for event in events] == habit.shape


@EACH_HABIT
@pytest.mark.parametrize("size", [11, 1 << 20])
async def test_each_habit_is_read_through_the_client(
    make_client: ClientMaker, upstream: ScriptedUpstream, habit: Habit, size: int
) -> None:
    upstream.queue_responses(
        chunked_response(*[habit.sent[start : start + size] for start in range(0, len(habit.sent), size)])
    )
    recorder = StreamRecorder()
    run = (
        await make_client()
        .bind(CREDENTIAL, recorder)
        .write(CREATE_RUN, ThreadKey("thread_1"), RunBody(assistant_id="a"))
    )
    assert (run.status, run.thread_id) == (habit.shape[0], "thread_1")
    await recorder.finished()
    assert recorder.failure is None
    assert [event_shape(event) for event in recorder.events] == habit.shape


async def test_an_error_body_instead_of_a_stream_is_a_refusal(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    recorder = StreamRecorder()
    upstream.queue_responses(
        response(400, {"error": {"message": "No.", "param": "model"}}, Content_Type="text/event-stream")
    )
    with pytest.raises(GatewayError) as caught:
        await (
            make_client().bind(CREDENTIAL, recorder).write(CREATE_RUN, ThreadKey("thread_1"), RunBody(assistant_id="a"))
        )
    assert (caught.value.code, caught.value.message) == (ErrorCode.BAD_USER_INPUT, "No.")
    assert not recorder.streams


async def test_a_stream_that_is_cut_when_the_run_fails_gives_its_events_and_then_the_error(
    make_client: ClientMaker, upstream: ScriptedUpstream
) -> None:
    recorder = StreamRecorder()
    upstream.queue_responses(chunked_response(named(*USUAL[:5]), then="close", whole=False))
    await make_client().bind(CREDENTIAL, recorder).write(CREATE_RUN, ThreadKey("thread_1"), RunBody(assistant_id="a"))
    await recorder.finished()
    assert [event_shape(event) for event in recorder.events] == SHAPE[:5]
    assert recorder.failure is not None
