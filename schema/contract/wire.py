"""Wire objects: the upstream's objects in its own names and units, for both versions of the API and its many servers.

An object's envelope is decoded eagerly. Parts of many kinds (content parts, tools, step details, ...) stay raw JSON
until a query selects them. Then each part is decoded on its own, as an object of `wire_parts.py`. Every field but an id
has a default, which stands for null, a missing key and a value that cannot be read (see `tolerant_decoder.py`). Unknown
fields are ignored. Times are Unix seconds, whole or fractional.

Source: the schemas `ThreadObject`, `MessageObject`, `RunObject`, `RunStepObject` and `AssistantObject` of the API's
specification, versions 1 and 2, and recorded traffic of several servers.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from msgspec import Meta, Raw, Struct

_YEARS_1_TO_9999 = Meta(ge=-62_135_596_800, le=253_402_300_799)

Timestamp: TypeAlias = Annotated[int, _YEARS_1_TO_9999] | Annotated[float, _YEARS_1_TO_9999]
"""Unix time in seconds. The specification says whole seconds; some servers send fractions.

A `created_at` of 0 is not known.
"""

Count: TypeAlias = int | float
"""A whole number. The specification says integer; some servers write it as `4.0`."""

RawList: TypeAlias = list[Raw] | None
StringList: TypeAlias = list[str] | None
MetadataObject: TypeAlias = dict[str, Any] | None

NULL = Raw(b"null")
"""A raw part that is null or missing. (A raw field cannot be optional: it accepts null like any other JSON.)"""


class WireStruct(Struct, frozen=True, gc=False):
    """Base of all wire objects: immutable, and invisible to the cyclic garbage collector."""


class ThreadObject(WireStruct, frozen=True):
    """A thread. `object` is `thread`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    metadata: MetadataObject = None
    tool_resources: Raw = NULL


class ReasonObject(WireStruct, frozen=True):
    """`incomplete_details` of a message or a run."""

    reason: str | None = None


class MessageObject(WireStruct, frozen=True):
    """A message. `object` is `thread.message`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    role: str = ""
    status: str | None = None
    incomplete_details: ReasonObject | None = None
    completed_at: Timestamp | None = None
    incomplete_at: Timestamp | None = None
    content: list[Raw] | str | None = None
    attachments: RawList = None
    assistant_id: str | None = None
    run_id: str | None = None
    file_ids: StringList = None
    metadata: MetadataObject = None


class MessageFileObject(WireStruct, frozen=True):
    """A file of a message (version 1). `object` is `thread.message.file`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    message_id: str | None = None


class FileObject(WireStruct, frozen=True):
    """An uploaded or generated file, without its content. `object` is `file`.

    Source: schema `OpenAIFile` of the specification of the Files API, which both versions share.
    """

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    filename: str | None = None
    bytes: Count | None = None
    purpose: str | None = None


class ErrorObject(WireStruct, frozen=True):
    """`last_error` of a run or a step. The code is an open set: servers add their own."""

    code: str | None = None
    message: str | None = None


class CachedTokensObject(WireStruct, frozen=True):
    """Part of a usage. Servers spell its key `prompt_token_details` or `prompt_tokens_details`."""

    cached_tokens: int | None = None


class ReasoningTokensObject(WireStruct, frozen=True):
    """Part of a usage."""

    reasoning_tokens: int | None = None


class UsageObject(WireStruct, frozen=True):
    """Tokens that a run or a step has used."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_token_details: CachedTokensObject | None = None
    prompt_tokens_details: CachedTokensObject | None = None
    completion_tokens_details: ReasoningTokensObject | None = None


class TruncationObject(WireStruct, frozen=True):
    """The part of a thread that a run reads."""

    type: str = "auto"
    last_messages: Count | None = None


class RunObject(WireStruct, frozen=True):
    """A run. `object` is `thread.run`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    thread_id: str | None = None
    assistant_id: str | None = None
    status: str = ""
    required_action: Raw = NULL
    last_error: ErrorObject | None = None
    incomplete_details: ReasonObject | None = None
    expires_at: Timestamp | None = None
    started_at: Timestamp | None = None
    cancelled_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    model: str | None = None
    instructions: str | None = None
    tools: RawList = None
    tool_resources: Raw = NULL
    reasoning_effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_prompt_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    truncation_strategy: TruncationObject | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    usage: Any = None
    file_ids: StringList = None
    metadata: MetadataObject = None


class RunStepObject(WireStruct, frozen=True):
    """A step of a run. `object` is `thread.run.step`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    assistant_id: str | None = None
    type: str = ""
    status: str = ""
    step_details: Raw = NULL
    last_error: ErrorObject | None = None
    expires_at: Timestamp | None = None
    expired_at: Timestamp | None = None
    cancelled_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    usage: Any = None
    metadata: MetadataObject = None


class AssistantObject(WireStruct, frozen=True):
    """An assistant. `object` is `assistant`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    name: str | None = None
    description: str | None = None
    model: str | None = None
    instructions: str | None = None
    tools: RawList = None
    tool_resources: Raw = NULL
    reasoning_effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    response_format: Any = None
    file_ids: StringList = None
    metadata: MetadataObject = None


ObjectT = TypeVar("ObjectT")


class Page(WireStruct, Generic[ObjectT], frozen=True):
    """One upstream list reply. The next page starts after the last object's id.

    If objects that do not belong to the list were left out, it starts after the id `read_until`.
    """

    data: list[ObjectT]
    has_more: bool = False
    read_until: str | None = None
