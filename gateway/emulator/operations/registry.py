"""The table of all operations of the API, under their names in the specification."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.emulator.objects import ApiVersion, JsonObject, ServerKind
from gateway.emulator.operations import assistants, files, messages, runs, steps, threads
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.files import FileContent
from gateway.emulator.streams.stream_events import StreamReply

Perform: TypeAlias = Callable[[ApiCall], JsonObject | StreamReply | FileContent]
_BOTH: frozenset[ApiVersion] = frozenset({"v1", "v2"})
_OLDER: frozenset[ApiVersion] = frozenset({"v1"})
_NEWER: frozenset[ApiVersion] = frozenset({"v2"})
_ALL_SERVERS: frozenset[ServerKind] = frozenset({"openai", "azure", "foundry"})
# Source: the dialects of the reference of Azure OpenAI's preview versions, which has no deletion of messages.
_NOT_AZURE: frozenset[ServerKind] = _ALL_SERVERS - {"azure"}


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """One operation: its method, its path, its function, and the API versions and kinds of servers that have it.

    Operations on files belong to no version, so they need none.
    """

    name: str
    method: str
    path: str
    perform: Perform
    versions: frozenset[ApiVersion] = _BOTH
    servers: frozenset[ServerKind] = _ALL_SERVERS
    needs_version: bool = True
    takes_form: bool = False

    def exists_in(self, version: ApiVersion, server: ServerKind) -> bool:
        """Return whether a server of this kind has the operation in this version."""
        return version in self.versions and server in self.servers


def allowed_methods(path: str, version: ApiVersion, server: ServerKind) -> list[str]:
    """Return the methods that a path has in this version on this kind of server."""
    return [one.method for one in operations() if one.path == path and one.exists_in(version, server)]


def operations() -> tuple[ApiOperation, ...]:
    """Return all operations. Fixed paths come before paths with parameters that would match them too."""
    return (
        *_thread_operations(),
        *_message_operations(),
        *_run_operations(),
        *_assistant_operations(),
        *_file_operations(),
    )


def _thread_operations() -> tuple[ApiOperation, ...]:
    one = "/threads/{thread_id}"
    return (
        # Not in the specification, but the real server has it, only to refuse it.
        ApiOperation("listThreads", "GET", "/threads", threads.list_threads, servers=_NOT_AZURE),
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
        ApiOperation("deleteMessage", "DELETE", one, messages.delete_message, _NEWER, _NOT_AZURE),
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


def _file_operations() -> tuple[ApiOperation, ...]:
    one = "/files/{file_id}"
    return (
        ApiOperation("listFiles", "GET", "/files", files.list_files, needs_version=False),
        ApiOperation("createFile", "POST", "/files", files.create_file, needs_version=False, takes_form=True),
        ApiOperation("retrieveFile", "GET", one, files.get_file, needs_version=False),
        ApiOperation("deleteFile", "DELETE", one, files.delete_file, needs_version=False),
        ApiOperation("downloadFile", "GET", f"{one}/content", files.get_file_content, needs_version=False),
    )
