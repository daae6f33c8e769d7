"""The writes of the fake port: the changes to its tables, and the refusals of an upstream.

A body goes through the client's own rendering, so a part that the API version does not have is refused in the same way.
The other rules are those of the emulator, written here a second time.
"""

import json
from typing import Any, TypeVar

import msgspec

from gateway.upstream.body_rendering import render_body
from gateway.upstream.dialects import DIALECTS
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
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import (
    AssistantKey,
    FileKey,
    MessageFileKey,
    MessageKey,
    NodeKey,
    RunKey,
    RunStepKey,
    ThreadKey,
)
from schema.contract.ports import Capabilities
from schema.contract.statuses import is_terminal
from schema.contract.wire import (
    NULL,
    AssistantObject,
    FileObject,
    MessageFileObject,
    MessageObject,
    RunObject,
    RunStepObject,
    ThreadObject,
)
from schema.contract.writes import BodyT, ResultT, Write, WriteKeyT

FIRST_SECOND = 1_900_000_000
"""Later than the objects of any test, so that a created object is the last in its list."""

KeyT = TypeVar("KeyT", bound=NodeKey)
ObjectT = TypeVar("ObjectT")


class FakeWrites:
    """The writing half of the fake. The reading half holds the tables and checks each call."""

    threads: dict[ThreadKey, ThreadObject]
    messages: dict[MessageKey, MessageObject]
    runs: dict[RunKey, RunObject]
    run_steps: dict[RunStepKey, RunStepObject]
    assistants: dict[AssistantKey, AssistantObject]
    message_files: dict[MessageFileKey, MessageFileObject]
    files: dict[FileKey, FileObject]
    bodies: list[Any]
    _made = 0

    @property
    def capabilities(self) -> Capabilities:
        raise NotImplementedError

    async def begin_write(self, name: str, key: NodeKey | None) -> None:
        """Record a write, and raise the error that the test set for it."""

    async def write(self, operation: Write[WriteKeyT, BodyT, ResultT], key: WriteKeyT, body: BodyT) -> ResultT:
        await self.begin_write(operation.name, key)
        result: ResultT = getattr(self, f"_{operation.name}")(*(part for part in (key, body) if part is not None))
        return result

    def _create_thread(self, body: ThreadBody) -> ThreadObject:
        return self._new_thread(self._sent(body))

    def _update_thread(self, key: ThreadKey, body: ThreadUpdateBody) -> ThreadObject:
        return self._update(self.threads, key, body)

    def _delete_thread(self, key: ThreadKey) -> None:
        self._delete(self.threads, key)
        tables: tuple[dict[Any, Any], ...] = (self.messages, self.runs, self.run_steps, self.message_files)
        for table in tables:
            for owned in [one for one in table if one.thread_id == key.thread_id]:
                del table[owned]

    def _create_message(self, thread: ThreadKey, body: MessageBody) -> MessageObject:
        wire_body = self._sent(body)
        _find(self.threads, thread)
        if (run_id := self._active_run(thread)) is not None:
            raise _refused(
                ErrorCode.ACTIVE_RUN, f"Can't add messages to {thread.thread_id} while a run {run_id} is active."
            )
        return self._new_message(thread, wire_body)

    def _update_message(self, key: MessageKey, body: MetadataUpdateBody) -> MessageObject:
        return self._update(self.messages, key, body)

    def _delete_message(self, key: MessageKey) -> None:
        if (unsupported := DIALECTS[self._dialect].unsupported_error("deleteMessage")) is not None:
            raise unsupported
        self._delete(self.messages, key)

    def _create_run(self, thread: ThreadKey, body: RunBody) -> RunObject:
        wire_body = self._sent(body)
        _find(self.threads, thread)
        assistant = _find(self.assistants, AssistantKey(body.assistant_id))
        if (run_id := self._active_run(thread)) is not None:
            raise _refused(ErrorCode.ACTIVE_RUN, f"Thread {thread.thread_id} already has an active run {run_id}.")
        self._check_question(thread, wire_body, assistant)
        for message in wire_body.get("additional_messages", ()):
            self._new_message(thread, message)
        return self._new_run(thread, wire_body, assistant)

    def _create_thread_and_run(self, body: ThreadAndRunBody) -> RunObject:
        wire_body = self._sent(body)
        assistant = _find(self.assistants, AssistantKey(body.assistant_id))
        thread = ThreadKey(self._new_thread(wire_body.get("thread", {})).id)
        try:
            self._check_question(thread, wire_body, assistant)
        except GatewayError:
            del self.threads[thread]
            raise
        return self._new_run(thread, wire_body, assistant)

    def _update_run(self, key: RunKey, body: MetadataUpdateBody) -> RunObject:
        return self._update(self.runs, key, body)

    def _cancel_run(self, key: RunKey) -> RunObject:
        run = _find(self.runs, key)
        if run.status not in {"queued", "in_progress", "requires_action"}:
            raise _refused(ErrorCode.WRONG_STATE, f"Cannot cancel run with status '{run.status}'.")
        return self._store(self.runs, key, msgspec.structs.replace(run, status="cancelling", required_action=NULL))

    def _submit_tool_approvals(self, key: RunKey, body: ToolApprovalsBody) -> RunObject:
        return self._submit_tool_outputs(key, body)

    def _submit_tool_outputs(self, key: RunKey, body: ToolOutputsBody | ToolApprovalsBody) -> RunObject:
        wire_body = self._sent(body)
        run = _find(self.runs, key)
        if run.status != "requires_action":
            raise _refused(ErrorCode.WRONG_STATE, f'Runs in status "{run.status}" do not accept tool outputs.')
        action = json.loads(bytes(run.required_action))
        (awaited,) = (part for part in action.values() if isinstance(part, dict))
        expected = [call["id"] for call in awaited["tool_calls"]]
        (answers,) = wire_body.values()
        got = [answer["tool_call_id"] for answer in answers]
        if sorted(expected) != sorted(got):
            words = f"Expected tool outputs for call_ids {expected!r}, got {got!r}"
            raise _refused(ErrorCode.BAD_USER_INPUT, words, argument="tool_outputs")
        return self._store(self.runs, key, msgspec.structs.replace(run, status="queued", required_action=NULL))

    def _create_assistant(self, body: AssistantBody) -> AssistantObject:
        created = self._make(AssistantObject, "asst", "assistant", {"metadata": {}, "tools": []} | self._sent(body))
        return self._store(self.assistants, AssistantKey(created.id), created)

    def _update_assistant(self, key: AssistantKey, body: AssistantUpdateBody) -> AssistantObject:
        return self._update(self.assistants, key, body)

    def _delete_assistant(self, key: AssistantKey) -> None:
        self._delete(self.assistants, key)

    def _delete_file(self, key: FileKey) -> None:
        self._delete(self.files, key)

    @property
    def _dialect(self) -> Any:
        return self.capabilities.dialect

    def _sent(self, body: Body, *, send_nulls: bool = False) -> Any:
        """Record and return the body that a client would send."""
        wire_body = json.loads(render_body(body, DIALECTS[self._dialect], send_nulls=send_nulls))
        self.bodies.append(wire_body)
        return wire_body

    def _update(self, table: dict[KeyT, ObjectT], key: KeyT, body: Body) -> ObjectT:
        wire_body = self._sent(body, send_nulls=True)
        found = _find(table, key)
        # A field that cannot be null keeps its value.
        changes = {part: value for part, value in wire_body.items() if value is not None or part not in _NEVER_NULL}
        fields = {part: getattr(found, part) for part in found.__struct_fields__}  # type: ignore[attr-defined]
        return self._store(table, key, msgspec.json.decode(msgspec.json.encode(fields | changes), type=type(found)))

    def _delete(self, table: dict[KeyT, ObjectT], key: KeyT) -> None:
        _find(table, key)
        del table[key]

    def _store(self, table: dict[KeyT, ObjectT], key: KeyT, created: ObjectT) -> ObjectT:
        table[key] = created
        return created

    def _make(self, wire_type: type[ObjectT], prefix: str, kind: str, fields: dict[str, Any]) -> ObjectT:
        self._made += 1
        own = {"id": f"{prefix}_made{self._made}", "object": kind, "created_at": FIRST_SECOND + self._made}
        return msgspec.json.decode(json.dumps(fields | own), type=wire_type)

    def _new_thread(self, wire_body: dict[str, Any]) -> ThreadObject:
        created = self._make(ThreadObject, "thread", "thread", {"metadata": {}} | wire_body)
        self.threads[ThreadKey(created.id)] = created
        for message in wire_body.get("messages", ()):
            self._new_message(ThreadKey(created.id), message)
        return created

    def _new_message(self, thread: ThreadKey, wire_body: dict[str, Any]) -> MessageObject:
        content = wire_body["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        shown = [
            {"type": "text", "text": {"value": part["text"], "annotations": []}} if part["type"] == "text" else part
            for part in parts
        ]
        created = self._make(MessageObject, "msg", "thread.message", {"metadata": {}} | wire_body | {"content": shown})
        for file_id in created.file_ids or ():
            file = MessageFileObject(file_id, created.created_at, "thread.message.file", created.id)
            self.message_files[MessageFileKey(thread.thread_id, created.id, file_id)] = file
        return self._store(self.messages, MessageKey(thread.thread_id, created.id), created)

    def _new_run(self, thread: ThreadKey, wire_body: dict[str, Any], assistant: AssistantObject) -> RunObject:
        copied = {name: getattr(assistant, name) for name in ("model", "instructions", "tools", "temperature", "top_p")}
        inherited = json.loads(msgspec.json.encode({"metadata": {}} | copied))
        created = self._make(
            RunObject, "run", "thread.run", inherited | wire_body | {"thread_id": thread.thread_id, "status": "queued"}
        )
        return self._store(self.runs, RunKey(thread.thread_id, created.id), created)

    def _active_run(self, thread: ThreadKey) -> str | None:
        owned = (key.run_id for key, run in self.runs.items() if key[0] == thread[0] and not is_terminal(run.status))
        return next(owned, None)

    def _check_question(self, thread: ThreadKey, wire_body: dict[str, Any], assistant: AssistantObject) -> None:
        has_question = any(key[0] == thread[0] and message.role == "user" for key, message in self.messages.items())
        if not (
            has_question
            or wire_body.get("additional_messages")
            or wire_body.get("instructions")
            or assistant.instructions
        ):
            words = "Run creation requires a Thread with a user message or an assistant with instructions."
            raise _refused(ErrorCode.BAD_USER_INPUT, words)


_NEVER_NULL = {"metadata", "tools", "model", "tool_resources", "response_format", "file_ids"}


def not_found(key: NodeKey) -> GatewayError:
    """Build the error of an upstream for a missing object."""
    kind = type(key).__name__.removesuffix("Key").lower()
    return GatewayError(ErrorCode.NOT_FOUND, f"No {kind} found with id '{key[-1]}'.")


def _find(table: dict[KeyT, ObjectT], key: KeyT) -> ObjectT:
    if key not in table:
        raise not_found(key)
    return table[key]


def _refused(code: ErrorCode, message: str, *, argument: str | None = None) -> GatewayError:
    return GatewayError(code, message, argument=argument)
