"""Every upstream operation that the gateway knows: one row each, its REST call and the reading of its answer. Pure.

Source: operation ids, methods and paths of the API's specification, versions 1 and 2, with its own misspelling.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.upstream.reply_readers import CreatedReader, DeletionReader, ObjectReader, PageReader, Reader
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
class Operation(Generic[KeyT, ValueT]):
    """What is asked for a key, and how the answer is read."""

    request: Callable[[KeyT], UpstreamRequest]
    reader: Reader[KeyT, ValueT]


@dataclass(frozen=True, slots=True)
class Read(Operation[KeyT, ValueT]):
    """An operation that may be sent any number of times."""


@dataclass(frozen=True, slots=True)
class Write(Operation[KeyT, ValueT]):
    """An operation that is sent once; `clears`: a null in its body clears a value."""

    clears: bool = False


GET_THREAD: Read[ThreadKey, ThreadObject] = Read(
    Route("getThread", "/threads/{thread_id}").to_object,
    ObjectReader(ThreadObject, "thread"),
)
GET_MESSAGE: Read[MessageKey, MessageObject] = Read(
    Route("getMessage", "/threads/{thread_id}/messages/{message_id}").to_object,
    ObjectReader(MessageObject, "thread.message"),
)
GET_RUN: Read[RunKey, RunObject] = Read(
    Route("getRun", "/threads/{thread_id}/runs/{run_id}").to_object,
    ObjectReader(RunObject, "thread.run"),
)
GET_RUN_STEP: Read[RunStepKey, RunStepObject] = Read(
    Route("getRunStep", "/threads/{thread_id}/runs/{run_id}/steps/{step_id}").to_object,
    ObjectReader(RunStepObject, "thread.run.step"),
)
GET_ASSISTANT: Read[AssistantKey, AssistantObject] = Read(
    Route("getAssistant", "/assistants/{assistant_id}").to_object,
    ObjectReader(AssistantObject, "assistant"),
)
GET_MESSAGE_FILE: Read[MessageFileKey, MessageFileObject] = Read(
    Route("getMessageFile", "/threads/{thread_id}/messages/{message_id}/files/{file_id}").to_object,
    ObjectReader(MessageFileObject, "thread.message.file"),
)
LIST_MESSAGES: Read[MessagePageKey, Page[MessageObject]] = Read(
    Route("listMessages", "/threads/{thread_id}/messages", filters=("run_id",)).to_page,
    PageReader(MessageObject, "thread.message"),
)
LIST_RUNS: Read[RunPageKey, Page[RunObject]] = Read(
    Route("listRuns", "/threads/{thread_id}/runs").to_page,
    PageReader(RunObject, "thread.run"),
)
LIST_RUN_STEPS: Read[RunStepPageKey, Page[RunStepObject]] = Read(
    Route("listRunSteps", "/threads/{thread_id}/runs/{run_id}/steps").to_page,
    PageReader(RunStepObject, "thread.run.step"),
)
LIST_ASSISTANTS: Read[AssistantPageKey, Page[AssistantObject]] = Read(
    Route("listAssistants", "/assistants").to_page,
    PageReader(AssistantObject, "assistant"),
)
LIST_MESSAGE_FILES: Read[MessageFilePageKey, Page[MessageFileObject]] = Read(
    Route("listMessageFiles", "/threads/{thread_id}/messages/{message_id}/files").to_page,
    PageReader(MessageFileObject, "thread.message.file"),
)

CREATE_THREAD: Write[None, ThreadObject] = Write(
    Route("createThread", "/threads", "POST").to_object,
    CreatedReader(ThreadObject, "thread"),
)
UPDATE_THREAD: Write[ThreadKey, ThreadObject] = Write(
    Route("modifyThread", "/threads/{thread_id}", "POST").to_object,
    ObjectReader(ThreadObject, "thread"),
    clears=True,
)
DELETE_THREAD: Write[ThreadKey, None] = Write(
    Route("deleteThread", "/threads/{thread_id}", "DELETE").to_object,
    DeletionReader("thread"),
)
CREATE_MESSAGE: Write[ThreadKey, MessageObject] = Write(
    Route("createMessage", "/threads/{thread_id}/messages", "POST").to_object,
    CreatedReader(MessageObject, "thread.message"),
)
UPDATE_MESSAGE: Write[MessageKey, MessageObject] = Write(
    Route("modifyMessage", "/threads/{thread_id}/messages/{message_id}", "POST").to_object,
    ObjectReader(MessageObject, "thread.message"),
    clears=True,
)
DELETE_MESSAGE: Write[MessageKey, None] = Write(
    Route("deleteMessage", "/threads/{thread_id}/messages/{message_id}", "DELETE").to_object,
    DeletionReader("thread.message"),
)
CREATE_RUN: Write[ThreadKey, RunObject] = Write(
    Route("createRun", "/threads/{thread_id}/runs", "POST").to_object,
    CreatedReader(RunObject, "thread.run"),
)
CREATE_THREAD_AND_RUN: Write[None, RunObject] = Write(
    Route("createThreadAndRun", "/threads/runs", "POST").to_object,
    CreatedReader(RunObject, "thread.run", names_thread=True),
)
UPDATE_RUN: Write[RunKey, RunObject] = Write(
    Route("modifyRun", "/threads/{thread_id}/runs/{run_id}", "POST").to_object,
    ObjectReader(RunObject, "thread.run"),
    clears=True,
)
CANCEL_RUN: Write[RunKey, RunObject] = Write(
    Route("cancelRun", "/threads/{thread_id}/runs/{run_id}/cancel", "POST").to_object,
    ObjectReader(RunObject, "thread.run"),
)
SUBMIT_TOOL_OUTPUTS: Write[RunKey, RunObject] = Write(
    Route("submitToolOuputsToRun", "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", "POST").to_object,
    ObjectReader(RunObject, "thread.run"),
)
CREATE_ASSISTANT: Write[None, AssistantObject] = Write(
    Route("createAssistant", "/assistants", "POST").to_object,
    CreatedReader(AssistantObject, "assistant"),
)
UPDATE_ASSISTANT: Write[AssistantKey, AssistantObject] = Write(
    Route("modifyAssistant", "/assistants/{assistant_id}", "POST").to_object,
    ObjectReader(AssistantObject, "assistant"),
    clears=True,
)
DELETE_ASSISTANT: Write[AssistantKey, None] = Write(
    Route("deleteAssistant", "/assistants/{assistant_id}", "DELETE").to_object,
    DeletionReader("assistant"),
)
