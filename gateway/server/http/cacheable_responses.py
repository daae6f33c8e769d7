"""Responses of queries as the response cache holds them: their keys, and their data as JSON."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, cast

import orjson
from graphql import OperationType as DocumentOperationType
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from gateway.server.http.graphql_request import ParsedRequest
from gateway.server.http.sliced_encoding import MAX_UNSLICED_BYTES, SlicedEncoder
from schema.contract.encoded_json import EncodedJson, JsonPieces
from schema.contract.paging import PagingLimits
from schema.contract.ports import Capabilities, ResponseCache, ResponseKey
from schema.engine.context import Context


def to_response_key(
    parsed: ParsedRequest,
    schema: Hashable,
    limits: PagingLimits,
    capabilities: Capabilities,
    allowed: set[OperationType],
) -> ResponseKey | None:
    """Make the key of a query in the response cache. Returns None if it is no valid query or cannot be encoded."""
    request, document = parsed.request, parsed.document
    operation = document.find_operation(request.operation_name)
    if document.errors or operation is None or operation.operation is not DocumentOperationType.QUERY:
        return None
    if OperationType.QUERY not in allowed:
        return None
    try:
        variables = orjson.dumps(request.variables or {}, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # orjson refuses lone surrogates and integers beyond 64 bits
        return None
    return ResponseKey(schema, document.text, request.operation_name, variables, limits, capabilities)


async def encode_if_large(
    data: dict[str, Any] | None, context: Context, encoder: SlicedEncoder
) -> dict[str, Any] | None:
    """Return the data of a result, or their JSON, encoded in slices, if they are large."""
    if data is None or context.answer_size.byte_count <= MAX_UNSLICED_BYTES:
        return data
    return to_encoded_data(await encoder.encode(data))


def store_response(response_cache: ResponseCache, response_key: ResponseKey, result: ExecutionResult) -> None:
    """Store a result that has only data in the response cache, and replace its data by the encoded JSON."""
    if result.errors or result.extensions:
        return
    data: Any = result.data
    if not isinstance(data, JsonPieces):
        try:
            data = orjson.dumps(data)
        except TypeError:  # `encode_json` encodes it in another way
            return
        result.data = to_encoded_data(data)
    response_cache.store_response(response_key, data)


def to_encoded_data(data: EncodedJson) -> dict[str, Any]:
    """Wrap data that is JSON already. Only `encode_body` reads the data of a result, so the type does not matter."""
    return cast("dict[str, Any]", orjson.Fragment(data) if isinstance(data, bytes) else data)
