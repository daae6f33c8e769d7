"""Enums that mirror the upstream's words. Each has a member for the words that are not known yet."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

import strawberry

_UNRECOGNIZED = "A word of the upstream that this gateway does not know yet."


def _value(word: str, description: str) -> Any:
    return strawberry.enum_value(word, description=description)


@strawberry.enum(description="Who wrote a message.")
class MessageRole(Enum):
    """Source: `role` of the message object."""

    USER = _value("user", "The person, or the program that speaks for them.")
    ASSISTANT = _value("assistant", "An assistant, in a run.")
    UNRECOGNIZED = _value("", _UNRECOGNIZED)


@strawberry.enum(description="How far a message has come.")
class MessageStatus(Enum):
    """Source: `status` of the message object; servers leave it out of messages read by REST."""

    IN_PROGRESS = _value("in_progress", "It is being written.")
    INCOMPLETE = _value("incomplete", "It was cut off; `incompleteReason` says why.")
    COMPLETED = _value("completed", "It is whole.")
    UNRECOGNIZED = _value("", _UNRECOGNIZED)


@strawberry.enum(description="The tools that may read an attached file.")
class AttachmentTool(Enum):
    """Source: `attachments[].tools[].type` of the message object."""

    CODE_INTERPRETER = _value("code_interpreter", "The code interpreter.")
    FILE_SEARCH = _value("file_search", "The file search.")
    UNRECOGNIZED = _value("", _UNRECOGNIZED)


@strawberry.enum(description="How closely the model looks at an image.")
class ImageDetail(Enum):
    """Source: `detail` of an image part."""

    AUTO = _value("auto", "The model chooses.")
    LOW = _value("low", "Few tokens.")
    HIGH = _value("high", "In full resolution.")
    UNRECOGNIZED = _value("", _UNRECOGNIZED)


@strawberry.enum(description="How far a run has come.")
class RunStatus(Enum):
    """Source: `status` of the run object."""

    QUEUED = _value("queued", "It waits for its turn.")
    IN_PROGRESS = _value("in_progress", "It is at work.")
    REQUIRES_ACTION = _value("requires_action", "It waits for the caller; see `requiredAction`.")
    CANCELLING = _value("cancelling", "It was told to stop and has not stopped yet.")
    CANCELLED = _value("cancelled", "It was stopped. Terminal.")
    FAILED = _value("failed", "It failed; see `lastError`. Terminal.")
    COMPLETED = _value("completed", "It did what was asked. Terminal.")
    INCOMPLETE = _value("incomplete", "It ran into a limit; see `incompleteReason`. Terminal.")
    EXPIRED = _value("expired", "It was not finished in time. Terminal.")
    UNRECOGNIZED = _value("", _UNRECOGNIZED)


@strawberry.enum(description="What kind of work a step did.")
class RunStepType(Enum):
    """Source: `type` of the run step object."""

    MESSAGE_CREATION = _value("message_creation", "It wrote a message.")
    TOOL_CALLS = _value("tool_calls", "It called tools.")
    UNRECOGNIZED = _value("", _UNRECOGNIZED)


@strawberry.enum(description="How far a step has come.")
class RunStepStatus(Enum):
    """Source: `status` of the run step object."""

    IN_PROGRESS = _value("in_progress", "It is at work.")
    CANCELLED = _value("cancelled", "Its run was cancelled.")
    FAILED = _value("failed", "It failed; see `lastError`.")
    COMPLETED = _value("completed", "It is finished.")
    EXPIRED = _value("expired", "Its run expired.")
    UNRECOGNIZED = _value("", _UNRECOGNIZED)


EnumT = TypeVar("EnumT", bound=Enum)


def recognize(kind: type[EnumT], word: str) -> EnumT:
    """Find the enum's member for an upstream word, `UNRECOGNIZED` for one that is not known."""
    try:
        return kind(word)
    except ValueError:
        return kind["UNRECOGNIZED"]  # every enum of this module has it


def recognize_optional(kind: type[EnumT], word: str | None) -> EnumT | None:
    """Find the enum's member for a word that may be missing."""
    return None if word is None else recognize(kind, word)
