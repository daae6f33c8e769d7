"""A law over whole objects: a field that cannot be read costs only itself.

Each field of each object, at any depth, is replaced by null, an empty object, an empty list, a number and a text, and
left out. Only the object's own `id` is spared. Then the object is read as the client reads it, and shown by a query and
in the snapshot of a subscription.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from pydantic.alias_generators import to_camel

from gateway.run_log.run_state import RunState
from gateway.run_log.stream_diff import diff_stream_event
from gateway.upstream.event_decoder import StreamDecoder
from gateway.upstream.reply_readers import ObjectReader, PageReader
from schema.contract.keys import (
    AssistantKey,
    FileKey,
    MessageFileKey,
    MessageKey,
    RunKey,
    RunStepKey,
    ThreadKey,
    to_global_id,
)
from schema.contract.kinds import AssistantPageKey
from schema.contract.paging import Window
from schema.contract.run_events import Provenance
from schema.contract.wire import (
    AssistantObject,
    FileObject,
    MessageFileObject,
    MessageObject,
    RunObject,
    RunStepObject,
    ThreadObject,
)
from tests.schema.builders import query_data
from tests.schema.subscription_helpers import data_from_change
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import (
    WHOLE_APPROVAL,
    WHOLE_ASSISTANT,
    WHOLE_FILE,
    WHOLE_MESSAGE,
    WHOLE_MESSAGE_FILE,
    WHOLE_RUN,
    WHOLE_STEP,
    WHOLE_THREAD,
    WHOLE_WRITING_STEP,
    in_version_1,
)

LEFT_OUT = object()
REPLACEMENTS: tuple[object, ...] = (None, {}, [], 7, "text", LEFT_OUT)
PAGE_KEY = AssistantPageKey(Window(20, "asc"))

CALLS = """
    __typename
    ... on FunctionToolCall { callId name arguments output }
    ... on CodeInterpreterToolCall {
        callId
        input
        outputs {
            __typename
            ... on CodeInterpreterLogs { logs }
            ... on CodeInterpreterImage { fileId }
            ... on UnknownCodeInterpreterOutput { type raw }
        }
    }
    ... on FileSearchToolCall {
        callId
        ranker
        scoreThreshold
        results { fileId fileName score attributes content passages { type text } }
    }
    ... on RetrievalToolCall { callId }
    ... on UnknownToolCall { callId type raw }
"""
TOOLS = """
    tools {
        __typename
        ... on FileSearchTool { maxNumResults ranker scoreThreshold }
        ... on FunctionTool { name description parameters strict }
        ... on UnknownTool { type raw }
    }
"""
USAGE = "usage { promptTokens completionTokens totalTokens cachedTokens reasoningTokens }"
RESOURCES = "toolResources { codeInterpreterFileIds vectorStoreIds other { type raw } }"
SELECTIONS = {
    "Thread": f"createdAt metadata {RESOURCES}",
    "Message": """
        createdAt role status incompleteReason completedAt incompleteAt text metadata fileIds
        assistant { upstreamId } run { upstreamId } attachments { fileId tools otherSource { type raw } }
        content {
            __typename
            ... on TextContent {
                text
                annotations {
                    __typename
                    ... on FileCitation { text startIndex endIndex fileId quote }
                    ... on FilePath { text startIndex endIndex fileId }
                    ... on UnknownAnnotation { type raw }
                }
            }
            ... on ImageFileContent { fileId detail }
            ... on ImageUrlContent { url detail }
            ... on RefusalContent { refusal }
            ... on UnknownContent { type raw }
        }
    """,
    "Run": f"""
        createdAt assistant {{ upstreamId }} status isTerminal lastError {{ code message }} incompleteReason
        expiresAt startedAt cancelledAt failedAt completedAt model instructions {TOOLS} {RESOURCES}
        reasoningEffort temperature topP maxPromptTokens
        maxCompletionTokens truncationStrategy {{ type lastMessages }} toolChoice parallelToolCalls responseFormat
        {USAGE} metadata fileIds
        requiredAction {{
            __typename
            ... on SubmitToolOutputsAction {{ toolCalls {{ callId name arguments output }} }}
            ... on SubmitToolApprovalAction {{ toolCalls {{ callId name arguments serverLabel }} }}
            ... on UnknownRequiredAction {{ type raw }}
        }}
    """,
    "RunStep": f"""
        createdAt assistant {{ upstreamId }} type status lastError {{ code message }} expiresAt expiredAt cancelledAt
        failedAt completedAt {USAGE} metadata
        details {{
            __typename
            ... on MessageCreationDetails {{ message {{ upstreamId }} }}
            ... on ToolCallsDetails {{ toolCalls {{ {CALLS} }} }}
            ... on UnknownStepDetails {{ type raw }}
        }}
    """,
    "Assistant": f"createdAt name description model instructions {TOOLS} {RESOURCES} reasoningEffort temperature topP "
    "responseFormat "
    "metadata fileIds",
    "MessageFile": "createdAt",
    "File": "createdAt filename bytes purpose",
}
SHOWN_AS = {"incomplete_details": {"incompleteReason"}, "step_details": {"details"}, "content": {"content", "text"}}
SHOWN_AS |= {"assistant_id": {"assistant"}, "run_id": {"run"}}
"""The fields that show a field of another name. All others have their name in camel case."""


class Kind(NamedTuple):
    """One kind of object: its node type and wire type, its key, and the name of its table in the fake port."""

    node: str
    wire_type: Any
    key: Any
    table: str


KINDS = {
    "thread": Kind("Thread", ThreadObject, ThreadKey("thread_1"), "threads"),
    "thread.message": Kind("Message", MessageObject, MessageKey("thread_1", "msg_b"), "messages"),
    "thread.run": Kind("Run", RunObject, RunKey("thread_1", "run_b"), "runs"),
    "thread.run.step": Kind("RunStep", RunStepObject, RunStepKey("thread_1", "run_b", "step_b"), "run_steps"),
    "assistant": Kind("Assistant", AssistantObject, AssistantKey("asst_b"), "assistants"),
    "thread.message.file": Kind(
        "MessageFile", MessageFileObject, MessageFileKey("thread_1", "msg_b", "file-b"), "message_files"
    ),
    "file": Kind("File", FileObject, FileKey("file-b"), "files"),
}
VERSION_2 = {
    "thread": WHOLE_THREAD,
    "message": WHOLE_MESSAGE,
    "run": WHOLE_RUN,
    "approval": WHOLE_RUN | {"required_action": WHOLE_APPROVAL},
    "step": WHOLE_STEP,
    "writing-step": WHOLE_WRITING_STEP,
    "assistant": WHOLE_ASSISTANT,
}
VERSION_1 = {f"{name}-v1": in_version_1(sent) for name, sent in VERSION_2.items()} | {"file-v1": WHOLE_MESSAGE_FILE}
SAMPLES = VERSION_2 | VERSION_1 | {"file": WHOLE_FILE}
STREAMED = [name for name, sent in SAMPLES.items() if sent["object"] in {"thread.message", "thread.run"}]
STREAMED += ["step", "writing-step", "step-v1"]


def field_paths(value: object, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Iterate over the paths of all fields, at any depth."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from field_paths(item, *path, index)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield *path, name
            yield from field_paths(item, *path, name)


class Case(NamedTuple):
    """One bad field: its path, the value that replaces it, the object with it, and the object without the field."""

    path: tuple[str | int, ...]
    replacement: object
    bad: dict[str, Any]
    remaining: dict[str, Any]


def cases_from_object(sent: dict[str, Any]) -> Iterator[Case]:
    for path in field_paths(sent):
        if path == ("id",):
            continue
        remaining = with_field(sent, path, LEFT_OUT)
        for replacement in REPLACEMENTS:
            yield Case(path, replacement, with_field(sent, path, replacement), remaining)


def with_field(sent: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    changed = copy.deepcopy(sent)
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step]
    if value is LEFT_OUT:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return changed


def values(value: object) -> Iterator[str | int | float]:
    """Iterate over all texts and numbers of a JSON value, but not over the names of kinds."""
    if isinstance(value, dict):
        value = [item for name, item in value.items() if name != "type"]
    if isinstance(value, list):
        for item in value:
            yield from values(item)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield value


def check_only_that_field_is_lost(case: Case, whole: dict[str, Any], shown: dict[str, Any]) -> None:
    """Check that all fields are shown as those of the whole object, and in the bad field all that was not replaced."""
    name = str(case.path[0])
    own_fields = SHOWN_AS.get(name, {to_camel(name)})
    for field, value in shown.items():
        if field not in own_fields:
            assert value == whole[field], (case[:2], field)
    expected = json.dumps([whole[field] for field in own_fields if field in whole])
    found = json.dumps([shown[field] for field in own_fields if field in shown])
    for value in values(case.remaining.get(name)):
        text = json.dumps(value).strip('"')
        assert text in found or text not in expected, (case[:2], value, found)


async def show(kind: Kind, wire: object) -> dict[str, Any]:
    tables: dict[str, Any] = {kind.table: {kind.key: wire}}
    api = FakeThreadsApi(**tables)
    query = f"query ($id: ID!) {{ node(id: $id) {{ ... on {kind.node} {{ {SELECTIONS[kind.node]} }} }} }}"
    shown: dict[str, Any] = (await query_data(api, query, {"id": to_global_id(kind.key)}))["node"]
    return shown


@pytest.mark.parametrize("name", SAMPLES)
async def test_a_query_loses_only_the_bad_field(name: str) -> None:
    sent = SAMPLES[name]
    kind = KINDS[sent["object"]]
    page_reader: PageReader[Any] = PageReader(kind.wire_type, sent["object"])
    object_reader: ObjectReader[Any] = ObjectReader(kind.wire_type, sent["object"])
    siblings = [{**sent, "id": "sibling_a"}, {**sent, "id": "sibling_c"}]
    whole_page = page_reader.read_result(PAGE_KEY, json.dumps({"data": [siblings[0], sent, siblings[1]]}).encode())
    whole = await show(kind, whole_page.data[1])
    for case in cases_from_object(sent):
        page = page_reader.read_result(PAGE_KEY, json.dumps({"data": [siblings[0], case.bad, siblings[1]]}).encode())
        assert len(page.data) == 3, case[:2]
        for position in (0, 2):
            assert msgspec.json.encode(page.data[position]) == msgspec.json.encode(whole_page.data[position]), case[:2]
        check_only_that_field_is_lost(case, whole, await show(kind, page.data[1]))
        if case[:2] != (("thread_id",), "text"):  # then it is a run of another thread
            read = object_reader.read_result(kind.key, json.dumps(case.bad).encode())
            assert msgspec.json.encode(read) == msgspec.json.encode(page.data[1]), case[:2]


async def streamed_snapshot(*objects: dict[str, Any]) -> dict[str, Any]:
    """Return the snapshot that a subscription shows after a stream of these objects."""
    events = {"thread.run": "thread.run.queued", "thread.run.step": "thread.run.step.failed"}
    frames = "".join(
        f"event: {events.get(kind, 'thread.message.incomplete')}\ndata: {json.dumps(sent)}\n\n"
        for sent in objects
        for kind in ("thread.run", "thread.run.step", "thread.message")
        if sent["id"].startswith({"thread.run": "run", "thread.run.step": "step", "thread.message": "msg"}[kind])
    )
    decoder, state = StreamDecoder(), RunState()
    for event in decoder.feed(frames.encode()):
        assert (event.decode_error, event.error) == (None, None)
        for change in diff_stream_event(state, event):
            state.apply(change, Provenance.STREAMED)
    run, step, message = SELECTIONS["Run"], SELECTIONS["RunStep"], SELECTIONS["Message"]
    selection = f"... on RunSnapshot {{ run {{ {run} }} steps {{ {step} }} messages {{ {message} }} }}"
    shown: dict[str, Any] = await data_from_change(state.snapshot(), selection)
    return shown


@pytest.mark.parametrize("name", STREAMED)
async def test_a_subscription_loses_only_the_bad_field(name: str) -> None:
    sent = SAMPLES[name]
    table = {"thread.run": "run", "thread.run.step": "steps", "thread.message": "messages"}[sent["object"]]
    others = [WHOLE_RUN, *(other for other in (WHOLE_STEP, WHOLE_MESSAGE) if other["id"] != sent["id"])]
    if table == "run":
        others.pop(0)

    async def snapshot(shown_object: dict[str, Any]) -> Any:
        objects = [shown_object, *others] if table == "run" else [*others, shown_object]
        snapshot = await streamed_snapshot(*objects)
        assert len(snapshot["steps"]) == len(snapshot["messages"]) == 1
        return snapshot[table] if table == "run" else snapshot[table][0]

    whole = await snapshot(sent)
    for case in cases_from_object(sent):
        if case[:2] != (("run_id",), "text"):  # then it is a message of another run
            check_only_that_field_is_lost(case, whole, await snapshot(case.bad))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("sent", [{}, {"created_at": None}, {"created_at": 0}])
async def test_a_time_of_creation_that_is_not_sent_is_null(name: str, sent: dict[str, Any]) -> None:
    whole = {field: value for field, value in SAMPLES[name].items() if field != "created_at"}
    kind = KINDS[whole["object"]]
    reader: ObjectReader[Any] = ObjectReader(kind.wire_type, whole["object"])
    wire = reader.read_result(kind.key, json.dumps(whole | sent).encode())
    assert (await show(kind, wire))["createdAt"] is None
