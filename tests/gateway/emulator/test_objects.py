"""Stored objects, timelines and ids."""

import pytest
from pydantic import TypeAdapter

from gateway.emulator.ids import has_prefix, id_from_name, is_object_id
from gateway.emulator.objects import (
    TERMINAL_RUN_STATUSES,
    Failure,
    FileCitation,
    ImageUrlPart,
    Message,
    RefusalPart,
    RunStatus,
    SearchCall,
    SearchResult,
    TextPart,
    Usage,
)
from gateway.emulator.runs.timeline_events import RunEnded, RunStarted, TimedEvent, Timeline, ToolCallStarted
from tests.gateway.emulator.api_client import a_run


def test_a_message_with_every_kind_of_part_round_trips_through_json() -> None:
    citation = FileCitation(text="【1】", start_index=0, end_index=3, file_id="file-1")
    message = Message(
        id="msg_1",
        thread_id="thread_1",
        created_at=1,
        role="assistant",
        content=(TextPart(value="【1】", annotations=(citation,)), ImageUrlPart(url="u"), RefusalPart(refusal="no")),
    )
    adapter = TypeAdapter(Message)
    assert adapter.validate_json(adapter.dump_json(message)) == message


def test_usages_add_up() -> None:
    assert Usage(1, 2) + Usage(3, 4) == Usage(4, 6)


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling"])
def test_a_run_that_can_go_on_is_not_terminal(status: RunStatus) -> None:
    assert not a_run(status=status).is_terminal
    assert status not in TERMINAL_RUN_STATUSES


def test_an_id_has_the_form_of_the_api_and_is_always_the_same() -> None:
    made = id_from_name("thread", "1")
    assert is_object_id(made)
    assert made == id_from_name("thread", "1")
    assert has_prefix(made, "thread")


def test_ids_of_a_thousand_names_differ_and_are_in_no_order() -> None:
    made = [id_from_name("msg", str(number)) for number in range(1000)]
    assert len(set(made)) == 1000
    assert made != sorted(made)


def test_a_file_id_is_written_with_a_dash_and_22_characters() -> None:
    prefix, _, rest = id_from_name("file", "x").partition("-")
    assert (prefix, len(rest)) == ("file", 22)


@pytest.mark.parametrize("candidate", ["thread", "threadx_1", "msg_1", ""])
def test_an_id_of_another_kind_does_not_have_the_prefix(candidate: str) -> None:
    assert not has_prefix(candidate, "thread")


def test_a_timeline_round_trips_through_json() -> None:
    adapter: TypeAdapter[Timeline] = TypeAdapter(Timeline)
    result = SearchResult(file_id="file-1", file_name="a.md", score=0.5, text="日本")
    timeline: Timeline = (
        TimedEvent(1.25, RunStarted()),
        TimedEvent(2.0, ToolCallStarted(step_id="step_1", call=SearchCall(id="call_1", results=(result,)))),
        TimedEvent(3.0, RunEnded(status="failed", error=Failure("server_error", "No."))),
    )
    assert adapter.validate_json(adapter.dump_json(timeline)) == timeline
