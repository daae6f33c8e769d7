"""Wire objects of the successor API, in its own names: responses, and the envelopes of items and events.

As in `wire.py` of the contract, every field but an id has a default, and parts of many kinds stay raw JSON.

Source: the schemas `Response`, `ItemResource` and `ResponseStreamEvent` of the specification of 2026-08-21.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import NULL, Count, ErrorObject, MetadataObject, RawList, ReasonObject, Timestamp, WireStruct


class ConversationReferenceObject(WireStruct, frozen=True):
    """`conversation` of a response."""

    id: str


class TokenDetailsObject(WireStruct, frozen=True):
    """`input_tokens_details` or `output_tokens_details` of a usage."""

    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class ResponseUsageObject(WireStruct, frozen=True):
    """Tokens that a response has used."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    input_tokens_details: TokenDetailsObject | None = None
    output_tokens_details: TokenDetailsObject | None = None


class ReasoningOptionsObject(WireStruct, frozen=True):
    """`reasoning` of a response."""

    effort: str | None = None


class TextOptionsObject(WireStruct, frozen=True):
    """`text` of a response."""

    format: Any = None


class ResponseObject(WireStruct, frozen=True):
    """A response. `object` is `response`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    completed_at: Timestamp | None = None
    status: str | None = None
    error: ErrorObject | None = None
    incomplete_details: ReasonObject | None = None
    instructions: Any = None
    metadata: MetadataObject = None
    model: str | None = None
    output: RawList = None
    conversation: ConversationReferenceObject | str | None = None
    previous_response_id: str | None = None
    usage: ResponseUsageObject | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: Count | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningOptionsObject | None = None
    text: TextOptionsObject | None = None
    truncation: str | None = None
    background: bool | None = None


class ItemObject(WireStruct, frozen=True):
    """An item of a conversation or a response, of any kind. Some servers send the status null."""

    type: str = ""
    id: str | None = None
    status: str | None = None
    role: str | None = None
    content: RawList | str = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    output: Any = None
    code: str | None = None
    outputs: list[dict[str, Any]] | None = None
    results: list[dict[str, Any]] | None = None
    input: Any = None
    server_label: str | None = None
    approval_request_id: str | None = None


class ListedItemObject(ItemObject, frozen=True, kw_only=True):
    """An item as conversations list it: with an id, and on some servers with a time."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None


class ResponseEventObject(WireStruct, frozen=True):
    """An event of a stream, of any kind. An error may stand in it, or be the event itself."""

    type: str = ""
    sequence_number: int | None = None
    response: Raw = NULL
    output_index: int | None = None
    content_index: int | None = None
    item_id: str | None = None
    item: Raw = NULL
    delta: Any = None
    annotation: dict[str, Any] | None = None
    message: str | None = None
    error: ErrorObject | None = None


RESPONSE_DECODER = TolerantDecoder(ResponseObject, "response", strict=False)
ITEM_DECODER = TolerantDecoder(ItemObject, "item", strict=False)
RESPONSE_EVENT_DECODER = TolerantDecoder(ResponseEventObject, "event of a response", strict=False)
