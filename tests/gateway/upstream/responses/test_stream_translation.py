"""A response's stream as a run's stream, checked with the emulator's streams and the run log's own state."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.bodies.output_items import output_items
from gateway.emulator.faults.habits import HABITS, habitual_frames
from gateway.emulator.runs.script import Action, CallFunctions, WriteMessage
from gateway.run_log.run_state import RunState
from gateway.run_log.stream_diff import diff_stream_event
from gateway.upstream.responses.response_wire import ITEM_DECODER, RESPONSE_DECODER
from gateway.upstream.responses.run_chains import message_from_item
from gateway.upstream.responses.stream_translation import ResponseTranslator
from schema.contract.errors import OwnKeyRefusedError
from schema.contract.run_events import Change, FaultChange, Provenance, TextDeltaChange, ToolCallDeltaChange
from schema.contract.run_streams import StreamEvent
from tests.gateway.emulator.response_streams import (
    CITED,
    CODE,
    SCRIPTS,
    a_response,
    cancelled_after,
    stream_of,
    timeline_of,
)
from tests.support.full_runs import examples


def translated(events: list[Any], translator: ResponseTranslator | None = None) -> list[StreamEvent]:
    translator = translator or ResponseTranslator()
    return [one for event in events for one in translator.translate(msgspec.json.encode(event))]


def followed(events: list[StreamEvent]) -> tuple[RunState, list[Change]]:
    """Return the state to which a stream leads, and its changes."""
    state, changes = RunState(), list[Change]()
    for event in events:
        for change in diff_stream_event(state, event):
            state.apply(change, Provenance.STREAMED)
            changes.append(change)
    return state, changes


def texts_of(content: Any) -> list[str]:
    parts = [msgspec.json.decode(part) for part in content or ()]
    return [part["text"]["value"] if part["type"] == "text" else part["refusal"] for part in parts]


@examples(200)
@given(actions=SCRIPTS, cancelled=st.one_of(st.none(), st.floats(0, 6)))
def test_any_stream_leads_to_the_run_its_steps_and_its_messages(actions: list[Action], cancelled: float | None) -> None:
    timeline = timeline_of(actions)
    if cancelled is not None:
        timeline = cancelled_after(timeline, cancelled)
    events, response = stream_of(a_response(), timeline)
    state, changes = followed(translated(events))
    assert not [change for change in changes if isinstance(change, FaultChange)]
    snapshot = state.snapshot()
    items = output_items(response)
    assert [step.id for step in snapshot.steps] == [item["id"] for item in items]
    messages = [
        message_from_item(ITEM_DECODER.decode(msgspec.json.encode(item)), 0)
        for item in items
        if item["type"] == "message"
    ]
    assert [message.id for message in snapshot.messages] == [message.id for message in messages]
    assert [texts_of(one.content) for one in snapshot.messages] == [texts_of(one.content) for one in messages]


def test_a_text_comes_in_pieces_with_its_offsets() -> None:
    events, _ = stream_of(a_response(), timeline_of([WriteMessage((CITED,))]))
    _, changes = followed(translated(events))
    pieces = [change for change in changes if isinstance(change, TextDeltaChange)]
    assert "".join(piece.value for piece in pieces) == "So it is, twice."
    assert sum(len(piece.annotations) for piece in pieces) == 2


def test_calls_come_in_pieces_and_the_run_waits_for_them() -> None:
    events, _ = stream_of(a_response(), timeline_of([CallFunctions((("f", '{"a":1}'), ("g", "{}")))]))
    streamed = translated(events)
    state, changes = followed(streamed)
    assert state.run is not None
    assert state.run.status == "requires_action"
    assert streamed[-1].ends_stream
    pieces = [change for change in changes if isinstance(change, ToolCallDeltaChange)]
    assert "".join(piece.arguments or "" for piece in pieces) == '{"a":1}{}'
    assert [step.status for step in state.snapshot().steps] == ["in_progress", "in_progress"]


def test_a_chain_goes_on_under_the_id_of_its_first_response() -> None:
    first = RESPONSE_DECODER.decode(msgspec.json.encode({"id": "resp_0", "created_at": 5, "status": "completed"}))
    events, _ = stream_of(a_response(), timeline_of([WriteMessage((CITED,))]))
    state, _ = followed(translated(events, ResponseTranslator([first], {"call_1": "out"})))
    assert state.run is not None
    assert (state.run.id, state.run.created_at, state.run.status) == ("resp_0", 5, "completed")
    assert {message.run_id for message in state.snapshot().messages} == {"resp_0"}


@pytest.mark.parametrize("habit", sorted(HABITS))
def test_the_habits_of_other_servers_change_nothing_that_is_read(habit: str) -> None:
    events, _ = stream_of(a_response(), timeline_of([WriteMessage((CITED,)), CODE]))
    plain, _ = followed(translated(events))
    strange = ResponseTranslator()
    streamed = [
        one
        for event in events
        for frame in habitual_frames(b"event: x\ndata: " + msgspec.json.encode(event) + b"\n\n", {habit})
        for one in strange.translate(frame.partition(b"data: ")[2])
    ]
    state, _ = followed(streamed)
    assert texts_of(state.snapshot().messages[0].content) == texts_of(plain.snapshot().messages[0].content)
    assert state.snapshot().messages[0].status == "completed"
    assert state.run is not None
    assert state.run.status == "completed"
    assert strange.last_sequence_number == events[-1]["sequence_number"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "error", "code": "x", "message": "Too much."}, "Too much."),
        ({"error": {"code": "x", "message": "Too much."}}, "Too much."),
        ({"type": "error", "message": "The key sk-secret is bad."}, "The key [removed] is bad."),
        ({"type": "error"}, "The upstream reported an error in the stream."),
    ],
)
def test_an_error_is_told_without_the_credential(data: Any, message: str) -> None:
    (event,) = ResponseTranslator(credential="sk-secret").translate(msgspec.json.encode(data))
    assert event.error is not None
    assert event.error.message == message
    assert event.ends_stream


def test_a_refusal_of_the_own_key_has_none_of_the_upstreams_words() -> None:
    data = b'{"type": "error", "code": "invalid_api_key", "message": "Incorrect API key provided: sk-se...et"}'
    (event,) = ResponseTranslator(credential="sk-secret", is_own_key=True).translate(data)
    assert isinstance(event.error, OwnKeyRefusedError)


@pytest.mark.parametrize("data", [b"{", b"5", b"\xff", b"[" * 5000])
def test_an_event_that_cannot_be_read_is_told_and_later_ones_are_read(data: bytes) -> None:
    translator = ResponseTranslator()
    (event,) = translator.translate(data)
    assert event.decode_error is not None
    (event,) = translator.translate(b'{"type": "response.created", "response": {"id": "resp_1"}}')
    assert event.wire is not None


@pytest.mark.parametrize(
    "data",
    [
        b'{"type": "response.telepathy.delta", "delta": "?"}',
        b'{"type": "response.created", "response": 5}',
        b'{"type": "response.output_item.added", "item": null}',
        b'{"type": "response.output_item.done", "item": {"type": "reasoning"}}',
        b'{"type": "response.output_text.annotation.added", "item_id": "msg_1"}',
        b'{"type": "response.function_call_arguments.delta", "delta": "{"}',
        b'{"type": "response.output_text.delta", "item_id": "msg_1", "delta": {"deep": []}}',
        b'{"type": "response.output_text.annotation.added", "item_id": "msg_1", "annotation": {"deep": %b}}'
        % (b"[" * 200 + b"]" * 200),
    ],
)
def test_an_event_that_says_nothing_carries_its_name_alone(data: bytes) -> None:
    (event,) = ResponseTranslator().translate(data)
    assert event == StreamEvent(msgspec.json.decode(data)["type"])
