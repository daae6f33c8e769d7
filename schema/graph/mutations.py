"""The root type `Mutation`: one mutation for each write of the upstream.

Each mutation reads its ids, checks its input, sends the write once and never again, clears the loaders of the
operation, and returns the new state. Refusals that the client can act on are returned as `userErrors`.
"""

from __future__ import annotations

from collections.abc import Sequence

import strawberry

from schema.contract import writes
from schema.contract.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    MessageBody,
    MetadataUpdateBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
    ToolApprovalsBody,
    ToolOutputsBody,
)
from schema.contract.errors import ErrorCode, GatewayError, format_value
from schema.contract.keys import AssistantKey, FileKey, MessageKey, RunKey, ThreadKey, to_global_id
from schema.contract.kinds import RUNS
from schema.contract.ports import ThreadsApi
from schema.contract.wire import RunObject
from schema.engine.context import Info
from schema.graph.assistant_node import Assistant
from schema.graph.documented_field import documented_mutation
from schema.graph.from_wire import required_action_from_wire
from schema.graph.id_arguments import read_id
from schema.graph.input_parts import NewThreadInput
from schema.graph.inputs import (
    CancelRunInput,
    CreateAssistantInput,
    CreateMessageInput,
    CreateRunInput,
    CreateThreadAndRunInput,
    CreateThreadInput,
    DeleteAssistantInput,
    DeleteFileInput,
    DeleteMessageInput,
    DeleteThreadInput,
    SubmitToolApprovalsInput,
    SubmitToolOutputsInput,
    UpdateAssistantInput,
    UpdateMessageInput,
    UpdateRunInput,
    UpdateThreadInput,
)
from schema.graph.leaf_types import SubmitToolApprovalAction, SubmitToolOutputsAction
from schema.graph.message_node import Message
from schema.graph.payloads import (
    AddedMessage,
    CancelRunPayload,
    CreateAssistantPayload,
    CreateMessagePayload,
    CreateRunPayload,
    CreateThreadAndRunPayload,
    CreateThreadPayload,
    DeleteAssistantPayload,
    DeleteFilePayload,
    DeleteMessagePayload,
    DeleteThreadPayload,
    SubmitToolApprovalsPayload,
    SubmitToolOutputsPayload,
    UpdateAssistantPayload,
    UpdateMessagePayload,
    UpdateRunPayload,
    UpdateThreadPayload,
)
from schema.graph.record_writes import read_record_write
from schema.graph.references import load_before_write, reading_mutation
from schema.graph.run_node import Run
from schema.graph.sent_writes import Fields, build_body, delete_once, write_once
from schema.graph.thread_node import Thread
from schema.graph.user_errors import MutationRefusedError, UserError, UserErrorCode


@strawberry.type(description="Write operations. Each mutation is sent to the upstream at most once.")
class Mutation:
    """One field for each write of the API."""

    @documented_mutation
    async def create_thread(self, info: Info, input: CreateThreadInput) -> CreateThreadPayload:
        """Create a thread, optionally with its first messages."""

        async def write(api: ThreadsApi) -> Fields:
            record = read_record_write(info, input)
            wire = await api.write(writes.CREATE_THREAD, None, build_body(ThreadBody, input))
            key = ThreadKey(wire.id)
            return {"thread": Thread(key=key, wire=wire), "user_errors": await record.send_behind(key)}

        return await write_once(info, CreateThreadPayload, input, write)

    @documented_mutation
    async def update_thread(self, info: Info, input: UpdateThreadInput) -> UpdateThreadPayload:
        """Change the fields of a thread that are set; all other fields stay the same.

        A title and `isArchived` alone cost no upstream call.
        """

        async def write(api: ThreadsApi) -> Fields:
            key = read_id(ThreadKey, input.thread_id, "threadId")
            body = build_body(ThreadUpdateBody, input, "thread_id", keep_nulls=True)
            record = read_record_write(info, input, keep_nulls=True)
            if record and not body.model_fields_set:
                await record.send(key)
                return {"updated": Thread(key=key)}
            wire = await api.write(writes.UPDATE_THREAD, key, body)
            return {"updated": Thread(key=key, wire=wire), "user_errors": await record.send_behind(key)}

        return await write_once(info, UpdateThreadPayload, input, write, "threadId")

    @documented_mutation
    async def delete_thread(self, info: Info, input: DeleteThreadInput) -> DeleteThreadPayload:
        """Delete a thread with its messages and runs."""
        return await delete_once(info, DeleteThreadPayload, input, writes.DELETE_THREAD, ThreadKey)

    @documented_mutation
    async def create_message(self, info: Info, input: CreateMessageInput) -> CreateMessagePayload:
        """Add a message to a thread. This is refused while a run is active on the thread."""

        async def write(api: ThreadsApi) -> Fields:
            thread = read_id(ThreadKey, input.thread_id, "threadId")
            wire = await api.write(writes.CREATE_MESSAGE, thread, build_body(MessageBody, input, "thread_id"))
            key = MessageKey(thread.thread_id, wire.id)
            return {"message": Message(key=key, wire=wire), "thread_id": thread.thread_id}

        return await write_once(info, CreateMessagePayload, input, write, "threadId")

    @documented_mutation
    async def update_message(self, info: Info, input: UpdateMessageInput) -> UpdateMessagePayload:
        """Change the metadata of a message."""

        async def write(api: ThreadsApi) -> Fields:
            key = read_id(MessageKey, input.message_id, "messageId")
            body = build_body(MetadataUpdateBody, input, "message_id", keep_nulls=True)
            wire = await api.write(writes.UPDATE_MESSAGE, key, body)
            # Only in this response version 2 leaves out the attachments: seen in recorded traffic of 2024 and 2025.
            lacks = wire.attachments is None and not api.capabilities.message_files
            return {"message": Message(key=key, wire=wire, lacks_attachments=lacks)}

        return await write_once(info, UpdateMessagePayload, input, write, "messageId")

    @documented_mutation
    async def delete_message(self, info: Info, input: DeleteMessageInput) -> DeleteMessagePayload:
        """Delete a message (version 2 of the API)."""

        async def write(api: ThreadsApi) -> Fields:
            key = read_id(MessageKey, input.message_id, "messageId")
            await api.write(writes.DELETE_MESSAGE, key, None)
            return {"deleted_id": to_global_id(key), "thread_id": key.thread_id}

        return await write_once(info, DeleteMessagePayload, input, write, "messageId")

    @documented_mutation
    async def create_run(self, info: Info, input: CreateRunInput) -> CreateRunPayload:
        """Start a run on a thread. This is refused while another run is active on the thread."""

        async def write(api: ThreadsApi) -> Fields:
            thread = read_id(ThreadKey, input.thread_id, "threadId")
            body = build_body(RunBody, input, "thread_id", assistant_id=_assistant_id(input.assistant_id))
            wire = await api.write(writes.CREATE_RUN, thread, body)
            run = Run(key=RunKey(thread.thread_id, wire.id), wire=wire)
            return {"run": run, "thread_id": thread.thread_id, "added": _added_messages(body)}

        return await write_once(info, CreateRunPayload, input, write, "threadId")

    @documented_mutation
    async def create_thread_and_run(self, info: Info, input: CreateThreadAndRunInput) -> CreateThreadAndRunPayload:
        """Create a thread and start a run on it, both or neither."""

        async def write(api: ThreadsApi) -> Fields:
            body = build_body(ThreadAndRunBody, input, assistant_id=_assistant_id(input.assistant_id))
            record = read_record_write(info, input.thread or NewThreadInput(), "thread")
            wire = await api.write(writes.CREATE_THREAD_AND_RUN, None, body)
            thread_id = _thread_id_from_run(wire)
            return {
                "run": Run(key=RunKey(thread_id, wire.id), wire=wire),
                "thread_id": thread_id,
                "user_errors": await record.send_behind(ThreadKey(thread_id)),
            }

        return await write_once(info, CreateThreadAndRunPayload, input, write)

    @documented_mutation
    async def update_run(self, info: Info, input: UpdateRunInput) -> UpdateRunPayload:
        """Change the metadata of a run."""

        async def write(api: ThreadsApi) -> Fields:
            key = read_id(RunKey, input.run_id, "runId")
            body = build_body(MetadataUpdateBody, input, "run_id", keep_nulls=True)
            wire = await api.write(writes.UPDATE_RUN, key, body)
            return {"run": Run(key=key, wire=wire)}

        return await write_once(info, UpdateRunPayload, input, write, "runId")

    @documented_mutation
    async def cancel_run(self, info: Info, input: CancelRunInput) -> CancelRunPayload:
        """Stop a run. This is refused if the run has ended."""

        async def write(api: ThreadsApi) -> Fields:
            key = read_id(RunKey, input.run_id, "runId")
            return {"run": Run(key=key, wire=await api.write(writes.CANCEL_RUN, key, None))}

        return await write_once(info, CancelRunPayload, input, write, "runId")

    @reading_mutation(RUNS)
    async def submit_tool_outputs(self, info: Info, input: SubmitToolOutputsInput) -> SubmitToolOutputsPayload:
        """Submit the outputs of all function calls that a run waits for. The run then continues."""

        async def write(api: ThreadsApi) -> Fields:
            key = read_id(RunKey, input.run_id, "runId")
            body = build_body(ToolOutputsBody, input, "run_id")
            run: RunObject = await load_before_write(info, key)
            answered = [output.tool_call_id for output in body.tool_outputs]
            _check_answers(run, SubmitToolOutputsAction, "output", answered, "toolOutputs")
            return {"run": Run(key=key, wire=await api.write(writes.SUBMIT_TOOL_OUTPUTS, key, body))}

        return await write_once(info, SubmitToolOutputsPayload, input, write, "runId")

    @reading_mutation(RUNS)
    async def submit_tool_approvals(self, info: Info, input: SubmitToolApprovalsInput) -> SubmitToolApprovalsPayload:
        """Approve or deny all calls of MCP servers that a run waits for. The run then continues (Azure AI Foundry)."""

        async def write(api: ThreadsApi) -> Fields:
            key = read_id(RunKey, input.run_id, "runId")
            body = build_body(ToolApprovalsBody, input, "run_id")
            run: RunObject = await load_before_write(info, key)
            answered = [approval.tool_call_id for approval in body.tool_approvals]
            _check_answers(run, SubmitToolApprovalAction, "approval", answered, "approvals")
            return {"run": Run(key=key, wire=await api.write(writes.SUBMIT_TOOL_APPROVALS, key, body))}

        return await write_once(info, SubmitToolApprovalsPayload, input, write, "runId")

    @documented_mutation
    async def create_assistant(self, info: Info, input: CreateAssistantInput) -> CreateAssistantPayload:
        """Create an assistant."""

        async def write(api: ThreadsApi) -> Fields:
            wire = await api.write(writes.CREATE_ASSISTANT, None, build_body(AssistantBody, input))
            return {"assistant": Assistant(key=AssistantKey(wire.id), wire=wire)}

        return await write_once(info, CreateAssistantPayload, input, write)

    @documented_mutation
    async def update_assistant(self, info: Info, input: UpdateAssistantInput) -> UpdateAssistantPayload:
        """Change the fields of an assistant that are set; all other fields stay the same.

        Null clears texts and numbers; `{}` and `[]` clear objects and lists.
        """

        async def write(api: ThreadsApi) -> Fields:
            key = read_id(AssistantKey, input.assistant_id, "assistantId")
            body = build_body(AssistantUpdateBody, input, "assistant_id", keep_nulls=True)
            wire = await api.write(writes.UPDATE_ASSISTANT, key, body)
            return {"assistant": Assistant(key=key, wire=wire)}

        return await write_once(info, UpdateAssistantPayload, input, write, "assistantId")

    @documented_mutation
    async def delete_assistant(self, info: Info, input: DeleteAssistantInput) -> DeleteAssistantPayload:
        """Delete an assistant. Its runs and messages stay."""
        return await delete_once(info, DeleteAssistantPayload, input, writes.DELETE_ASSISTANT, AssistantKey)

    @documented_mutation
    async def delete_file(self, info: Info, input: DeleteFileInput) -> DeleteFilePayload:
        """Delete a file with its content. Messages and steps that name it stay."""
        return await delete_once(info, DeleteFilePayload, input, writes.DELETE_FILE, FileKey)


def _assistant_id(text: str) -> str:
    return read_id(AssistantKey, text, "assistantId").assistant_id


def _added_messages(body: RunBody) -> list[AddedMessage]:
    return [
        AddedMessage(message.role, "\n".join(part.text for part in message.content if part.text is not None).strip())
        for message in body.additional_messages or ()
    ]


def _thread_id_from_run(run: RunObject) -> str:
    if run.thread_id is None:
        raise GatewayError(
            ErrorCode.UPSTREAM_INVALID_RESPONSE,
            f"The upstream started run {run.id} and did not say on which thread; the write has taken place.",
            retryable=False,
        )
    return run.thread_id


def _check_answers(
    run: RunObject,
    expected_action: type[SubmitToolOutputsAction | SubmitToolApprovalAction],
    answer: str,
    answered_ids: Sequence[str],
    argument: str,
) -> None:
    """Refuse an answer that the run does not wait for, a second answer to a call, and a missing answer."""
    action = required_action_from_wire(run.required_action)
    if run.status != "requires_action" or not isinstance(action, expected_action):
        got = "that waits for something else" if run.status == "requires_action" else f"with status {run.status}"
        message = f"expected a run that waits for tool {answer}s, got one {got}"
        raise MutationRefusedError([UserError(code=UserErrorCode.WRONG_STATE, message=message, field=["runId"])])
    # A list, since on some servers several calls have the same id. Then each of them may have an answer.
    open_calls = [(str(call.call_id), call.name) for call in action.tool_calls]
    expected = ", ".join(call_id for call_id, _ in open_calls)
    errors = []
    for index, call_id in enumerate(answered_ids):
        answered = next((call for call in open_calls if call[0] == call_id), None)
        if answered is not None:
            open_calls.remove(answered)
        else:
            message = f"expected one {answer} for each of {expected}, got {format_value(call_id)} (again, or not open)"
            field = [argument, str(index), "callId"]
            errors.append(UserError(code=UserErrorCode.INVALID_VALUE, message=message, field=field))
    errors += [
        UserError(
            code=UserErrorCode.MISSING_TOOL_OUTPUT,
            message=f"expected an {answer} for call {call_id} of {name}, got none",
            field=[argument],
        )
        for call_id, name in open_calls
        if call_id not in answered_ids
    ]
    if errors:
        raise MutationRefusedError(errors)
