"""The writes of the upstream, one row each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from schema.contract.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    Body,
    MessageBody,
    MetadataUpdateBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
    ToolApprovalsBody,
    ToolOutputsBody,
)
from schema.contract.keys import AssistantKey, FileKey, MessageKey, NodeKey, RunKey, ThreadKey
from schema.contract.wire import AssistantObject, MessageObject, RunObject, ThreadObject

WriteKeyT = TypeVar("WriteKeyT", bound=NodeKey | None)
BodyT = TypeVar("BodyT", bound=Body | None)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Write(Generic[WriteKeyT, BodyT, ResultT_co]):
    """A write: its name, and by its type parameters the key that it is sent to, its body and its result."""

    name: str


CREATE_THREAD: Write[None, ThreadBody, ThreadObject] = Write("create_thread")
UPDATE_THREAD: Write[ThreadKey, ThreadUpdateBody, ThreadObject] = Write("update_thread")
DELETE_THREAD: Write[ThreadKey, None, None] = Write("delete_thread")
CREATE_MESSAGE: Write[ThreadKey, MessageBody, MessageObject] = Write("create_message")
UPDATE_MESSAGE: Write[MessageKey, MetadataUpdateBody, MessageObject] = Write("update_message")
DELETE_MESSAGE: Write[MessageKey, None, None] = Write("delete_message")
CREATE_RUN: Write[ThreadKey, RunBody, RunObject] = Write("create_run")
CREATE_THREAD_AND_RUN: Write[None, ThreadAndRunBody, RunObject] = Write("create_thread_and_run")
UPDATE_RUN: Write[RunKey, MetadataUpdateBody, RunObject] = Write("update_run")
CANCEL_RUN: Write[RunKey, None, RunObject] = Write("cancel_run")
SUBMIT_TOOL_OUTPUTS: Write[RunKey, ToolOutputsBody, RunObject] = Write("submit_tool_outputs")
SUBMIT_TOOL_APPROVALS: Write[RunKey, ToolApprovalsBody, RunObject] = Write("submit_tool_approvals")
CREATE_ASSISTANT: Write[None, AssistantBody, AssistantObject] = Write("create_assistant")
UPDATE_ASSISTANT: Write[AssistantKey, AssistantUpdateBody, AssistantObject] = Write("update_assistant")
DELETE_ASSISTANT: Write[AssistantKey, None, None] = Write("delete_assistant")
DELETE_FILE: Write[FileKey, None, None] = Write("delete_file")

AnyWrite: TypeAlias = Write[Any, Any, Any]
WRITES: tuple[AnyWrite, ...] = (
    CREATE_THREAD,
    UPDATE_THREAD,
    DELETE_THREAD,
    CREATE_MESSAGE,
    UPDATE_MESSAGE,
    DELETE_MESSAGE,
    CREATE_RUN,
    CREATE_THREAD_AND_RUN,
    UPDATE_RUN,
    CANCEL_RUN,
    SUBMIT_TOOL_OUTPUTS,
    SUBMIT_TOOL_APPROVALS,
    CREATE_ASSISTANT,
    UPDATE_ASSISTANT,
    DELETE_ASSISTANT,
    DELETE_FILE,
)
