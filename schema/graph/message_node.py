"""The node types `Message` and `MessageFile`, and the lists of both."""

from __future__ import annotations

from typing import ClassVar

import strawberry

from schema.contract.keys import AssistantKey, FileKey, MessageFileKey, MessageKey, RunKey, ThreadKey
from schema.contract.kinds import MESSAGE_FILES, MESSAGES, MessageFilePageKey, MessagePageKey
from schema.contract.paging import CursorScope, PagingLimits, Window, window_from_arguments
from schema.contract.wire import MessageFileObject, MessageObject
from schema.graph.assistant_node import Assistant
from schema.graph.connections import After, Before, Connection, ConnectionPlan, First, Last, connect, list_field
from schema.graph.documented_field import deprecated, documented_field
from schema.graph.enums import MessageRole, MessageStatus, recognize, recognize_optional
from schema.graph.file_citing import cited_file
from schema.graph.file_node import File
from schema.graph.from_wire import attachments_from_wire, content_from_wire, text_from_content
from schema.graph.leaf_types import Attachment, MessageContent
from schema.graph.node import NOT_LOADED, Node
from schema.graph.references import key_reference, loaded_again, refer_to, reference
from schema.graph.scalars import DateTime, Metadata, global_file_ids, to_date_time, to_metadata

_MAX_ADDED_AND_WRITTEN = 40
"""The messages that a run may add, and some that it may have written already."""


def plan_messages(thread_id: str, run_id: str | None, scope: CursorScope, window: Window) -> ConnectionPlan[Message]:
    """Plan a page of a thread's messages, or only of those that the run `run_id` wrote."""
    return ConnectionPlan(
        MESSAGES,
        MessagePageKey(thread_id, run_id, window),
        scope,
        lambda wire: Message(key=MessageKey(thread_id, wire.id), wire=wire),
    )


def plan_newest_messages(thread_id: str) -> ConnectionPlan[Message]:
    """Plan the page in which a run's additional messages are found: a thread's newest messages."""
    scope = CursorScope("messages", ThreadKey(thread_id))
    return plan_messages(thread_id, None, scope, Window(_MAX_ADDED_AND_WRITTEN, "desc"))


@strawberry.type(description="One message of a thread.")
class Message(Node):
    """Source: schema `MessageObject`."""

    KIND: ClassVar = MESSAGES
    TYPE_NAME: ClassVar = KIND.type_name

    key: strawberry.Private[MessageKey]
    wire: strawberry.Private[MessageObject] = NOT_LOADED
    lacks_attachments: strawberry.Private[bool] = False
    """Whether `wire` does not have the attachments, so that they must be loaded."""

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's id of the message, such as `msg_abc123`."""
        return self.key.message_id

    @documented_field
    def created_at(self) -> DateTime | None:
        """The time when the message was created. Null if the upstream does not send it."""
        return to_date_time(self.wire.created_at or None)

    @key_reference
    def thread(self) -> Thread | None:
        """The thread of the message. Null if it could not be read."""
        return refer_to(Thread, ThreadKey(self.key.thread_id))

    @documented_field
    def role(self) -> MessageRole:
        """The author of the message: the user or an assistant."""
        return recognize(MessageRole, self.wire.role)

    @documented_field
    def status(self) -> MessageStatus | None:
        """The status of the message. Null if the upstream does not send it; it never does for messages read by REST."""
        return recognize_optional(MessageStatus, self.wire.status)

    @documented_field
    def incomplete_reason(self) -> str | None:
        """The reason why the message was cut off, such as `max_tokens` or `content_filter`."""
        return self.wire.incomplete_details.reason if self.wire.incomplete_details else None

    @documented_field
    def completed_at(self) -> DateTime | None:
        """The time when the message was completed, if the upstream sends it."""
        return to_date_time(self.wire.completed_at)

    @documented_field
    def incomplete_at(self) -> DateTime | None:
        """The time when the message was cut off, if the upstream sends it."""
        return to_date_time(self.wire.incomplete_at)

    @documented_field
    def text(self) -> str:
        """The text parts, joined by newlines. Empty if there are none."""
        return text_from_content(self.wire.content)

    @documented_field
    def content(self) -> list[MessageContent]:
        """All parts of the message, in order."""
        return content_from_wire(self.wire.content)

    @loaded_again("lacks_attachments")
    def attachments(self) -> list[Attachment]:
        """The attached files (version 2 of the API)."""
        return attachments_from_wire(self.wire.attachments)

    @reference
    def assistant(self) -> Assistant | None:
        """The assistant that wrote the message. Null for a user's message, or if the assistant no longer exists."""
        assistant_id = self.wire.assistant_id
        return refer_to(Assistant, AssistantKey(assistant_id)) if assistant_id else None

    @reference
    def run(self) -> Run | None:
        """The run that wrote the message. Null for a user's message, or if the run no longer exists."""
        run_id = self.wire.run_id
        return refer_to(Run, RunKey(self.key.thread_id, run_id)) if run_id else None

    @documented_field
    def metadata(self) -> Metadata:
        """Key-value pairs that the client stores with the message."""
        return to_metadata(self.wire.metadata)

    @list_field
    def files(
        self, limits: PagingLimits, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[MessageFile] | None:
        """The attached files, oldest first (version 1 of the API; version 2 has `attachments`)."""
        key, scope = self.key, CursorScope("files", self.key)
        window = window_from_arguments(scope, limits, first=first, after=after, last=last, before=before)
        return connect(
            ConnectionPlan(
                MESSAGE_FILES,
                MessageFilePageKey(key.thread_id, key.message_id, window),
                scope,
                lambda wire: MessageFile(key=MessageFileKey(key.thread_id, key.message_id, wire.id), wire=wire),
            )
        )

    @deprecated("Version 1 of the API; use attachments.")
    def file_ids(self) -> list[strawberry.ID]:
        """The global IDs of the attached files. Empty in version 2 of the API."""
        return global_file_ids(self.wire.file_ids)


@strawberry.type(description="A file attached to a message (version 1 of the API).")
class MessageFile(Node):
    """Source: schema `MessageFileObject` of version 1."""

    KIND: ClassVar = MESSAGE_FILES
    TYPE_NAME: ClassVar = KIND.type_name
    KEY_FIELDS: ClassVar = Node.KEY_FIELDS | {"file"}

    key: strawberry.Private[MessageFileKey]
    wire: strawberry.Private[MessageFileObject] = NOT_LOADED

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's id of the file, such as `file-abc123`."""
        return self.key.file_id

    @documented_field
    def created_at(self) -> DateTime | None:
        """The time when the file was attached. Null if the upstream does not send it."""
        return to_date_time(self.wire.created_at or None)

    @key_reference
    def message(self) -> Message | None:
        """The message that the file is attached to. Null if it could not be read."""
        return refer_to(Message, MessageKey(self.key.thread_id, self.key.message_id))

    @cited_file
    def file(self) -> File | None:
        """The file itself. Null if it no longer exists."""
        return refer_to(File, FileKey(self.key.file_id))


from schema.graph.run_node import Run  # noqa: E402 - the types form a circle, see node.py
from schema.graph.thread_node import Thread  # noqa: E402 - the types form a circle, see node.py
