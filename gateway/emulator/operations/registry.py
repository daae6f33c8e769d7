"""Every operation of the API under its name in the specification."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.emulator.objects import ApiVersion, JsonObject
from gateway.emulator.operations import assistants, messages, runs, steps, threads
from gateway.emulator.operations.call import Call
from gateway.emulator.streams.stream_events import StreamedRun

Perform: TypeAlias = Callable[[Call], JsonObject | StreamedRun]
_BOTH: frozenset[ApiVersion] = frozenset({"v1", "v2"})
_OLDER: frozenset[ApiVersion] = frozenset({"v1"})
_NEWER: frozenset[ApiVersion] = frozenset({"v2"})


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method on one path does, and the API versions that know it."""

    name: str
    method: str
    path: str
    perform: Perform
    versions: frozenset[ApiVersion] = _BOTH


def operations() -> tuple[Operation, ...]:
    """Return all operations; fixed paths stand before those with parameters that would match them too."""
    return (*_thread_operations(), *_message_operations(), *_run_operations(), *_assistant_operations())


def _thread_operations() -> tuple[Operation, ...]:
    one = "/threads/{thread_id}"
    return (
        # Not in the specification, but the real server knows it, if only to refuse it.
        Operation("listThreads", "GET", "/threads", threads.list_threads),
        Operation("createThread", "POST", "/threads", threads.create_thread),
        Operation("createThreadAndRun", "POST", "/threads/runs", runs.create_thread_and_run),
        Operation("getThread", "GET", one, threads.get_thread),
        Operation("modifyThread", "POST", one, threads.modify_thread),
        Operation("deleteThread", "DELETE", one, threads.delete_thread),
    )


def _message_operations() -> tuple[Operation, ...]:
    every = "/threads/{thread_id}/messages"
    one = f"{every}/{{message_id}}"
    return (
        Operation("listMessages", "GET", every, messages.list_messages),
        Operation("createMessage", "POST", every, messages.create_message),
        Operation("getMessage", "GET", one, messages.get_message),
        Operation("modifyMessage", "POST", one, messages.modify_message),
        Operation("deleteMessage", "DELETE", one, messages.delete_message, _NEWER),
        Operation("listMessageFiles", "GET", f"{one}/files", messages.list_message_files, _OLDER),
        Operation("getMessageFile", "GET", f"{one}/files/{{file_id}}", messages.get_message_file, _OLDER),
    )


def _run_operations() -> tuple[Operation, ...]:
    every = "/threads/{thread_id}/runs"
    one = f"{every}/{{run_id}}"
    return (
        Operation("listRuns", "GET", every, runs.list_runs),
        Operation("createRun", "POST", every, runs.create_run),
        Operation("getRun", "GET", one, runs.get_run),
        Operation("modifyRun", "POST", one, runs.modify_run),
        Operation("cancelRun", "POST", f"{one}/cancel", runs.cancel_run),
        # The specification's own spelling.
        Operation("submitToolOuputsToRun", "POST", f"{one}/submit_tool_outputs", runs.submit_tool_outputs),
        Operation("listRunSteps", "GET", f"{one}/steps", steps.list_run_steps),
        Operation("getRunStep", "GET", f"{one}/steps/{{step_id}}", steps.get_run_step),
    )


def _assistant_operations() -> tuple[Operation, ...]:
    every = "/assistants"
    one = f"{every}/{{assistant_id}}"
    files = f"{one}/files"
    return (
        Operation("listAssistants", "GET", every, assistants.list_assistants),
        Operation("createAssistant", "POST", every, assistants.create_assistant),
        Operation("getAssistant", "GET", one, assistants.get_assistant),
        Operation("modifyAssistant", "POST", one, assistants.modify_assistant),
        Operation("deleteAssistant", "DELETE", one, assistants.delete_assistant),
        Operation("listAssistantFiles", "GET", files, assistants.list_assistant_files, _OLDER),
        Operation("createAssistantFile", "POST", files, assistants.create_assistant_file, _OLDER),
        Operation("getAssistantFile", "GET", f"{files}/{{file_id}}", assistants.get_assistant_file, _OLDER),
        Operation("deleteAssistantFile", "DELETE", f"{files}/{{file_id}}", assistants.delete_assistant_file, _OLDER),
    )
