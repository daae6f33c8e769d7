"""The stream of a response: its order, its numbers, and that its events make up its items."""

import copy
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.bodies.output_items import output_items
from gateway.emulator.bodies.reply_responses import render_response
from gateway.emulator.runs.progress import apply_event
from gateway.emulator.runs.script import (
    Action,
    CallFunctions,
    RunCode,
    SearchFiles,
    WriteMessage,
)
from gateway.emulator.state.response_state import first_progress
from gateway.emulator.streams.response_events import ResponseStream
from tests.gateway.emulator.response_streams import (
    ALL,
    CITED,
    CODE,
    FAILURE,
    RESULT,
    SCRIPTS,
    a_response,
    cancelled_after,
    stream_of,
    timeline_of,
)
from tests.support.full_runs import examples


def names(events: Iterable[Any]) -> list[str]:
    """Return the types of events without `response.`. Deltas in a row count once."""
    shown: list[str] = []
    for event in events:
        name = event["type"].removeprefix("response.")
        if not (name.endswith("delta") and shown and shown[-1] == name):
            shown.append(name)
    return shown


# The fields of an item, or of its part, that pieces make up, by the beginning of the events' types.
GROWING = {
    "output_text": "text",
    "refusal": "refusal",
    "function_call_arguments": "arguments",
    "code_interpreter_call_code": "code",
}


def items_from_events(events: Iterable[Any]) -> list[Any]:
    """Put a response's items together, as a client does that reads nothing but the pieces."""
    items: dict[int, Any] = {}
    for event in events:
        kind, _, change = event["type"].removeprefix("response.").rpartition(".")
        item: Any = items.get(event.get("output_index"), {})
        assert event.get("item_id", item.get("id")) == item.get("id")
        field = GROWING.get(kind)
        owner = item["content"][event["content_index"]] if field and "content_index" in event else item
        match kind, change:
            case "output_item", "added":
                items[event["output_index"]] = copy.deepcopy(event["item"])
            case "content_part", "added":
                assert event["content_index"] == len(item["content"])
                item["content"].append(copy.deepcopy(event["part"]))
            case "output_text.annotation", "added":
                notes = item["content"][event["content_index"]]["annotations"]
                assert event["annotation_index"] == len(notes)
                notes.append(event["annotation"])
            case _, "delta":
                owner[field] += event["delta"]
            case _, "done" if field:
                assert event[field] == owner[field]
            case "content_part", "done":
                assert event["part"] == item["content"][event["content_index"]]
            case "output_item", "done":
                for key in {"content", "arguments", "code", "id", "name"} & item.keys():
                    assert event["item"][key] == item[key]
                items[event["output_index"]] = event["item"]
    assert sorted(items) == list(range(len(items)))
    return [items[index] for index in range(len(items))]


@pytest.mark.parametrize(("background", "opening"), [(True, ["created", "queued"]), (False, ["created"])])
def test_a_plain_answer_has_the_order_of_the_api(background: bool, opening: list[str]) -> None:
    events, response = stream_of(a_response(background=background), timeline_of([WriteMessage((CITED,))]))
    assert names(events) == [
        *opening,
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[0]["response"]["status"] == ("queued" if background else "in_progress")
    assert events[-1]["response"] == render_response(response, ALL)


def test_calls_follow_each_other_within_a_step() -> None:
    events, _ = stream_of(a_response(), timeline_of([CallFunctions((("f", '{"a":1}'), ("g", "{}")))]))
    call = [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert names(events) == ["created", "queued", "in_progress", *call, *call, "completed"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [(item["name"], item["status"], item["arguments"]) for item in done] == [
        ("f", "completed", '{"a":1}'),
        ("g", "completed", "{}"),
    ]


def test_code_and_searches_tell_what_they_do() -> None:
    events, _ = stream_of(a_response(), timeline_of([CODE, SearchFiles((RESULT,), query="q")]))
    assert names(events)[3:-1] == [
        "output_item.added",
        "code_interpreter_call.in_progress",
        "code_interpreter_call_code.delta",
        "code_interpreter_call_code.done",
        "code_interpreter_call.interpreting",
        "code_interpreter_call.completed",
        "output_item.done",
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
        "output_item.done",
    ]


def test_code_that_fails_has_no_completed_event() -> None:
    events, response = stream_of(a_response(), timeline_of([RunCode("1/0", (), failure=FAILURE)]))
    assert names(events)[3:] == [
        "output_item.added",
        "code_interpreter_call.in_progress",
        "code_interpreter_call_code.delta",
        "code_interpreter_call_code.done",
        "code_interpreter_call.interpreting",
        "output_item.done",
        "failed",
    ]
    assert output_items(response)[0]["status"] == "failed"


def test_a_cancelled_stream_ends_without_a_last_event() -> None:
    timeline = cancelled_after(timeline_of([WriteMessage((CITED,))]), 1.5)
    events, response = stream_of(a_response(), timeline)
    assert events[-1]["type"] == "response.output_text.delta"
    assert render_response(response)["status"] == "cancelled"
    (item,) = output_items(response)
    assert item["status"] == "incomplete"
    assert item["content"][0]["text"] == "".join(event.get("delta", "") for event in events)


def test_what_a_client_does_not_include_is_left_out() -> None:
    response, timeline = a_response(), timeline_of([SearchFiles((RESULT,), query="q"), CODE])
    form = ResponseStream(response)
    progress = first_progress(response)
    shown: list[Any] = []
    for timed in timeline:
        before, progress = progress, apply_event(progress, timed)
        shown += [event.data for event in form.render_event(before, timed.event, progress)]
    search, code = (event["item"] for event in shown if event["type"] == "response.output_item.done")
    assert (search["queries"], search["results"], code["outputs"]) == (["q"], None, None)
    assert [item["type"] for item in shown[-1]["response"]["output"]] == ["file_search_call", "code_interpreter_call"]


def test_a_deleted_response_is_told_with_the_next_number() -> None:
    form = ResponseStream(a_response())
    form.opening_events()
    event = form.render_missing("resp_1")
    assert event.name == "error"
    assert (event.data["sequence_number"], event.data["code"]) == (2, None)


@examples(200)
@given(actions=SCRIPTS, cancelled=st.one_of(st.none(), st.floats(0, 6)), after=st.integers(-1, 80))
def test_any_stream_makes_up_its_items_and_can_be_read_from_any_number(
    actions: list[Action], cancelled: float | None, after: int
) -> None:
    timeline = timeline_of(actions)
    if cancelled is not None:
        timeline = cancelled_after(timeline, cancelled)
    events, response = stream_of(a_response(), timeline)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert stream_of(a_response(), timeline, after)[0] == events[after + 1 :]
    # The stream comes from the response as it is now, too.
    assert stream_of(response, timeline)[0] == events
    status = render_response(response)["status"]
    if status == "cancelled":
        assert events[-1]["type"] != "response.completed"
    else:
        assert events[-1]["type"] == f"response.{status}"
        assert items_from_events(events) == output_items(response)
        changes = Counter(event["type"] for event in events)
        for kind in ("output_item", "content_part"):
            assert changes[f"response.{kind}.added"] == changes[f"response.{kind}.done"]
