"""Each change of a run log becomes its GraphQL event, with the objects that came with it."""

from typing import Any

import pytest

from schema.contract.errors import ErrorCode
from schema.contract.keys import MessageKey, RunKey, RunStepKey, ThreadKey, to_file_id, to_global_id
from schema.contract.kinds import MESSAGES, RUNS
from schema.contract.run_events import (
    Change,
    FaultChange,
    LaggedChange,
    MessageCreatedChange,
    MessageFinishedChange,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)
from schema.contract.run_events import Provenance as Source
from schema.engine.context import Context
from schema.graph.event_types import Provenance, prime_loaders, run_event_from_log, thread_event_from_log
from schema.graph.stream_error_code import StreamErrorCode
from tests.schema.builders import CALLED, called_functions, conversation
from tests.schema.subscription_helpers import RUN, RUN_KEY, data_from_change
from tests.support.fake_run_events import run_event
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import message, raws, run, run_step

MESSAGE = to_global_id(MessageKey("thread_1", "msg_2"))
STEP = to_global_id(RunStepKey("thread_1", "run_1", "step_1"))
QUOTE = {
    "type": "file_citation",
    "text": "[1]",
    "start_index": 5,
    "end_index": 8,
    "file_citation": {"file_id": "file-1"},
}
SEVERAL = "... on FileCitation { fileId startIndex } ... on UnknownAnnotation { type }"
WRITTEN = message("msg_2", role="assistant", run_id="run_1", content=[{"type": "text", "text": {"value": "Hello"}}])

SAMPLES: list[tuple[Change, str, Any]] = [
    (
        SnapshotChange(
            run(status="in_progress"),
            [run_step(status="in_progress", step_details=CALLED)],
            [WRITTEN, message("msg_3")],
        ),
        "... on RunSnapshot { run { id status } messages { id text } steps { id status thread { id } } }",
        {
            "run": {"id": RUN, "status": "IN_PROGRESS"},
            "messages": [
                {"id": MESSAGE, "text": "Hello"},
                {"id": to_global_id(MessageKey("thread_1", "msg_3")), "text": ""},
            ],
            "steps": [{"id": STEP, "status": "IN_PROGRESS", "thread": {"id": to_global_id(ThreadKey("thread_1"))}}],
        },
    ),
    (
        StatusChange(run(status="completed"), "in_progress"),
        "... on RunStatusChange { previous status run { isTerminal } provenance }",
        {"previous": "IN_PROGRESS", "status": "COMPLETED", "run": {"isTerminal": True}, "provenance": "STREAMED"},
    ),
    (
        StatusChange(run(status="pondering"), "waking_up"),
        "... on RunStatusChange { previous status }",
        {"previous": "UNRECOGNIZED", "status": "UNRECOGNIZED"},
    ),
    (StatusChange(run(status="queued")), "... on RunStatusChange { previous }", {"previous": None}),
    (
        StepChange(run_step(type="tool_calls", step_details=CALLED)),
        "... on StepChanged { step { id run { id } details { ... on ToolCallsDetails { __typename } } } provenance }",
        {
            "step": {"id": STEP, "run": {"id": RUN}, "details": {"__typename": "ToolCallsDetails"}},
            "provenance": "STREAMED",
        },
    ),
    (
        ToolCallDeltaChange("step_1", 1, "call_1", "weather", '{"city'),
        "... on ToolCallDelta { stepId index callId name argumentsDelta argumentsOffset codeDelta codeOffset }",
        {
            "stepId": STEP,
            "index": 1,
            "callId": "call_1",
            "name": "weather",
            "argumentsDelta": '{"city',
            "argumentsOffset": 0,
            "codeDelta": None,
            "codeOffset": None,
        },
    ),
    (
        ToolCallDeltaChange("step_1", 0, code="print(", code_offset=7),
        "... on ToolCallDelta { callId argumentsOffset codeDelta codeOffset }",
        {"callId": None, "argumentsOffset": None, "codeDelta": "print(", "codeOffset": 7},
    ),
    (
        MessageCreatedChange(message("msg_2", status="in_progress")),
        "... on MessageCreated { message { id status text thread { id } } provenance }",
        {
            "message": {
                "id": MESSAGE,
                "status": "IN_PROGRESS",
                "text": "",
                "thread": {"id": to_global_id(ThreadKey("thread_1"))},
            },
            "provenance": "STREAMED",
        },
    ),
    (
        TextDeltaChange("msg_2", 0, "lo [1]", raws(QUOTE, {"type": "surprise"}), offset=3),
        f"... on TextDelta {{ messageId index offset value annotations {{ {SEVERAL} }} }}",
        {
            "messageId": MESSAGE,
            "index": 0,
            "offset": 3,
            "value": "lo [1]",
            "annotations": [{"fileId": to_file_id("file-1"), "startIndex": 5}, {"type": "surprise"}],
        },
    ),
    (MessageFinishedChange(WRITTEN), "... on MessageFinished { message { text } }", {"message": {"text": "Hello"}}),
    (
        FaultChange("TOKENS_LOST", "Some were lost.", final=True),
        "... on StreamError { code detail final }",
        {"code": "TOKENS_LOST", "detail": "Some were lost.", "final": True},
    ),
    (LaggedChange(7), "... on Lagged { skipped }", {"skipped": 7}),
]


@pytest.mark.parametrize(("change", "selection", "expected"), SAMPLES)
async def test_each_change_becomes_its_event_type_without_an_upstream_call(
    change: Change, selection: str, expected: Any
) -> None:
    api = FakeThreadsApi()
    assert await data_from_change(change, selection, api) == expected
    assert api.calls == []


@pytest.mark.parametrize("change", [sample[0] for sample in SAMPLES])
async def test_every_event_has_a_cursor_and_a_time(change: Change) -> None:
    name = await data_from_change(change, "__typename")
    event = await data_from_change(change, f"... on {name['__typename']} {{ cursor at }}")
    assert event == {"cursor": "cursor-1", "at": "2023-11-14T22:13:20Z"}


def test_an_event_of_a_thread_names_its_run() -> None:
    event: Any = thread_event_from_log(run_event(StatusChange(run("run_7"))), ThreadKey("thread_1"))
    assert event.run.key == RunKey("thread_1", "run_7")


@pytest.mark.parametrize("change", [SnapshotChange(run(), [], []), StepChange(run_step()), TextDeltaChange("m", 0, "")])
def test_a_change_that_no_thread_log_contains_raises(change: Change) -> None:
    with pytest.raises(TypeError, match=type(change).__name__):
        thread_event_from_log(run_event(change), ThreadKey("thread_1"))


@pytest.mark.parametrize("source", Source)
def test_every_provenance_has_its_word(source: Source) -> None:
    event: Any = run_event_from_log(run_event(StatusChange(run()), source), RUN_KEY)
    assert event.provenance is Provenance[source.name]


async def test_a_reference_back_to_an_object_of_the_event_needs_no_call() -> None:
    api = conversation()
    wrote = {"type": "message_creation", "message_creation": {"message_id": "msg_2"}}
    change = SnapshotChange(run(status="in_progress"), [run_step(step_details=wrote)], [WRITTEN])
    below = "run { status } details { ... on MessageCreationDetails { message { text run { status } } } }"
    event = await data_from_change(change, f"... on RunSnapshot {{ steps {{ {below} }} }}", api)
    # The state at the time of the event, not the present one.
    assert event["steps"] == [
        {"run": {"status": "IN_PROGRESS"}, "details": {"message": {"text": "Hello", "run": {"status": "IN_PROGRESS"}}}}
    ]
    assert api.calls == []


async def test_a_deeper_selection_is_loaded_in_as_few_calls_as_below_any_list() -> None:
    api = conversation()
    below = "run { thread { metadata } assistant { model } messages { nodes { text } } steps { nodes { status } } }"
    event = await data_from_change(StatusChange(run()), f"... on RunStatusChange {{ {below} }}", api)
    assert event["run"]["thread"] == {"metadata": {"topic": "tea"}}
    assert [node["text"] for node in event["run"]["messages"]["nodes"]] == ["number 2"]
    assert called_functions(api) == ["get_assistants", "get_threads", "list_messages", "list_run_steps"]


async def test_loaders_are_primed_with_the_objects_own_keys() -> None:
    context = Context(FakeThreadsApi())
    loaders = context.loaders
    for change in (MessageCreatedChange(message("msg_1")), MessageFinishedChange(message("msg_2")), LaggedChange(1)):
        prime_loaders(thread_event_from_log(run_event(change), ThreadKey("thread_1")), context)
    prime_loaders(run_event_from_log(run_event(StatusChange(run("run_1"))), RUN_KEY), context)
    assert loaders.objects(MESSAGES).peek(MessageKey("thread_1", "msg_1")) == message("msg_1")
    assert loaders.objects(MESSAGES).peek(MessageKey("thread_1", "msg_2")) == message("msg_2")
    assert loaders.objects(RUNS).peek(RUN_KEY) == run("run_1")
    assert loaders.objects(RUNS).peek(RunKey("thread_2", "run_1")) is None


def test_every_code_of_a_stream_error_is_in_the_schema() -> None:
    of_following = {"CURSOR_EXPIRED", "STREAM_INTERRUPTED", "TOKENS_LOST"}
    assert {member.value for member in StreamErrorCode} == {code.value for code in ErrorCode} | of_following | {""}


async def test_a_code_that_is_not_known_is_unrecognized() -> None:
    assert await data_from_change(FaultChange("LATER", ""), "... on StreamError { code }") == {"code": "UNRECOGNIZED"}


@pytest.mark.parametrize("change", [change for change, _, _ in SAMPLES])
async def test_every_event_is_read_by_the_interface(change: Change) -> None:
    event = await data_from_change(change, "... on RunLogEvent { cursor at ... on TextDelta { value } }")
    assert event.keys() == {"cursor", "at"} | ({"value"} if isinstance(change, TextDeltaChange) else set())
