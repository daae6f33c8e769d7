from dataclasses import replace

import pytest

from gateway.emulator.objects import CodeImage, CodeLogs, Failure, FileCitation, SearchResult, Step, TextPart
from gateway.emulator.runs.progress import apply_events
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import (
    Action,
    CallFunctions,
    EndIncomplete,
    Fail,
    Hang,
    RunCode,
    Script,
    SearchFiles,
    WriteMessage,
)
from gateway.emulator.runs.timeline_events import RunEnded, RunRequiresAction, RunStarted, Timeline
from tests.gateway.emulator.api_client import START, CountingIds, a_progress

TEXT = WriteMessage((TextPart(value="A heron is a bird. 🐦" * 10),))
RESULT = SearchResult(file_id="file-1", file_name="a.md", score=0.9, text="x")
FAILURE = Failure("server_error", "No.")
CODE = RunCode("print(1)", (CodeLogs(logs="1\n"), CodeImage(file_id="file-1")))


def timeline_from(*actions: Action, pace: float = 1.0) -> Timeline:
    return timeline_from_script(Script(actions, pace=pace, prompt_tokens=10), START, CountingIds())


@pytest.mark.parametrize(
    "actions",
    [(TEXT,), (CODE, TEXT), (SearchFiles((RESULT,)), TEXT), (CallFunctions((("f", "{}"),)),), (Fail(FAILURE),)],
)
def test_events_are_in_order_and_begin_a_second_after_the_run_was_queued(actions: tuple[Action, ...]) -> None:
    timeline = timeline_from(*actions)
    instants = [timed.at for timed in timeline]
    assert instants == sorted(instants)
    assert (timeline[0].at, timeline[0].event) == (START + 1, RunStarted())


def test_an_answer_is_written_in_pieces_within_three_seconds() -> None:
    timeline = timeline_from(TEXT)
    assert timeline[-1].event == RunEnded(status="completed")
    assert timeline[-1].at <= START + 3
    (message,) = apply_events(a_progress(), timeline).messages.values()
    assert message.content == TEXT.parts
    assert message.status == "completed"


def test_annotations_come_after_their_text() -> None:
    citation = FileCitation(text="【0】", start_index=2, end_index=5, file_id="file-1")
    part = TextPart(value="a 【0】.", annotations=(citation,))
    (message,) = apply_events(a_progress(), timeline_from(WriteMessage((part,)))).messages.values()
    assert message.content == (part,)


def test_a_function_call_waits_about_two_seconds_after_the_start_and_nothing_follows() -> None:
    timeline = timeline_from(CallFunctions((("f", '{"a":1}'), ("g", "{}"))), TEXT)
    assert isinstance(timeline[-1].event, RunRequiresAction)
    assert START + 1.5 < timeline[-1].at < START + 3
    run = apply_events(a_progress(), timeline).run
    assert [(call.name, call.arguments) for call in run.awaited_calls] == [("f", '{"a":1}'), ("g", "{}")]


def only_step(*actions: Action) -> Step:
    return next(iter(apply_events(a_progress(), timeline_from(*actions)).steps.values()))


def test_code_and_searches_are_separate_steps() -> None:
    code, search = only_step(CODE, TEXT), only_step(SearchFiles((RESULT,)), TEXT)
    assert code.tool_calls[0].kind == "code_interpreter"
    assert code.tool_calls[0].input == "print(1)"
    assert code.tool_calls[0].outputs == CODE.outputs
    assert search.tool_calls[0].kind == "file_search"
    assert search.tool_calls[0].results == (RESULT,)
    assert code.usage is not None
    assert code.usage.prompt_tokens == 10


@pytest.mark.parametrize(
    ("action", "status", "step_status", "message_reason"),
    [
        (WriteMessage(TEXT.parts, failure=FAILURE), "failed", "failed", "run_failed"),
        (WriteMessage(TEXT.parts, incomplete_reason="max_completion_tokens"), "incomplete", "completed", "max_tokens"),
    ],
)
def test_an_answer_that_stops_early_has_half_of_its_text(
    action: Action, status: str, step_status: str, message_reason: str
) -> None:
    progress = apply_events(a_progress(), timeline_from(action))
    (message,), (step,) = progress.messages.values(), progress.steps.values()
    assert isinstance(message.content[0], TextPart)
    assert message.content[0].value == "A heron is a bird. 🐦" * 5
    assert (progress.run.status, step.status, message.incomplete_reason) == (status, step_status, message_reason)


@pytest.mark.parametrize(
    ("action", "status", "reason", "error"),
    [
        (Fail(FAILURE), "failed", None, FAILURE),
        (EndIncomplete("max_prompt_tokens"), "incomplete", "max_prompt_tokens", None),
        (Hang(), "in_progress", None, None),
    ],
)
def test_a_run_may_end_or_hang_without_a_message(
    action: Action, status: str, reason: str | None, error: Failure | None
) -> None:
    progress = apply_events(a_progress(), timeline_from(action, TEXT))
    assert not progress.messages
    assert (progress.run.status, progress.run.incomplete_reason, progress.run.last_error) == (status, reason, error)


def test_a_tool_may_fail() -> None:
    progress = apply_events(a_progress(), timeline_from(RunCode("x", (), failure=FAILURE), TEXT))
    (step,) = progress.steps.values()
    assert (progress.run.status, step.status, step.last_error) == ("failed", "failed", FAILURE)


def test_a_slower_pace_lengthens_every_delay() -> None:
    assert timeline_from(TEXT, pace=10)[-1].at - START == pytest.approx((timeline_from(TEXT)[-1].at - START) * 10)


def test_a_message_that_is_cut_short_uses_half_of_its_tokens_and_a_failed_one_says_none() -> None:
    def completion_tokens(action: WriteMessage) -> int | None:
        (step,) = apply_events(a_progress(), timeline_from(action)).steps.values()
        return None if step.usage is None else step.usage.completion_tokens

    whole = completion_tokens(TEXT)
    assert whole is not None
    assert whole > 1
    assert completion_tokens(replace(TEXT, incomplete_reason="max_tokens")) == whole // 2
    assert completion_tokens(replace(TEXT, failure=FAILURE)) is None
