"""Every upstream read that the gateway knows: one row each, its REST call and the reading of its answer. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.upstream.requests import Route, UpstreamRequest
from gateway.upstream.responses import ObjectReader, PageReader, Reader
from schema.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from schema.wire import (
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
ALL_VERSIONS = frozenset({"v1", "v2"})
V1_ONLY = frozenset({"v1"})


@dataclass(frozen=True, slots=True)
class Read(Generic[KeyT, ValueT]):
    """One read: what is asked for a key and how the answer is read."""

    request: Callable[[KeyT], UpstreamRequest]
    reader: Reader[KeyT, ValueT]
    versions: frozenset[str] = ALL_VERSIONS


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
    versions=V1_ONLY,
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
    versions=V1_ONLY,
)
