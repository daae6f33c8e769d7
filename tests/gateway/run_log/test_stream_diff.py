"""A stream becomes changes: each comes once, in any order of events and among other runs' events."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.run_log.partial_content import texts_from_message
from gateway.run_log.run_state import RunState
from gateway.run_log.stream_diff import diff_stream_event, first_snapshot
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import (
    Change,
    FaultChange,
    MessageCreatedChange,
    MessageFinishedChange,
    Provenance,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)
from schema.contract.run_streams import StreamEvent
from schema.contract.statuses import is_terminal
from tests.support.run_log_processes import DONE, a_message, a_run, a_step, said, simple_run, text_delta
from tests.support.wire_samples import run, run_step, thread


def call_delta(id: str = "step_1", *calls: dict[str, Any]) -> StreamEvent:
    delta = {"step_details": {"type": "tool_calls", "tool_calls": list(calls)}}
    return StreamEvent("thread.run.step.delta", delta={"id": id, "object": "thread.run.step.delta", "delta": delta})


def diff_events(*events: StreamEvent, state: RunState | None = None) -> list[Change]:
    state = state or RunState()
    found = []
    for event in events:
        for change in diff_stream_event(state, event):
            state.apply(change, Provenance.STREAMED)
            found.append(change)
    return found


def started_state(status: str = "in_progress") -> RunState:
    state = RunState()
    state.apply(SnapshotChange(a_run(status), [], []), Provenance.STREAMED)
    return state


ANY_EVENT = st.sampled_from(
    [
        *simple_run("a", "b"),
        *simple_run("a", end="failed"),
        said(a_run("requires_action")),
        said(a_run("cancelling")),
        said(a_run("brand_new")),
        said(a_message("ab", None), "thread.message.completed"),
        said(a_message("x", id="msg_2", run_id="run_2")),
        said(run("run_2", status="completed")),
        said(run_step("step_2", status="in_progress", type="tool_calls")),
        said(thread()),
        text_delta("c", id="msg_7"),
        call_delta("step_2", {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}),
        call_delta("step_7", {"index": 3, "function": {"arguments": "{"}}),
        StreamEvent("thread.run.dreaming"),
        StreamEvent("thread.message.delta", delta={}),
        StreamEvent(error=GatewayError(ErrorCode.UPSTREAM_FAILED, "No.")),
    ]
)


@given(st.lists(ANY_EVENT, max_size=30))
def test_each_change_comes_once_in_any_order_of_events(events: list[StreamEvent]) -> None:
    found = diff_events(*events)
    statuses = [change.run.status for change in found if isinstance(change, (StatusChange, SnapshotChange))]
    assert all(earlier != later for earlier, later in pairwise(statuses))
    assert sum(map(is_terminal, statuses)) <= 1
    if any(map(is_terminal, statuses)):
        assert found[-1].run.status == statuses[-1]  # type: ignore[union-attr]
    created = [change.message.id for change in found if isinstance(change, MessageCreatedChange)]
    finished = [change.message.id for change in found if isinstance(change, MessageFinishedChange)]
    assert len(created) == len(set(created))
    assert len(finished) == len(set(finished))
    assert set(finished) <= set(created)
    assert all(
        change.run.id == "run_1" or statuses[0] == "completed" for change in found if isinstance(change, StatusChange)
    )


@given(st.lists(ANY_EVENT, max_size=20))
def test_a_repeated_event_gives_no_change(events: list[StreamEvent]) -> None:
    state = started_state()
    diff_events(*events, state=state)
    again = diff_events(*(event for event in events if event.wire is not None), state=state)
    assert not any(isinstance(change, (MessageCreatedChange, SnapshotChange)) for change in again)
    assert not any(isinstance(change, StatusChange) and change.previous == change.run.status for change in again)


def test_a_simple_run_gives_one_change_per_event() -> None:
    assert [type(change) for change in diff_events(*simple_run("a", "b"))] == [
        SnapshotChange, StatusChange, StepChange, MessageCreatedChange, TextDeltaChange, TextDeltaChange,
        MessageFinishedChange, StepChange, StatusChange,
    ]  # fmt: skip


def test_the_status_comes_from_the_object() -> None:
    (change,) = diff_events(said(a_run("incomplete"), "thread.run.completed"), state=started_state())
    assert isinstance(change, StatusChange)
    assert (change.run.status, change.previous) == ("incomplete", "in_progress")


@pytest.mark.parametrize(
    ("known", "status", "is_news"),
    [
        ("queued", "in_progress", True),
        ("queued", "completed", True),
        ("in_progress", "queued", False),
        ("in_progress", "requires_action", True),
        ("requires_action", "queued", True),
        ("requires_action", "in_progress", True),
        ("cancelling", "in_progress", False),
        ("cancelling", "cancelled", True),
        ("completed", "failed", False),
        ("in_progress", "brand_new", True),
        ("brand_new", "in_progress", True),
    ],
)
def test_a_late_old_status_is_no_change(known: str, status: str, is_news: bool) -> None:
    assert bool(diff_events(said(a_run(status)), state=started_state(known))) is is_news


def test_a_change_of_metadata_only_is_no_change() -> None:
    state = started_state()
    assert diff_events(said(a_run("in_progress", metadata={"a": "b"})), state=state) == []
    assert state.run == a_run("in_progress")


def test_only_a_fault_is_a_change_before_the_run() -> None:
    assert diff_events(said(a_step()), said(a_message()), text_delta("a"), DONE) == []
    fault = StreamEvent(error=GatewayError(ErrorCode.UPSTREAM_FAILED, "No."))
    assert diff_events(fault) == [FaultChange("UPSTREAM_FAILED", "No.")]


def test_a_message_without_a_status_is_finished_by_its_event_or_its_time() -> None:
    for event in (
        said(a_message("a", None), "thread.message.completed"),
        said(a_message("a", None), "thread.message.incomplete"),
        said(a_message("a", None, completed_at=3)),
        said(a_message("a", None, incomplete_at=3)),
    ):
        created, finished = diff_events(event, state=started_state())
        assert isinstance(created, MessageCreatedChange)
        assert isinstance(finished, MessageFinishedChange)
    (created,) = diff_events(said(a_message("a", "in_progress"), "thread.message.completed"), state=started_state())
    assert isinstance(created, MessageCreatedChange)


@pytest.mark.parametrize("content", [None, [], "", [{"type": "text", "text": {"value": "", "annotations": []}}]])
@pytest.mark.parametrize("status", ["completed", "incomplete", None])
def test_a_message_that_ends_without_the_text_of_its_deltas_is_not_finished(content: Any, status: str | None) -> None:
    end = said(a_message("", status, content=content), "thread.message.completed")
    state = started_state()
    diff_events(said(a_message()), text_delta("a"), state=state)
    assert diff_events(end, state=state) == []
    assert not state.is_settled
    shown = state.message("msg_1")
    assert shown is not None
    assert texts_from_message(shown) == ["a"]
    assert len(diff_events(said(a_message()), end, state=started_state())) == 2


def test_a_step_is_a_change_only_if_a_relevant_field_differs() -> None:
    state = started_state()
    assert len(diff_events(said(a_step()), said(a_step()), state=state)) == 1
    assert diff_events(said(a_step(metadata={"a": "b"})), state=state) == []
    assert len(diff_events(said(a_step(usage={"total_tokens": 3})), state=state)) == 1
    assert len(diff_events(said(a_step(status="completed")), state=state)) == 1
    assert diff_events(said(a_step()), state=state) == []
    assert len(diff_events(said(a_step(status="completed", usage={"total_tokens": 4})), state=state)) == 1


def test_a_late_step_object_does_not_undo_its_deltas() -> None:
    step = run_step(status="in_progress", type="tool_calls", step_details={"type": "tool_calls", "tool_calls": []})
    state = started_state()
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert len(diff_events(said(step), call_delta("step_1", call), state=state)) == 2
    assert diff_events(said(step), state=state) == []


def test_call_deltas_hold_only_the_new_fields() -> None:
    found = diff_events(
        call_delta("step_1", {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}),
        call_delta("step_1", {"function": {"arguments": "{"}}, {"index": 1, "code_interpreter": {"input": "1"}}),
        call_delta("step_1", {"index": 0}, {"index": -1, "id": "x"}, {"index": 1e9, "id": "x"}, "x"),  # type: ignore[arg-type]
        call_delta("step_1", {"index": 2, "type": "file_search", "id": "call_3", "file_search": {}}),
        state=started_state(),
    )
    assert found == [
        ToolCallDeltaChange("step_1", 0, "call_1", "f", ""),
        ToolCallDeltaChange("step_1", 0, arguments="{"),
        ToolCallDeltaChange("step_1", 1, code="1"),
        ToolCallDeltaChange("step_1", 2, "call_3", rest={"type": "file_search"}),
    ]


@pytest.mark.parametrize(
    "delta",
    [
        {},
        {"id": 3, "delta": {}},
        {"id": "msg_1", "delta": []},
        {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": 3}},
        {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": [{"text": 3}, 4, {"image_file": {}}]}},
        {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": [{"text": {"value": ""}}]}},
        {"id": "step_1", "object": "thread.run.step.delta", "delta": {"step_details": None}},
        {"id": "step_1", "object": "thread.dream.delta", "delta": {}},
    ],
)
def test_an_unreadable_delta_is_no_change(delta: dict[str, Any]) -> None:
    assert diff_events(StreamEvent(delta=delta), state=started_state()) == []


@pytest.mark.parametrize(
    "content",
    [
        [{"index": 0, "text": {"value": "a"}}],
        [{"index": "0", "text": "a"}],
        [{"index": None, "text": {"value": "a", "annotations": {}}}],
        [{"index": 0.0, "text": {"value": "a", "annotations": None}}],
        {"index": 0, "text": {"value": "a"}},
        "a",
    ],
)
def test_text_that_can_be_read_is_never_dropped(content: object) -> None:
    delta = {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": content}}
    assert diff_events(StreamEvent(delta=delta), state=started_state()) == [TextDeltaChange("msg_1", 0, "a")]


@pytest.mark.parametrize(("sent", "arguments"), [({"a": 1}, '{"a":1}'), ("{", "{"), (None, None)])
def test_arguments_of_a_delta_are_a_text(sent: object, arguments: str | None) -> None:
    (change,) = diff_events(call_delta("step_1", {"id": "c", "function": {"arguments": sent}}), state=started_state())
    assert change == ToolCallDeltaChange("step_1", 0, "c", arguments=arguments)


def test_a_text_delta_holds_its_annotations() -> None:
    content = [{"index": 1, "text": {"annotations": [{"type": "file_path"}]}}, {"text": "plain"}]
    delta = {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": content}}
    annotated, plain = diff_events(StreamEvent(delta=delta), state=started_state())
    assert isinstance(annotated, TextDeltaChange)
    assert [bytes(memoryview(one)) for one in annotated.annotations] == [b'{"type":"file_path"}']
    assert plain == TextDeltaChange("msg_1", 1, "plain")


def test_the_first_snapshot_holds_the_events_before_the_run() -> None:
    earlier = [said(thread()), said(a_step(status="completed")), said(a_message("Hi", "completed")), text_delta("x")]
    for status in ("queued", "completed"):
        snapshot = first_snapshot(a_run(status), earlier)
        assert snapshot.run == a_run(status)
        assert [step.id for step in snapshot.steps] == ["step_1"]
        assert [texts_from_message(message) for message in snapshot.messages] == [["Hi"]]
