"""The upstream operations that the gateway knows, by kind and by write: the REST call and the reader of its response.

Pure. Source: operation ids, methods and paths of the specification, versions 1 and 2, including its misspelling
`submitToolOuputsToRun`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from gateway.upstream.reply_readers import CreatedReader, DeletionReader, ObjectReader, PageReader, ReplyReader
from gateway.upstream.rest_requests import Route, UpstreamRequest
from schema.contract import wire, writes
from schema.contract.kinds import (
    ASSISTANTS,
    FILES,
    MESSAGE_FILES,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    THREADS,
    AnyKind,
    MessagePageKey,
    RunPageKey,
)
from schema.contract.paging import Window
from schema.contract.writes import AnyWrite

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
    """An operation that is sent once.

    `send_nulls`: a null in its body clears a value. `starts_run`: its response can be a stream of the run's events.
    """

    send_nulls: bool = False
    starts_run: bool = False


@dataclass(frozen=True, slots=True)
class _Resource:
    """A kind of objects in REST: the value of `object`, the path of its lists, and the ids of the operations."""

    object_name: str
    path: str
    get: str
    list: str | None = None
    filters: tuple[str, ...] = ()


_RESOURCES: Mapping[AnyKind, _Resource] = {
    THREADS: _Resource("thread", "/threads", "getThread"),
    MESSAGES: _Resource(
        "thread.message", "/threads/{thread_id}/messages", "getMessage", "listMessages", filters=("run_id",)
    ),
    RUNS: _Resource("thread.run", "/threads/{thread_id}/runs", "getRun", "listRuns"),
    RUN_STEPS: _Resource("thread.run.step", "/threads/{thread_id}/runs/{run_id}/steps", "getRunStep", "listRunSteps"),
    ASSISTANTS: _Resource("assistant", "/assistants", "getAssistant", "listAssistants"),
    MESSAGE_FILES: _Resource(
        "thread.message.file",
        "/threads/{thread_id}/messages/{message_id}/files",
        "getMessageFile",
        "listMessageFiles",
    ),
    FILES: _Resource("file", "/files", "retrieveFile"),
}

GETS: Mapping[AnyKind, ReadOperation[Any, Any]] = {
    kind: ReadOperation(
        Route(resource.get, f"{resource.path}/{{{kind.key_type._fields[-1]}}}").object_request,
        ObjectReader(kind.wire_type, resource.object_name),
    )
    for kind, resource in _RESOURCES.items()
}
"""An object's id is the last part of its key, and of its path."""

LISTS: Mapping[AnyKind, ReadOperation[Any, Any]] = {
    kind: ReadOperation(
        Route(resource.list, resource.path, filters=resource.filters).page_request,
        PageReader(kind.wire_type, resource.object_name),
    )
    for kind, resource in _RESOURCES.items()
    if resource.list is not None
}


class ThreadPageKey(NamedTuple):
    """The key of a page of all threads of an account, which only Foundry lists."""

    window: Window


LIST_THREADS: ReadOperation[ThreadPageKey, wire.Page[wire.ThreadObject]] = ReadOperation(
    Route("listThreads", "/threads").page_request, PageReader(wire.ThreadObject, "thread")
)
"""Not part of the port: to callers, the upstream's list would be that of everybody."""

PAGES_OF_THREADS: Mapping[AnyKind, Callable[[str, Window], Any]] = {
    MESSAGES: lambda thread_id, window: MessagePageKey(thread_id, None, window),
    RUNS: RunPageKey,
}
"""The keys of pages of a thread's objects, by the kinds of which many are loaded by one list call."""

_SUBMISSION: WriteOperation[Any, Any] = WriteOperation(
    Route("submitToolOuputsToRun", "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", "POST").object_request,
    ObjectReader(wire.RunObject, "thread.run"),
    starts_run=True,
)
"""Foundry takes outputs and approvals by the same call, with different bodies."""

WRITES: Mapping[AnyWrite, WriteOperation[Any, Any]] = {
    writes.CREATE_THREAD: WriteOperation(
        Route("createThread", "/threads", "POST").object_request,
        CreatedReader(wire.ThreadObject, "thread"),
    ),
    writes.UPDATE_THREAD: WriteOperation(
        Route("modifyThread", "/threads/{thread_id}", "POST").object_request,
        ObjectReader(wire.ThreadObject, "thread"),
        send_nulls=True,
    ),
    writes.DELETE_THREAD: WriteOperation(
        Route("deleteThread", "/threads/{thread_id}", "DELETE").object_request,
        DeletionReader("thread"),
    ),
    writes.CREATE_MESSAGE: WriteOperation(
        Route("createMessage", "/threads/{thread_id}/messages", "POST").object_request,
        CreatedReader(wire.MessageObject, "thread.message"),
    ),
    writes.UPDATE_MESSAGE: WriteOperation(
        Route("modifyMessage", "/threads/{thread_id}/messages/{message_id}", "POST").object_request,
        ObjectReader(wire.MessageObject, "thread.message"),
        send_nulls=True,
    ),
    writes.DELETE_MESSAGE: WriteOperation(
        Route("deleteMessage", "/threads/{thread_id}/messages/{message_id}", "DELETE").object_request,
        DeletionReader("thread.message"),
    ),
    writes.CREATE_RUN: WriteOperation(
        Route("createRun", "/threads/{thread_id}/runs", "POST").object_request,
        CreatedReader(wire.RunObject, "thread.run"),
        starts_run=True,
    ),
    writes.CREATE_THREAD_AND_RUN: WriteOperation(
        Route("createThreadAndRun", "/threads/runs", "POST").object_request,
        CreatedReader(wire.RunObject, "thread.run", requires_thread_id=True),
        starts_run=True,
    ),
    writes.UPDATE_RUN: WriteOperation(
        Route("modifyRun", "/threads/{thread_id}/runs/{run_id}", "POST").object_request,
        ObjectReader(wire.RunObject, "thread.run"),
        send_nulls=True,
    ),
    writes.CANCEL_RUN: WriteOperation(
        Route("cancelRun", "/threads/{thread_id}/runs/{run_id}/cancel", "POST").object_request,
        ObjectReader(wire.RunObject, "thread.run"),
    ),
    writes.SUBMIT_TOOL_OUTPUTS: _SUBMISSION,
    writes.SUBMIT_TOOL_APPROVALS: _SUBMISSION,
    writes.CREATE_ASSISTANT: WriteOperation(
        Route("createAssistant", "/assistants", "POST").object_request,
        CreatedReader(wire.AssistantObject, "assistant"),
    ),
    writes.UPDATE_ASSISTANT: WriteOperation(
        Route("modifyAssistant", "/assistants/{assistant_id}", "POST").object_request,
        ObjectReader(wire.AssistantObject, "assistant"),
        send_nulls=True,
    ),
    writes.DELETE_ASSISTANT: WriteOperation(
        Route("deleteAssistant", "/assistants/{assistant_id}", "DELETE").object_request,
        DeletionReader("assistant"),
    ),
    writes.DELETE_FILE: WriteOperation(
        Route("deleteFile", "/files/{file_id}", "DELETE").object_request,
        DeletionReader("file"),
    ),
}
