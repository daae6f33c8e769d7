"""Enums that mirror the upstream's words. Each has the member `UNRECOGNIZED` for words that are not known yet."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import TypeVar

import strawberry

from schema.graph.documented_field import enum_member

_UNRECOGNIZED = "A word of the upstream that this gateway does not know yet."


@strawberry.enum(description="The author of a message.")
class MessageRole(Enum):
    """Source: `role` of schema `MessageObject`."""

    USER = enum_member("user", "The user, or the program that writes for the user.")
    ASSISTANT = enum_member("assistant", "An assistant, in a run.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The status of a message.")
class MessageStatus(Enum):
    """Source: `status` of schema `MessageObject`. Servers do not send it for messages read by REST."""

    IN_PROGRESS = enum_member("in_progress", "The message is being written.")
    INCOMPLETE = enum_member("incomplete", "The message was cut off; see `incompleteReason`.")
    COMPLETED = enum_member("completed", "The message is complete.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="A tool that may read an attached file.")
class AttachmentTool(Enum):
    """Source: `attachments[].tools[].type` of schema `MessageObject`."""

    CODE_INTERPRETER = enum_member("code_interpreter", "The code interpreter.")
    FILE_SEARCH = enum_member("file_search", "The file search.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The detail in which the model sees an image.")
class ImageDetail(Enum):
    """Source: `detail` of schemas `MessageContentImageFileObject` and `MessageContentImageUrlObject`."""

    AUTO = enum_member("auto", "The model chooses the detail.")
    LOW = enum_member("low", "Low resolution, which takes few tokens.")
    HIGH = enum_member("high", "Full resolution.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The status of a run.")
class RunStatus(Enum):
    """Source: `status` of schema `RunObject`."""

    QUEUED = enum_member("queued", "The run waits to be started.")
    IN_PROGRESS = enum_member("in_progress", "The run is in progress.")
    REQUIRES_ACTION = enum_member("requires_action", "The run waits for the client; see `requiredAction`.")
    CANCELLING = enum_member("cancelling", "The run was asked to stop and has not stopped yet.")
    CANCELLED = enum_member("cancelled", "The run was stopped. Final.")
    FAILED = enum_member("failed", "The run failed; see `lastError`. Final.")
    COMPLETED = enum_member("completed", "The run was successful. Final.")
    INCOMPLETE = enum_member("incomplete", "The run reached a limit; see `incompleteReason`. Final.")
    EXPIRED = enum_member("expired", "The run was not finished in time. Final.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The kind of a step.")
class RunStepType(Enum):
    """Source: `type` of schema `RunStepObject`."""

    MESSAGE_CREATION = enum_member("message_creation", "The step wrote a message.")
    TOOL_CALLS = enum_member("tool_calls", "The step called tools.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The status of a step.")
class RunStepStatus(Enum):
    """Source: `status` of schema `RunStepObject`."""

    IN_PROGRESS = enum_member("in_progress", "The step is in progress.")
    CANCELLED = enum_member("cancelled", "The run of the step was cancelled.")
    FAILED = enum_member("failed", "The step failed; see `lastError`.")
    COMPLETED = enum_member("completed", "The step is finished.")
    EXPIRED = enum_member("expired", "The run of the step expired.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The part of its thread that a run reads.")
class TruncationType(Enum):
    """Source: `type` of schema `TruncationObject`."""

    AUTO = enum_member("auto", "The run leaves out messages in the middle until the rest fits.")
    LAST_MESSAGES = enum_member("last_messages", "The run reads the newest messages; `lastMessages` is their number.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The reasoning effort of a reasoning model.")
class ReasoningEffort(Enum):
    """Source: schema `ReasoningEffort`."""

    NONE = enum_member("none", "No reasoning.")
    MINIMAL = enum_member("minimal", "The least effort.")
    LOW = enum_member("low", "Low effort.")
    MEDIUM = enum_member("medium", "Medium effort.")
    HIGH = enum_member("high", "High effort.")
    XHIGH = enum_member("xhigh", "Very high effort.")
    MAX = enum_member("max", "The most effort.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The ranking of the results of a file search.")
class FileSearchRanker(Enum):
    """Source: schema `FileSearchRanker`."""

    AUTO = enum_member("auto", "The newest ranker.")
    DEFAULT_2024_08_21 = enum_member("default_2024_08_21", "The ranker of 2024-08-21.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The version of the API that the upstream speaks. All of them are known.")
class UpstreamVersion(Enum):
    """Source: `Dialect.version` in `gateway/upstream/dialects.py`, and the API that follows."""

    V1 = enum_member("v1", "Version 1 of the Assistants API.")
    V2 = enum_member("v2", "Version 2 of the Assistants API.")
    RESPONSES = enum_member("responses", "Responses and Conversations.")


@strawberry.enum(description="The kind of server behind the gateway. All of them are known.")
class UpstreamDialect(Enum):
    """Source: `DIALECTS` in `gateway/upstream/dialects.py`."""

    OPENAI_V1 = enum_member("openai-v1", "OpenAI's API, version 1.")
    OPENAI_V2 = enum_member("openai-v2", "OpenAI's API, version 2.")
    AZURE_OPENAI = enum_member("azure-openai", "Azure OpenAI.")
    AZURE_FOUNDRY = enum_member("azure-foundry", "Azure AI Foundry.")
    LENIENT = enum_member("lenient", "A self-hosted server.")
    OPENAI_RESPONSES = enum_member("openai-responses", "OpenAI's responses and conversations.")
    FOUNDRY_RESPONSES = enum_member("foundry-responses", "Responses and conversations of Azure OpenAI or AI Foundry.")
    LENIENT_RESPONSES = enum_member("lenient-responses", "A self-hosted server of responses and conversations.")


@strawberry.enum(description="The meaning of the times of messages. All of them are known.")
class MessageTimes(Enum):
    """Source: `Dialect.message_times` in `gateway/upstream/dialects.py`."""

    EXACT = enum_member("exact", "The upstream's own times.")
    OBSERVED = enum_member("observed", "The times at which this gateway saw the messages.")


EnumT = TypeVar("EnumT", bound=Enum)


def recognize(enum_type: type[EnumT], word: str) -> EnumT:
    """Return the enum's member for an upstream word, or `UNRECOGNIZED` for an unknown word."""
    members: Mapping[str, EnumT] = _members_by_word(enum_type)
    return members.get(word) or members[""]


@lru_cache
def _members_by_word(enum_type: type[EnumT]) -> Mapping[str, EnumT]:
    """Return the members by upstream word. The word of `UNRECOGNIZED`, which every enum here has, is empty."""
    return {member.value: member for member in enum_type}


def recognize_optional(enum_type: type[EnumT], word: str | None) -> EnumT | None:
    """Return the enum's member for a word that may be missing."""
    return None if word is None else recognize(enum_type, word)
