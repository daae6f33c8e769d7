"""The table of all operations of the API, under their names in the specification."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from gateway.emulator.objects import ApiVersion, JsonObject, ServerKind
from gateway.emulator.operations import assistants, conversations, files, messages, responses, runs, steps, threads
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.files import FileContent
from gateway.emulator.operations.responses import AwaitedResponse
from gateway.emulator.streams.stream_events import StreamReply

Perform: TypeAlias = Callable[[ApiCall], JsonObject | StreamReply | FileContent | AwaitedResponse]
_BOTH: frozenset[ApiVersion] = frozenset({"v1", "v2"})
_OLDER: frozenset[ApiVersion] = frozenset({"v1"})
_NEWER: frozenset[ApiVersion] = frozenset({"v2"})
_ALL_SERVERS: frozenset[ServerKind] = frozenset({"openai", "azure", "foundry"})
# The servers of the successor, which needs no version of the API. Azure's have it below a path of its own.
_AZURE_V1: frozenset[ServerKind] = frozenset({"azure_v1", "foundry_v1"})
_SUCCESSORS: frozenset[ServerKind] = _AZURE_V1 | {"openai"}
# Source: the dialects of the reference of Azure OpenAI's preview versions, which has no deletion of messages.
_NOT_AZURE: frozenset[ServerKind] = _ALL_SERVERS - {"azure"}


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """One operation: its method, its path, its function, and the API versions and kinds of servers that have it.

    Operations on files, conversations and responses belong to no version, so they need none.
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
        *_conversation_operations(),
        *_response_operations(),
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
    add = partial(ApiOperation, servers=_ALL_SERVERS | _SUCCESSORS, needs_version=False)
    return (
        add("listFiles", "GET", "/files", files.list_files),
        add("createFile", "POST", "/files", files.create_file, takes_form=True),
        add("retrieveFile", "GET", one, files.get_file),
        add("deleteFile", "DELETE", one, files.delete_file),
        add("downloadFile", "GET", f"{one}/content", files.get_file_content),
    )


def _conversation_operations() -> tuple[ApiOperation, ...]:
    every = "/conversations"
    one = f"{every}/{{conversation_id}}"
    items = f"{one}/items"
    item = f"{items}/{{item_id}}"
    add = partial(ApiOperation, servers=_SUCCESSORS, needs_version=False)
    return (
        # Not in the specification, but in that of Foundry.
        add("listConversations", "GET", every, conversations.list_conversations, servers=_AZURE_V1),
        add("createConversation", "POST", every, conversations.create_conversation),
        add("getConversation", "GET", one, conversations.get_conversation),
        add("updateConversation", "POST", one, conversations.update_conversation),
        add("deleteConversation", "DELETE", one, conversations.delete_conversation),
        add("listConversationItems", "GET", items, conversations.list_items),
        add("createConversationItems", "POST", items, conversations.create_items),
        add("getConversationItem", "GET", item, conversations.get_item),
        add("deleteConversationItem", "DELETE", item, conversations.delete_item),
    )


def _response_operations() -> tuple[ApiOperation, ...]:
    every = "/responses"
    one = f"{every}/{{response_id}}"
    add = partial(ApiOperation, servers=_SUCCESSORS, needs_version=False)
    return (
        # Not in the specification, but in that of Foundry.
        add("listResponses", "GET", every, responses.list_responses, servers=_AZURE_V1),
        add("createResponse", "POST", every, responses.create_response),
        # The specification's own spelling.
        add("Getinputtokencounts", "POST", f"{every}/input_tokens", responses.count_input_tokens),
        add("getResponse", "GET", one, responses.get_response),
        add("deleteResponse", "DELETE", one, responses.delete_response),
        add("cancelResponse", "POST", f"{one}/cancel", responses.cancel_response),
        add("listInputItems", "GET", f"{one}/input_items", responses.list_input_items),
    )
