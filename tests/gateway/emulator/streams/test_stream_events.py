import json
from typing import Any

import pytest

from gateway.emulator.bodies import reply_objects
from gateway.emulator.objects import ApiVersion, FunctionCall, SearchCall, SearchResult, Thread
from gateway.emulator.runs.progress import Progress, apply_event
from gateway.emulator.runs.timeline_events import (
    Event,
    FunctionOutputGiven,
    MessageEnded,
    MessageStarted,
    RunCancelling,
    RunEnded,
    RunQueued,
    RunRequiresAction,
    RunStarted,
    StepEnded,
    StepStarted,
    TextGrown,
    TimedEvent,
    ToolCallStarted,
)
from gateway.emulator.streams.stream_events import (
    DONE_FRAME,
    ServerSentEvent,
    ends_stream,
    events_to_stream,
    opening_events,
)
from tests.gateway.emulator.api_client import START, a_progress, a_run


def shown(before: Progress, event: Event, version: ApiVersion = "v2", **options: Any) -> list[tuple[str, Any]]:
    after = apply_event(before, TimedEvent(START + 1, event))
    return [(one.name, one.data) for one in events_to_stream(before, event, after, version, **options)]


def test_a_new_run_is_created_and_queued_in_the_same_form() -> None:
    created, queued = opening_events(a_run(), "v2")
    assert (created.name, queued.name) == ("thread.run.created", "thread.run.queued")
    assert created.data == queued.data
    assert created.data["status"] == "queued"


def test_a_thread_made_together_with_its_run_comes_first() -> None:
    made = opening_events(a_run(), "v2", Thread(id="thread_1", created_at=START))
    assert [event.name for event in made] == ["thread.created", "thread.run.created", "thread.run.queued"]
    assert made[0].data["tool_resources"] == {"code_interpreter": {"file_ids": []}}


def test_files_of_the_interpreter_are_shown_where_rest_shows_no_resources() -> None:
    created, _ = opening_events(a_run(), "v2")
    assert created.data["tool_resources"] == {"code_interpreter": {"file_ids": []}}
    assert list(created.data) == list(reply_objects.render_run(a_run(), "v2"))
    own = {"file_search": {"vector_store_ids": ["vs_1"]}}
    assert opening_events(a_run(tool_resources=own), "v2")[0].data["tool_resources"] == own
    assert "tool_resources" not in opening_events(a_run(), "v1")[0].data


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (RunQueued(), "thread.run.queued"),
        (RunStarted(), "thread.run.in_progress"),
        (RunRequiresAction(), "thread.run.requires_action"),
        (RunCancelling(), "thread.run.cancelling"),
        (RunEnded(status="cancelled"), "thread.run.cancelled"),
        (RunEnded(status="failed"), "thread.run.failed"),
        (RunEnded(status="completed"), "thread.run.completed"),
        (RunEnded(status="incomplete"), "thread.run.incomplete"),
        (RunEnded(status="expired"), "thread.run.expired"),
    ],
)
def test_an_event_of_the_run_is_named_after_its_new_status(event: Event, name: str) -> None:
    ((got, run),) = shown(a_progress(), event)
    assert (got, f"thread.run.{run['status']}") == (name, name)


def test_the_older_version_names_the_event_of_an_incomplete_run_completed() -> None:
    ((name, run),) = shown(a_progress(), RunEnded(status="incomplete", incomplete_reason="max_completion_tokens"), "v1")
    assert (name, run["status"]) == ("thread.run.completed", "incomplete")


def test_a_step_is_created_then_in_progress_and_has_the_form_of_rest() -> None:
    event = StepStarted(step_id="step_1", message_id="msg_1")
    (created, step), (in_progress, again) = shown(a_progress(), event)
    assert (created, in_progress) == ("thread.run.step.created", "thread.run.step.in_progress")
    assert (
        step
        == again
        == reply_objects.render_step(apply_event(a_progress(), TimedEvent(START + 1, event)).steps["step_1"], "v2")
    )


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired"])
def test_the_end_of_a_step_is_named_after_its_status(status: Any) -> None:
    started = apply_event(a_progress(), TimedEvent(START, StepStarted(step_id="step_1")))
    ((name, step),) = shown(started, StepEnded(step_id="step_1", status=status))
    assert (name, step["status"]) == (f"thread.run.step.{status}", status)


def test_the_text_of_search_results_is_shown_only_on_request() -> None:
    found = SearchResult(file_id="file-1", file_name="a.md", score=0.5, text="t")
    progress = apply_event(a_progress(), TimedEvent(START, StepStarted(step_id="step_1")))
    started = ToolCallStarted(step_id="step_1", call=SearchCall(id="call_1", results=(found,)))
    progress = apply_event(progress, TimedEvent(START, started))
    for with_content in (False, True):
        ended = StepEnded(step_id="step_1", status="completed")
        ((_, step),) = shown(progress, ended, with_search_content=with_content)
        (result,) = step["step_details"]["tool_calls"][0]["file_search"]["results"]
        assert ("content" in result) is with_content


def test_an_output_is_shown_only_with_its_step() -> None:
    progress = apply_event(a_progress(), TimedEvent(START, StepStarted(step_id="step_1")))
    call = FunctionCall(id="call_1", name="f")
    progress = apply_event(progress, TimedEvent(START, ToolCallStarted(step_id="step_1", call=call)))
    assert shown(progress, FunctionOutputGiven(step_id="step_1", call_id="call_1", output="x")) == []


def test_a_message_has_its_status_before_its_role() -> None:
    (created, message), (in_progress, again) = shown(a_progress(), MessageStarted(message_id="msg_1"))
    assert (created, in_progress) == ("thread.message.created", "thread.message.in_progress")
    assert message == again
    assert list(message) == [
        "id", "object", "created_at", "assistant_id", "thread_id", "run_id", "status", "incomplete_details",
        "incomplete_at", "completed_at", "role", "content", "attachments", "metadata",
    ]  # fmt: skip
    assert (message["status"], message["content"]) == ("in_progress", [])


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [(None, "completed", None), ("max_tokens", "incomplete", {"reason": "max_tokens"})],
)
def test_the_end_of_a_message_is_named_after_its_status(reason: str | None, status: str, details: Any) -> None:
    started = apply_event(a_progress(), TimedEvent(START, MessageStarted(message_id="msg_1")))
    ((name, message),) = shown(started, MessageEnded(message_id="msg_1", incomplete_reason=reason))
    assert (name, message["status"]) == (f"thread.message.{status}", status)
    assert message["incomplete_details"] == details
    assert (message["completed_at"], message["incomplete_at"]) in {(START + 1, None), (None, START + 1)}


def test_a_deleted_message_has_no_events() -> None:
    assert shown(a_progress(), TextGrown(message_id="msg_1", index=0, text="x")) == []


def test_a_stream_ends_with_its_run_or_when_the_client_has_to_act() -> None:
    assert ends_stream(RunEnded(status="failed"))
    assert ends_stream(RunRequiresAction())
    assert not ends_stream(RunCancelling())


def test_an_event_is_a_name_one_line_of_compact_json_and_an_empty_line() -> None:
    assert ServerSentEvent("thread.created", {"a": 1, "b": [None, True]}).to_frame() == (
        b'event: thread.created\ndata: {"a":1,"b":[null,true]}\n\n'
    )


def test_the_last_event_is_not_json() -> None:
    assert DONE_FRAME == b"event: done\ndata: [DONE]\n\n"


def test_line_ends_within_texts_do_not_end_the_line() -> None:
    texts = ["a\nb", "a\r\nb", "\u2028", "日本"]
    head, data, *rest = ServerSentEvent("x", {"texts": texts}).to_frame().split(b"\n")
    assert (head, rest) == (b"event: x", [b"", b""])
    assert json.loads(data.removeprefix(b"data: "))["texts"] == texts


def test_a_long_integer_of_a_client_is_echoed() -> None:
    assert (
        ServerSentEvent("x", {"maximum": 2**70}).to_frame() == b'event: x\ndata: {"maximum":1180591620717411303424}\n\n'
    )
