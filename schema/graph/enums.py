"""Enums that mirror the upstream's words. Each has a member for the words that are not known yet."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import TypeVar

import strawberry

from schema.graph.documented_field import enum_member

_UNRECOGNIZED = "A word of the upstream that this gateway does not know yet."


@strawberry.enum(description="Who wrote a message.")
class MessageRole(Enum):
    """Source: `role` of the message object."""

    USER = enum_member("user", "The person, or the program that speaks for them.")
    ASSISTANT = enum_member("assistant", "An assistant, in a run.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="How far a message has come.")
class MessageStatus(Enum):
    """Source: `status` of the message object; servers leave it out of messages read by REST."""

    IN_PROGRESS = enum_member("in_progress", "It is being written.")
    INCOMPLETE = enum_member("incomplete", "It was cut off; `incompleteReason` says why.")
    COMPLETED = enum_member("completed", "It is whole.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="The tools that may read an attached file.")
class AttachmentTool(Enum):
    """Source: `attachments[].tools[].type` of the message object."""

    CODE_INTERPRETER = enum_member("code_interpreter", "The code interpreter.")
    FILE_SEARCH = enum_member("file_search", "The file search.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="How closely the model looks at an image.")
class ImageDetail(Enum):
    """Source: `detail` of an image part."""

    AUTO = enum_member("auto", "The model chooses.")
    LOW = enum_member("low", "Few tokens.")
    HIGH = enum_member("high", "In full resolution.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="How far a run has come.")
class RunStatus(Enum):
    """Source: `status` of the run object."""

    QUEUED = enum_member("queued", "It waits for its turn.")
    IN_PROGRESS = enum_member("in_progress", "It is at work.")
    REQUIRES_ACTION = enum_member("requires_action", "It waits for the caller; see `requiredAction`.")
    CANCELLING = enum_member("cancelling", "It was told to stop and has not stopped yet.")
    CANCELLED = enum_member("cancelled", "It was stopped. Terminal.")
    FAILED = enum_member("failed", "It failed; see `lastError`. Terminal.")
    COMPLETED = enum_member("completed", "It did what was asked. Terminal.")
    INCOMPLETE = enum_member("incomplete", "It ran into a limit; see `incompleteReason`. Terminal.")
    EXPIRED = enum_member("expired", "It was not finished in time. Terminal.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="What kind of work a step did.")
class RunStepType(Enum):
    """Source: `type` of the run step object."""

    MESSAGE_CREATION = enum_member("message_creation", "It wrote a message.")
    TOOL_CALLS = enum_member("tool_calls", "It called tools.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


@strawberry.enum(description="How far a step has come.")
class RunStepStatus(Enum):
    """Source: `status` of the run step object."""

    IN_PROGRESS = enum_member("in_progress", "It is at work.")
    CANCELLED = enum_member("cancelled", "Its run was cancelled.")
    FAILED = enum_member("failed", "It failed; see `lastError`.")
    COMPLETED = enum_member("completed", "It is finished.")
    EXPIRED = enum_member("expired", "Its run expired.")
    UNRECOGNIZED = enum_member("", _UNRECOGNIZED)


EnumT = TypeVar("EnumT", bound=Enum)


def recognize(kind: type[EnumT], word: str) -> EnumT:
    """Find the enum's member for an upstream word, `UNRECOGNIZED` for one that is not known."""
    members: Mapping[str, EnumT] = _members_of(kind)
    return members.get(word) or members[""]


@lru_cache
def _members_of(kind: type[EnumT]) -> Mapping[str, EnumT]:
    """The members by their upstream words; that of `UNRECOGNIZED`, which every enum of this module has, is empty."""
    return {one.value: one for one in kind}


def recognize_optional(kind: type[EnumT], word: str | None) -> EnumT | None:
    """Find the enum's member for a word that may be missing."""
    return None if word is None else recognize(kind, word)
