"""The upstream operations that the gateway knows, one row each: the REST call and the reader of its response. Pure.

Source: operation ids, methods and paths of the specification, versions 1 and 2, including its misspelling
`submitToolOuputsToRun`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.upstream.reply_readers import CreatedReader, DeletionReader, ObjectReader, PageReader, ReplyReader
from gateway.upstream.rest_requests import Route, UpstreamRequest
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from schema.contract.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    ThreadObject,
)

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class RestOperation(Generic[KeyT, ValueT]):
    """Builds the request for a key and reads the response."""

    request: Callable[[KeyT], UpstreamRequest]
    reader: ReplyReader[KeyT, ValueT]


@dataclass(frozen=True, slots=True)
class ReadOperation(RestOperation[KeyT, ValueT]):
    """An operation that may be sent any number of times."""


@dataclass(frozen=True, slots=True)
class WriteOperation(RestOperation[KeyT, ValueT]):
    """An operation that is sent once. `send_nulls`: a null in its body clears a value."""

    send_nulls: bool = False


GET_THREAD: ReadOperation[ThreadKey, ThreadObject] = ReadOperation(
    Route("getThread", "/threads/{thread_id}").object_request,
    ObjectReader(ThreadObject, "thread"),
)
GET_MESSAGE: ReadOperation[MessageKey, MessageObject] = ReadOperation(
    Route("getMessage", "/threads/{thread_id}/messages/{message_id}").object_request,
    ObjectReader(MessageObject, "thread.message"),
)
GET_RUN: ReadOperation[RunKey, RunObject] = ReadOperation(
    Route("getRun", "/threads/{thread_id}/runs/{run_id}").object_request,
    ObjectReader(RunObject, "thread.run"),
)
GET_RUN_STEP: ReadOperation[RunStepKey, RunStepObject] = ReadOperation(
    Route("getRunStep", "/threads/{thread_id}/runs/{run_id}/steps/{step_id}").object_request,
    ObjectReader(RunStepObject, "thread.run.step"),
)
GET_ASSISTANT: ReadOperation[AssistantKey, AssistantObject] = ReadOperation(
    Route("getAssistant", "/assistants/{assistant_id}").object_request,
    ObjectReader(AssistantObject, "assistant"),
)
GET_MESSAGE_FILE: ReadOperation[MessageFileKey, MessageFileObject] = ReadOperation(
    Route("getMessageFile", "/threads/{thread_id}/messages/{message_id}/files/{file_id}").object_request,
    ObjectReader(MessageFileObject, "thread.message.file"),
)
LIST_MESSAGES: ReadOperation[MessagePageKey, Page[MessageObject]] = ReadOperation(
    Route("listMessages", "/threads/{thread_id}/messages", filters=("run_id",)).page_request,
    PageReader(MessageObject, "thread.message"),
)
LIST_RUNS: ReadOperation[RunPageKey, Page[RunObject]] = ReadOperation(
    Route("listRuns", "/threads/{thread_id}/runs").page_request,
    PageReader(RunObject, "thread.run"),
)
LIST_RUN_STEPS: ReadOperation[RunStepPageKey, Page[RunStepObject]] = ReadOperation(
    Route("listRunSteps", "/threads/{thread_id}/runs/{run_id}/steps").page_request,
    PageReader(RunStepObject, "thread.run.step"),
)
LIST_ASSISTANTS: ReadOperation[AssistantPageKey, Page[AssistantObject]] = ReadOperation(
    Route("listAssistants", "/assistants").page_request,
    PageReader(AssistantObject, "assistant"),
)
LIST_MESSAGE_FILES: ReadOperation[MessageFilePageKey, Page[MessageFileObject]] = ReadOperation(
    Route("listMessageFiles", "/threads/{thread_id}/messages/{message_id}/files").page_request,
    PageReader(MessageFileObject, "thread.message.file"),
)

CREATE_THREAD: WriteOperation[None, ThreadObject] = WriteOperation(
    Route("createThread", "/threads", "POST").object_request,
    CreatedReader(ThreadObject, "thread"),
)
UPDATE_THREAD: WriteOperation[ThreadKey, ThreadObject] = WriteOperation(
    Route("modifyThread", "/threads/{thread_id}", "POST").object_request,
    ObjectReader(ThreadObject, "thread"),
    send_nulls=True,
)
DELETE_THREAD: WriteOperation[ThreadKey, None] = WriteOperation(
    Route("deleteThread", "/threads/{thread_id}", "DELETE").object_request,
    DeletionReader("thread"),
)
CREATE_MESSAGE: WriteOperation[ThreadKey, MessageObject] = WriteOperation(
    Route("createMessage", "/threads/{thread_id}/messages", "POST").object_request,
    CreatedReader(MessageObject, "thread.message"),
)
UPDATE_MESSAGE: WriteOperation[MessageKey, MessageObject] = WriteOperation(
    Route("modifyMessage", "/threads/{thread_id}/messages/{message_id}", "POST").object_request,
    ObjectReader(MessageObject, "thread.message"),
    send_nulls=True,
)
DELETE_MESSAGE: WriteOperation[MessageKey, None] = WriteOperation(
    Route("deleteMessage", "/threads/{thread_id}/messages/{message_id}", "DELETE").object_request,
    DeletionReader("thread.message"),
)
CREATE_RUN: WriteOperation[ThreadKey, RunObject] = WriteOperation(
    Route("createRun", "/threads/{thread_id}/runs", "POST").object_request,
    CreatedReader(RunObject, "thread.run"),
)
CREATE_THREAD_AND_RUN: WriteOperation[None, RunObject] = WriteOperation(
    Route("createThreadAndRun", "/threads/runs", "POST").object_request,
    CreatedReader(RunObject, "thread.run", requires_thread_id=True),
)
UPDATE_RUN: WriteOperation[RunKey, RunObject] = WriteOperation(
    Route("modifyRun", "/threads/{thread_id}/runs/{run_id}", "POST").object_request,
    ObjectReader(RunObject, "thread.run"),
    send_nulls=True,
)
CANCEL_RUN: WriteOperation[RunKey, RunObject] = WriteOperation(
    Route("cancelRun", "/threads/{thread_id}/runs/{run_id}/cancel", "POST").object_request,
    ObjectReader(RunObject, "thread.run"),
)
SUBMIT_TOOL_OUTPUTS: WriteOperation[RunKey, RunObject] = WriteOperation(
    Route("submitToolOuputsToRun", "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", "POST").object_request,
    ObjectReader(RunObject, "thread.run"),
)
CREATE_ASSISTANT: WriteOperation[None, AssistantObject] = WriteOperation(
    Route("createAssistant", "/assistants", "POST").object_request,
    CreatedReader(AssistantObject, "assistant"),
)
UPDATE_ASSISTANT: WriteOperation[AssistantKey, AssistantObject] = WriteOperation(
    Route("modifyAssistant", "/assistants/{assistant_id}", "POST").object_request,
    ObjectReader(AssistantObject, "assistant"),
    send_nulls=True,
)
DELETE_ASSISTANT: WriteOperation[AssistantKey, None] = WriteOperation(
    Route("deleteAssistant", "/assistants/{assistant_id}", "DELETE").object_request,
    DeletionReader("assistant"),
)
