"""The table of all operations of the API, under their names in the specification."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.emulator.objects import ApiVersion, JsonObject
from gateway.emulator.operations import assistants, messages, runs, steps, threads
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.streams.stream_events import StreamReply

Perform: TypeAlias = Callable[[ApiCall], JsonObject | StreamReply]
_BOTH: frozenset[ApiVersion] = frozenset({"v1", "v2"})
_OLDER: frozenset[ApiVersion] = frozenset({"v1"})
_NEWER: frozenset[ApiVersion] = frozenset({"v2"})


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """One operation: its method, its path, its function, and the API versions that have it."""

    name: str
    method: str
    path: str
    perform: Perform
    versions: frozenset[ApiVersion] = _BOTH


def operations() -> tuple[ApiOperation, ...]:
    """Return all operations. Fixed paths come before paths with parameters that would match them too."""
    return (*_thread_operations(), *_message_operations(), *_run_operations(), *_assistant_operations())


def _thread_operations() -> tuple[ApiOperation, ...]:
    one = "/threads/{thread_id}"
    return (
        # Not in the specification, but the real server has it, only to refuse it.
        ApiOperation("listThreads", "GET", "/threads", threads.list_threads),
        ApiOperation("createThread", "POST", "/threads", threads.create_thread),
        ApiOperation("createThreadAndRun", "POST", "/threads/runs", runs.create_thread_and_run),
        ApiOperation("getThread", "GET", one, threads.get_thread),
        ApiOperation("modifyThread", "POST", one, threads.modify_thread),
        ApiOperation("deleteThread", "DELETE", one, threads.delete_thread),
    )


def _message_operations() -> tuple[ApiOperation, ...]:
    every = "/threads/{thread_id}/messages"
    one = f"{every}/{{message_id}}"
    return (
        ApiOperation("listMessages", "GET", every, messages.list_messages),
        ApiOperation("createMessage", "POST", every, messages.create_message),
        ApiOperation("getMessage", "GET", one, messages.get_message),
        ApiOperation("modifyMessage", "POST", one, messages.modify_message),
        ApiOperation("deleteMessage", "DELETE", one, messages.delete_message, _NEWER),
        ApiOperation("listMessageFiles", "GET", f"{one}/files", messages.list_message_files, _OLDER),
        ApiOperation("getMessageFile", "GET", f"{one}/files/{{file_id}}", messages.get_message_file, _OLDER),
    )


def _run_operations() -> tuple[ApiOperation, ...]:
    every = "/threads/{thread_id}/runs"
    one = f"{every}/{{run_id}}"
    return (
        ApiOperation("listRuns", "GET", every, runs.list_runs),
        ApiOperation("createRun", "POST", every, runs.create_run),
        ApiOperation("getRun", "GET", one, runs.get_run),
        ApiOperation("modifyRun", "POST", one, runs.modify_run),
        ApiOperation("cancelRun", "POST", f"{one}/cancel", runs.cancel_run),
        # The specification's own spelling.
        ApiOperation("submitToolOuputsToRun", "POST", f"{one}/submit_tool_outputs", runs.submit_tool_outputs),
        ApiOperation("listRunSteps", "GET", f"{one}/steps", steps.list_run_steps),
        ApiOperation("getRunStep", "GET", f"{one}/steps/{{step_id}}", steps.get_run_step),
    )


def _assistant_operations() -> tuple[ApiOperation, ...]:
    every = "/assistants"
    one = f"{every}/{{assistant_id}}"
    files = f"{one}/files"
    return (
        ApiOperation("listAssistants", "GET", every, assistants.list_assistants),
        ApiOperation("createAssistant", "POST", every, assistants.create_assistant),
        ApiOperation("getAssistant", "GET", one, assistants.get_assistant),
        ApiOperation("modifyAssistant", "POST", one, assistants.modify_assistant),
        ApiOperation("deleteAssistant", "DELETE", one, assistants.delete_assistant),
        ApiOperation("listAssistantFiles", "GET", files, assistants.list_assistant_files, _OLDER),
        ApiOperation("createAssistantFile", "POST", files, assistants.create_assistant_file, _OLDER),
        ApiOperation("getAssistantFile", "GET", f"{files}/{{file_id}}", assistants.get_assistant_file, _OLDER),
        ApiOperation("deleteAssistantFile", "DELETE", f"{files}/{{file_id}}", assistants.delete_assistant_file, _OLDER),
    )
