"""The nodes of the graph: Thread, Message, Run, RunStep, Assistant and MessageFile, which refer to each other.

A node holds its key and, where a selected field needs it, its wire object: loading has put it there before any such
field is resolved (`references.py`). So every field here is a plain function of what is at hand, and says where a
list or another node begins.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec
import strawberry

from schema.contract.keys import (
    AssistantKey,
    MessageFileKey,
    MessageKey,
    NodeKey,
    RunKey,
    RunStepKey,
    ThreadKey,
    to_global_id,
)
from schema.contract.paging import CursorScope, Window, window_from_arguments
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from schema.contract.run_events import is_terminal
from schema.contract.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    Page,
    RunObject,
    RunStepObject,
    StepDetailsObject,
    ThreadObject,
)
from schema.engine.context import Context, Info
from schema.engine.deferred import then
from schema.engine.loaders import PortLoader
from schema.graph.connections import After, Before, Connection, ConnectionPlan, First, Last, open_connection
from schema.graph.documented_field import deprecated, documented_field, plain_field
from schema.graph.enums import (
    MessageRole,
    MessageStatus,
    RunStatus,
    RunStepStatus,
    RunStepType,
    recognize,
    recognize_optional,
)
from schema.graph.from_wire import (
    attachments_from_wire,
    content_from_wire,
    integer_from_wire,
    required_action_from_wire,
    run_error_from_wire,
    text_from_content,
    tool_calls_from_wire,
    tool_resources_from_wire,
    tools_from_wire,
    truncation_from_wire,
    usage_from_wire,
)
from schema.graph.id_arguments import read_run_id_within
from schema.graph.leaf_types import (
    Attachment,
    MessageContent,
    RequiredAction,
    RunError,
    Tool,
    ToolCall,
    ToolResources,
    TruncationStrategy,
    Usage,
)
from schema.graph.lenient_parts import decode_part, unknown_part
from schema.graph.references import follow_reference
from schema.graph.scalars import JSON, DateTime, Metadata, date_time, metadata

_Planner: TypeAlias = Callable[..., ConnectionPlan[Any]]
_Reference: TypeAlias = Callable[[Any], tuple[type[Any], Any]]

NOT_LOADED: Any = None
"""Stands for the wire object of a node of which only the key is needed."""

_VERSION_1 = "Version 1 of the API."
_IDENTITY = frozenset({"__typename", "id", "upstreamId"})


@strawberry.interface(description="An object with a global ID, by which `node(id:)` finds it again.")
class Node:
    """Relay's node: what it is lies in its key."""

    key: strawberry.Private[NodeKey]

    @documented_field
    def id(self) -> strawberry.ID:
        """The global ID: opaque, the same in every session and process."""
        return strawberry.ID(to_global_id(self.key))


@strawberry.type(description="A conversation: messages, and the runs that answer them.")
class Thread(Node):
    """Source: the thread object."""

    TYPE_NAME: ClassVar = "Thread"
    FIELDS_OF_KEY: ClassVar = _IDENTITY | {"messages", "runs", "activeRun"}
    LISTS: ClassVar[Mapping[str, _Planner]]
    REFERENCES: ClassVar[Mapping[str, _Reference]] = {}

    key: strawberry.Private[ThreadKey]
    wire: strawberry.Private[ThreadObject] = NOT_LOADED

    @staticmethod
    def loader(context: Context) -> PortLoader[ThreadKey, ThreadObject]:
        """The loader of threads."""
        return context.loaders.threads

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's own id, such as `thread_abc123`."""
        return self.key.thread_id

    @documented_field
    def created_at(self) -> DateTime:
        """When the thread was created."""
        return DateTime(self.wire.created_at)

    @documented_field
    def metadata(self) -> Metadata:
        """What the caller's program keeps with the thread."""
        return metadata(self.wire.metadata)

    @documented_field
    def tool_resources(self) -> ToolResources | None:
        """What the tools may use in this thread; null in version 1 of the API."""
        return tool_resources_from_wire(self.wire.tool_resources)

    @documented_field
    def messages(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        run_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only what this run wrote; a run's global ID or upstream id."),
        ] = None,
    ) -> Connection[Message] | None:
        """The messages, oldest first: `last: 20` is the newest twenty, in reading order."""
        return open_connection(
            _messages_of_thread(
                info.context, self.key, first=first, after=after, last=last, before=before, run_id=run_id
            )
        )

    @documented_field
    def runs(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Run] | None:
        """The runs, oldest first."""
        return open_connection(
            _runs_of_thread(info.context, self.key, first=first, after=after, last=last, before=before)
        )

    @documented_field
    def active_run(self, info: Info) -> Run | None:
        """The run that still holds the thread, if there is one: while it does, no message and no run can be added."""
        plan = _newest_run_of_thread(info.context, self.key)

        def active(load: Future[Page[RunObject]]) -> Run | None:
            newest = next(iter(load.result().data), None)
            return None if newest is None or is_terminal(newest.status) else plan.make_node(newest)

        return then(plan.loader.start_load(plan.first_page_key), active)


@strawberry.type(description="One contribution to a thread.")
class Message(Node):
    """Source: the message object."""

    TYPE_NAME: ClassVar = "Message"
    FIELDS_OF_KEY: ClassVar = _IDENTITY | {"thread", "files"}
    LISTS: ClassVar[Mapping[str, _Planner]]
    REFERENCES: ClassVar[Mapping[str, _Reference]] = {}

    key: strawberry.Private[MessageKey]
    wire: strawberry.Private[MessageObject] = NOT_LOADED
    lacks_attachments: strawberry.Private[bool] = False

    @staticmethod
    def loader(context: Context) -> PortLoader[MessageKey, MessageObject]:
        """The loader of messages."""
        return context.loaders.messages

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's own id, such as `msg_abc123`."""
        return self.key.message_id

    @documented_field
    def created_at(self) -> DateTime:
        """When the message was created."""
        return DateTime(self.wire.created_at)

    @documented_field
    def thread(self, info: Info) -> Thread | None:
        """The thread that it belongs to; null where that could not be read."""
        return follow_reference(info, Thread, ThreadKey(self.key.thread_id))

    @documented_field
    def role(self) -> MessageRole:
        """Who wrote it."""
        return recognize(MessageRole, self.wire.role)

    @documented_field
    def status(self) -> MessageStatus | None:
        """How far it has come. Null where the upstream leaves it out, as it does for messages read by REST."""
        return recognize_optional(MessageStatus, self.wire.status)

    @documented_field
    def incomplete_reason(self) -> str | None:
        """Why it was cut off, such as `max_tokens` or `content_filter`."""
        return self.wire.incomplete_details.reason if self.wire.incomplete_details else None

    @documented_field
    def completed_at(self) -> DateTime | None:
        """When it was completed, where the upstream says so."""
        return date_time(self.wire.completed_at)

    @documented_field
    def incomplete_at(self) -> DateTime | None:
        """When it was cut off, where the upstream says so."""
        return date_time(self.wire.incomplete_at)

    @documented_field
    def text(self) -> str:
        """The text parts, joined by newlines; empty where there are none."""
        return text_from_content(self.wire.content)

    @documented_field
    def content(self) -> list[MessageContent]:
        """All parts, in order."""
        return content_from_wire(self.wire.content)

    @documented_field
    def attachments(self, info: Info) -> list[Attachment]:
        """The attached files (version 2 of the API)."""
        if self.lacks_attachments:
            load = info.context.loaders.messages.start_load(self.key)
            return then(load, lambda message: attachments_from_wire(message.result().attachments))
        return attachments_from_wire(self.wire.attachments)

    @documented_field
    def assistant_id(self) -> str | None:
        """The upstream id of the assistant that wrote it; null for a person's message."""
        return self.wire.assistant_id

    @documented_field
    def assistant(self, info: Info) -> Assistant | None:
        """The assistant that wrote it; null for a person's message, or where it is no longer there."""
        assistant_id = self.wire.assistant_id
        return follow_reference(info, Assistant, AssistantKey(assistant_id)) if assistant_id else None

    @documented_field
    def run_id(self) -> str | None:
        """The upstream id of the run that wrote it; null for a person's message."""
        return self.wire.run_id

    @documented_field
    def run(self, info: Info) -> Run | None:
        """The run that wrote it; null for a person's message, or where it is no longer there."""
        run_id = self.wire.run_id
        return follow_reference(info, Run, RunKey(self.key.thread_id, run_id)) if run_id else None

    @documented_field
    def metadata(self) -> Metadata:
        """What the caller's program keeps with the message."""
        return metadata(self.wire.metadata)

    @documented_field
    def files(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[MessageFile] | None:
        """The attached files, oldest first (version 1 of the API; version 2 has `attachments`)."""
        return open_connection(
            _files_of_message(info.context, self.key, first=first, after=after, last=last, before=before)
        )

    @deprecated("Version 1 of the API; use attachments.")
    def file_ids(self) -> list[str]:
        """The upstream ids of the attached files; empty in version 2 of the API."""
        return self.wire.file_ids or []


@strawberry.type(description="A file attached to a message (version 1 of the API).")
class MessageFile(Node):
    """Source: the message file object."""

    TYPE_NAME: ClassVar = "MessageFile"
    FIELDS_OF_KEY: ClassVar = _IDENTITY | {"message"}
    LISTS: ClassVar[Mapping[str, _Planner]] = {}
    REFERENCES: ClassVar[Mapping[str, _Reference]] = {}

    key: strawberry.Private[MessageFileKey]
    wire: strawberry.Private[MessageFileObject] = NOT_LOADED

    @staticmethod
    def loader(context: Context) -> PortLoader[MessageFileKey, MessageFileObject]:
        """The loader of message files."""
        return context.loaders.message_files

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's own id, such as `file-abc123`."""
        return self.key.file_id

    @documented_field
    def created_at(self) -> DateTime:
        """When the file was attached."""
        return DateTime(self.wire.created_at)

    @documented_field
    def message(self, info: Info) -> Message | None:
        """The message that it is attached to; null where that could not be read."""
        return follow_reference(info, Message, MessageKey(self.key.thread_id, self.key.message_id))


@strawberry.type(description="An assistant at work on a thread.")
class Run(Node):
    """Source: the run object."""

    TYPE_NAME: ClassVar = "Run"
    FIELDS_OF_KEY: ClassVar = _IDENTITY | {"thread", "steps", "messages"}
    LISTS: ClassVar[Mapping[str, _Planner]]
    REFERENCES: ClassVar[Mapping[str, _Reference]] = {}

    key: strawberry.Private[RunKey]
    wire: strawberry.Private[RunObject] = NOT_LOADED

    @staticmethod
    def loader(context: Context) -> PortLoader[RunKey, RunObject]:
        """The loader of runs."""
        return context.loaders.runs

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's own id, such as `run_abc123`."""
        return self.key.run_id

    @documented_field
    def created_at(self) -> DateTime:
        """When the run was created."""
        return DateTime(self.wire.created_at)

    @documented_field
    def thread(self, info: Info) -> Thread | None:
        """The thread that it works on; null where that could not be read."""
        return follow_reference(info, Thread, ThreadKey(self.key.thread_id))

    @documented_field
    def assistant_id(self) -> str | None:
        """The upstream id of the assistant at work."""
        return self.wire.assistant_id

    @documented_field
    def assistant(self, info: Info) -> Assistant | None:
        """The assistant at work; null where it is no longer there."""
        assistant_id = self.wire.assistant_id
        return follow_reference(info, Assistant, AssistantKey(assistant_id)) if assistant_id else None

    @documented_field
    def status(self) -> RunStatus:
        """How far it has come."""
        return recognize(RunStatus, self.wire.status)

    @documented_field
    def is_terminal(self) -> bool:
        """Whether its status can no longer change."""
        return is_terminal(self.wire.status)

    @documented_field
    def required_action(self) -> RequiredAction | None:
        """What it waits for; null unless it waits for the caller."""
        return required_action_from_wire(self.wire.required_action)

    @documented_field
    def last_error(self) -> RunError | None:
        """Why it failed; null unless it did."""
        return run_error_from_wire(self.wire.last_error)

    @documented_field
    def incomplete_reason(self) -> str | None:
        """The limit that it ran into, such as `max_completion_tokens`; null unless it did."""
        return self.wire.incomplete_details.reason if self.wire.incomplete_details else None

    @documented_field
    def expires_at(self) -> DateTime | None:
        """When it will expire unless it is finished; null once it is terminal."""
        return date_time(self.wire.expires_at)

    @documented_field
    def started_at(self) -> DateTime | None:
        """When it was last taken up; null until then."""
        return date_time(self.wire.started_at)

    @documented_field
    def cancelled_at(self) -> DateTime | None:
        """When it was cancelled; null unless it was."""
        return date_time(self.wire.cancelled_at)

    @documented_field
    def failed_at(self) -> DateTime | None:
        """When it failed; null unless it did."""
        return date_time(self.wire.failed_at)

    @documented_field
    def completed_at(self) -> DateTime | None:
        """When it was completed; null unless it was."""
        return date_time(self.wire.completed_at)

    @documented_field
    def model(self) -> str | None:
        """The model that answers."""
        return self.wire.model

    @documented_field
    def instructions(self) -> str | None:
        """What the model was told for this run."""
        return self.wire.instructions

    @documented_field
    def tools(self) -> list[Tool]:
        """What the model may use in this run."""
        return tools_from_wire(self.wire.tools)

    @documented_field
    def temperature(self) -> float | None:
        """How freely the model words its answer, from 0 to 2."""
        return self.wire.temperature

    @documented_field
    def top_p(self) -> float | None:
        """The share of likely words that the model chooses from, from 0 to 1."""
        return self.wire.top_p

    @documented_field
    def max_prompt_tokens(self) -> int | None:
        """Most tokens that the run may read, where there is such a limit."""
        return integer_from_wire(self.wire.max_prompt_tokens)

    @documented_field
    def max_completion_tokens(self) -> int | None:
        """Most tokens that the run may write, where there is such a limit."""
        return integer_from_wire(self.wire.max_completion_tokens)

    @documented_field
    def truncation_strategy(self) -> TruncationStrategy | None:
        """How much of the thread the run reads."""
        return truncation_from_wire(self.wire.truncation_strategy)

    @documented_field
    def tool_choice(self) -> JSON | None:
        """Which tool the model must use: `none`, `auto`, `required`, or an object that names one."""
        return _json(self.wire.tool_choice)

    @documented_field
    def parallel_tool_calls(self) -> bool | None:
        """Whether the model may call several functions at once."""
        return self.wire.parallel_tool_calls

    @documented_field
    def response_format(self) -> JSON | None:
        """The form of the answer: `auto`, or an object that describes one."""
        return _json(self.wire.response_format)

    @documented_field
    def usage(self) -> Usage | None:
        """Tokens used; null until the run is terminal."""
        return usage_from_wire(self.wire.usage)

    @documented_field
    def metadata(self) -> Metadata:
        """What the caller's program keeps with the run."""
        return metadata(self.wire.metadata)

    @documented_field
    def steps(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[RunStep] | None:
        """What the run has done, oldest first."""
        return open_connection(
            _steps_of_run(info.context, self.key, first=first, after=after, last=last, before=before)
        )

    @documented_field
    def messages(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Message] | None:
        """What the run has written, oldest first."""
        return open_connection(
            _messages_of_run(info.context, self.key, first=first, after=after, last=last, before=before)
        )

    @deprecated(_VERSION_1)
    def file_ids(self) -> list[str]:
        """The upstream ids of the files that the run may read; empty in version 2 of the API."""
        return self.wire.file_ids or []


@strawberry.type(description="The step wrote a message.")
class MessageCreationDetails:
    """Source: step details of type `message_creation`."""

    message_id: str = plain_field("The upstream id of the message.")
    key: strawberry.Private[MessageKey]

    @documented_field
    def message(self, info: Info) -> Message | None:
        """The message; null where it is no longer there."""
        return follow_reference(info, Message, self.key)


@strawberry.type(description="The step called tools.")
class ToolCallsDetails:
    """Source: step details of type `tool_calls`."""

    tool_calls: list[ToolCall] = plain_field("The calls, in order.")


@strawberry.type(description="The step did something that this gateway does not know yet.")
class UnknownStepDetails:
    """Fallback of `StepDetails`."""

    type: str = plain_field("The upstream's name of the kind; empty where it names none.")
    raw: JSON = plain_field("The details as the upstream sent them.")


StepDetails: TypeAlias = Annotated[
    MessageCreationDetails | ToolCallsDetails | UnknownStepDetails,
    strawberry.union("StepDetails", description="What a step did."),
]

_STEP_DETAILS = msgspec.json.Decoder(StepDetailsObject, strict=False)


@strawberry.type(description="One thing that a run did: it wrote a message, or it called tools.")
class RunStep(Node):
    """Source: the run step object."""

    TYPE_NAME: ClassVar = "RunStep"
    FIELDS_OF_KEY: ClassVar = _IDENTITY | {"thread", "run"}
    LISTS: ClassVar[Mapping[str, _Planner]] = {}
    REFERENCES: ClassVar[Mapping[str, _Reference]] = {}

    key: strawberry.Private[RunStepKey]
    wire: strawberry.Private[RunStepObject] = NOT_LOADED

    @staticmethod
    def loader(context: Context) -> PortLoader[RunStepKey, RunStepObject]:
        """The loader of run steps."""
        return context.loaders.run_steps

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's own id, such as `step_abc123`."""
        return self.key.step_id

    @documented_field
    def created_at(self) -> DateTime:
        """When the step began."""
        return DateTime(self.wire.created_at)

    @documented_field
    def thread(self, info: Info) -> Thread | None:
        """The thread that its run works on; null where that could not be read."""
        return follow_reference(info, Thread, ThreadKey(self.key.thread_id))

    @documented_field
    def run(self, info: Info) -> Run | None:
        """The run that it is part of; null where that could not be read."""
        return follow_reference(info, Run, RunKey(self.key.thread_id, self.key.run_id))

    @documented_field
    def assistant_id(self) -> str | None:
        """The upstream id of the assistant at work."""
        return self.wire.assistant_id

    @documented_field
    def assistant(self, info: Info) -> Assistant | None:
        """The assistant at work; null where it is no longer there."""
        assistant_id = self.wire.assistant_id
        return follow_reference(info, Assistant, AssistantKey(assistant_id)) if assistant_id else None

    @documented_field
    def type(self) -> RunStepType:
        """What kind of work it did."""
        return recognize(RunStepType, self.wire.type)

    @documented_field
    def status(self) -> RunStepStatus:
        """How far it has come."""
        return recognize(RunStepStatus, self.wire.status)

    @documented_field
    def details(self) -> StepDetails:
        """What it did."""
        raw = self.wire.step_details
        match decode_part(_STEP_DETAILS, raw):
            case StepDetailsObject(type="message_creation", message_creation=created) if created is not None:
                message = MessageKey(self.key.thread_id, created.message_id)
                return MessageCreationDetails(message_id=created.message_id, key=message)
            case StepDetailsObject(type="tool_calls", tool_calls=calls):
                return ToolCallsDetails(tool_calls=tool_calls_from_wire(calls))
            case _:
                kind, value = unknown_part(raw)
                return UnknownStepDetails(type=kind, raw=value)

    @documented_field
    def last_error(self) -> RunError | None:
        """Why it failed; null unless it did."""
        return run_error_from_wire(self.wire.last_error)

    @documented_field
    def expired_at(self) -> DateTime | None:
        """When it expired; null unless it did."""
        return date_time(self.wire.expired_at)

    @documented_field
    def cancelled_at(self) -> DateTime | None:
        """When it was cancelled; null unless it was."""
        return date_time(self.wire.cancelled_at)

    @documented_field
    def failed_at(self) -> DateTime | None:
        """When it failed; null unless it did."""
        return date_time(self.wire.failed_at)

    @documented_field
    def completed_at(self) -> DateTime | None:
        """When it was completed; null until then."""
        return date_time(self.wire.completed_at)

    @documented_field
    def usage(self) -> Usage | None:
        """Tokens used; null until the step is completed."""
        return usage_from_wire(self.wire.usage)

    @documented_field
    def metadata(self) -> Metadata:
        """What the caller's program keeps with the step; most servers send none."""
        return metadata(self.wire.metadata)


@strawberry.type(description="Who answers: a model with instructions and tools.")
class Assistant(Node):
    """Source: the assistant object."""

    TYPE_NAME: ClassVar = "Assistant"
    FIELDS_OF_KEY: ClassVar = _IDENTITY
    LISTS: ClassVar[Mapping[str, _Planner]] = {}
    REFERENCES: ClassVar[Mapping[str, _Reference]] = {}

    key: strawberry.Private[AssistantKey]
    wire: strawberry.Private[AssistantObject] = NOT_LOADED

    @staticmethod
    def loader(context: Context) -> PortLoader[AssistantKey, AssistantObject]:
        """The loader of assistants."""
        return context.loaders.assistants

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's own id, such as `asst_abc123`."""
        return self.key.assistant_id

    @documented_field
    def created_at(self) -> DateTime:
        """When the assistant was created."""
        return DateTime(self.wire.created_at)

    @documented_field
    def name(self) -> str | None:
        """Its name."""
        return self.wire.name

    @documented_field
    def description(self) -> str | None:
        """What it is for."""
        return self.wire.description

    @documented_field
    def model(self) -> str:
        """The model that answers."""
        return self.wire.model

    @documented_field
    def instructions(self) -> str | None:
        """What the model is told."""
        return self.wire.instructions

    @documented_field
    def tools(self) -> list[Tool]:
        """What the model may use."""
        return tools_from_wire(self.wire.tools)

    @documented_field
    def tool_resources(self) -> ToolResources | None:
        """What its tools may use; null in version 1 of the API."""
        return tool_resources_from_wire(self.wire.tool_resources)

    @documented_field
    def temperature(self) -> float | None:
        """How freely the model words its answer, from 0 to 2."""
        return self.wire.temperature

    @documented_field
    def top_p(self) -> float | None:
        """The share of likely words that the model chooses from, from 0 to 1."""
        return self.wire.top_p

    @documented_field
    def response_format(self) -> JSON | None:
        """The form of its answers: `auto`, or an object that describes one."""
        return _json(self.wire.response_format)

    @documented_field
    def metadata(self) -> Metadata:
        """What the caller's program keeps with the assistant."""
        return metadata(self.wire.metadata)

    @deprecated(_VERSION_1)
    def file_ids(self) -> list[str]:
        """The upstream ids of the files that the assistant may read; empty in version 2 of the API."""
        return self.wire.file_ids or []


NODE_TYPES: Mapping[type[NodeKey], type[Any]] = {
    ThreadKey: Thread,
    MessageKey: Message,
    RunKey: Run,
    RunStepKey: RunStep,
    AssistantKey: Assistant,
    MessageFileKey: MessageFile,
}
"""The node type of each key type."""


def _json(value: Any) -> JSON | None:
    return None if value is None else JSON(value)


# ---- the lists: which page a connection shows ----


def _messages_of_thread(
    context: Context, key: ThreadKey, *, run_id: str | None = None, **paging: Any
) -> ConnectionPlan[Message]:
    upstream_run_id = None if run_id is None else read_run_id_within(key, run_id)
    owner = key if upstream_run_id is None else RunKey(key.thread_id, upstream_run_id)
    return _message_list(context, key.thread_id, upstream_run_id, CursorScope("messages", owner), paging)


def _messages_of_run(context: Context, key: RunKey, **paging: Any) -> ConnectionPlan[Message]:
    # The list is the thread's, narrowed down: for a run that is not there it is empty, not refused.
    plan = _message_list(context, key.thread_id, key.run_id, CursorScope("messages", key), paging)
    return replace(plan, proves_owner=False)


def _message_list(
    context: Context, thread_id: str, run_id: str | None, scope: CursorScope, paging: Mapping[str, Any]
) -> ConnectionPlan[Message]:
    window = window_from_arguments(scope, context.limits, **paging)
    return ConnectionPlan(
        context.loaders.message_pages,
        MessagePageKey(thread_id, run_id, window),
        scope,
        lambda wire: Message(key=MessageKey(thread_id, wire.id), wire=wire),
    )


def _runs_of_thread(context: Context, key: ThreadKey, **paging: Any) -> ConnectionPlan[Run]:
    scope = CursorScope("runs", key)
    window = window_from_arguments(scope, context.limits, **paging)
    return _run_list(context, key, scope, window)


def _newest_run_of_thread(context: Context, key: ThreadKey) -> ConnectionPlan[Run]:
    return _run_list(context, key, CursorScope("runs", key), Window(1, "desc"))


def _run_list(context: Context, key: ThreadKey, scope: CursorScope, window: Window) -> ConnectionPlan[Run]:
    return ConnectionPlan(
        context.loaders.run_pages,
        RunPageKey(key.thread_id, window),
        scope,
        lambda wire: Run(key=RunKey(key.thread_id, wire.id), wire=wire),
    )


def _steps_of_run(context: Context, key: RunKey, **paging: Any) -> ConnectionPlan[RunStep]:
    scope = CursorScope("steps", key)
    return ConnectionPlan(
        context.loaders.run_step_pages,
        RunStepPageKey(key.thread_id, key.run_id, window_from_arguments(scope, context.limits, **paging)),
        scope,
        lambda wire: RunStep(key=RunStepKey(key.thread_id, key.run_id, wire.id), wire=wire),
    )


def _files_of_message(context: Context, key: MessageKey, **paging: Any) -> ConnectionPlan[MessageFile]:
    scope = CursorScope("files", key)
    return ConnectionPlan(
        context.loaders.message_file_pages,
        MessageFilePageKey(key.thread_id, key.message_id, window_from_arguments(scope, context.limits, **paging)),
        scope,
        lambda wire: MessageFile(key=MessageFileKey(key.thread_id, key.message_id, wire.id), wire=wire),
    )


def list_assistants(context: Context, **paging: Any) -> ConnectionPlan[Assistant]:
    """Plan a page of the assistants."""
    scope = CursorScope("assistants")
    return ConnectionPlan(
        context.loaders.assistant_pages,
        AssistantPageKey(window_from_arguments(scope, context.limits, **paging)),
        scope,
        lambda wire: Assistant(key=AssistantKey(wire.id), wire=wire),
    )


Thread.LISTS = {"runs": _runs_of_thread, "activeRun": _newest_run_of_thread, "messages": _messages_of_thread}
Message.LISTS = {"files": _files_of_message}
Run.LISTS = {"steps": _steps_of_run, "messages": _messages_of_run}
Message.REFERENCES = {"thread": lambda key: (Thread, ThreadKey(key.thread_id))}
MessageFile.REFERENCES = {"message": lambda key: (Message, MessageKey(key.thread_id, key.message_id))}
Run.REFERENCES = {"thread": lambda key: (Thread, ThreadKey(key.thread_id))}
RunStep.REFERENCES = {
    "thread": lambda key: (Thread, ThreadKey(key.thread_id)),
    "run": lambda key: (Run, RunKey(key.thread_id, key.run_id)),
}
