"""Makes HTTP responses of GraphQL results and errors, with their status and headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from strawberry.types.execution import ExecutionResult

from gateway.media_types import GRAPHQL_RESPONSE, JSON
from gateway.server.http.pieces_payload import to_body
from gateway.server.http.sliced_encoding import encode_value
from schema.contract.encoded_json import EncodedJson, JsonPieces, wrap_json
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError

ERROR_CODE_HEADER = "GraphQL-Error-Code"
"""The code of the errors of a response with status 503."""

RESPONSE_HEADERS: Mapping[str, str] = {
    # The data depends on the credential, so neither a shared cache nor a browser's may store the response.
    "Cache-Control": "private, no-store",
    "Vary": "Accept, Authorization",
    "X-Content-Type-Options": "nosniff",
}


class ResultBody(NamedTuple):
    """A result as GraphQL JSON.

    `is_request_error` says that an error prevented the execution, so that the body has no `data`.
    """

    body: dict[str, Any]
    is_request_error: bool


def result_body(result: ExecutionResult) -> ResultBody:
    """Make the body of a result. It is a request error if there is no data and no error has a path."""
    errors = result.errors or []
    is_request_error = bool(errors) and result.data is None and all(error.path is None for error in errors)
    body: dict[str, Any] = {}
    if errors:
        body["errors"] = [error.formatted for error in errors]
    if not is_request_error:
        body["data"] = result.data
    if result.extensions:
        body["extensions"] = result.extensions
    return ResultBody(body, is_request_error)


def error_body(error: GatewayError) -> dict[str, Any]:
    """Make the GraphQL JSON of an error."""
    return {"message": error.message, "extensions": error.extensions}


def with_request_id(body: Mapping[str, Any], request_id: str | None) -> Mapping[str, Any]:
    """Add the request id to the extensions of each error of a body."""
    errors: Sequence[Mapping[str, Any]] | None = body.get("errors")
    if not errors or request_id is None:
        return body
    return {**body, "errors": identify_errors(errors, request_id)}


def identify_errors(errors: Sequence[Mapping[str, Any]], request_id: str) -> list[dict[str, Any]]:
    """Add a request id, if there is one, to the extensions of errors, so that a person can quote it."""
    if not request_id:
        return [dict(error) for error in errors]
    return [{**error, "extensions": {**(error.get("extensions") or {}), "requestId": request_id}} for error in errors]


def error_codes(errors: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the codes of errors."""
    return [str(code) for error in errors if (code := _error_code(error)) is not None]


def result_response(result: ExecutionResult, media_type: str, request_id: str | None = None) -> web.Response:
    """Make the response of an execution's result.

    For a request error, the status is 400 with `application/graphql-response+json`. It is 200 with `application/json`,
    so that a client can tell the response from an error of a proxy. An internal error is 500 with both. A query that
    took too long is 504 in place of 400. An operation that has no data at all, because the gateway itself cannot serve
    now, is 503 with `application/graphql-response+json`. Its code is in a header too, for a proxy that replaces bodies.

    Source: https://graphql.github.io/graphql-over-http/draft/, section "Status Codes".
    """
    body, is_request_error = result_body(result)
    status, headers = 200, {}
    codes = {_error_code(error) for error in body["errors"]} if is_request_error else set()
    if ErrorCode.INTERNAL in codes:
        status = 500
    elif ErrorCode.QUERY_TIMEOUT in codes and media_type == GRAPHQL_RESPONSE:
        status = 504
    elif is_request_error and media_type == GRAPHQL_RESPONSE:
        status = 400
    elif media_type == GRAPHQL_RESPONSE and (code := _code_of_unavailable(result)) is not None:
        status, headers = 503, {ERROR_CODE_HEADER: code}
    return json_response(with_request_id(body, request_id), status, media_type, headers)


def error_response(
    status: int,
    error: GatewayError,
    media_type: str = JSON,
    headers: Mapping[str, str] | None = None,
    *,
    request_id: str | None = None,
) -> web.Response:
    """Make the response of an error that prevented the execution."""
    body = with_request_id({"errors": [error_body(error)]}, request_id)
    return json_response(body, status, media_type, headers)


def json_response(
    body: Mapping[str, Any], status: int, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Make a response of JSON in UTF-8."""
    all_headers = {**RESPONSE_HEADERS, **(headers or {}), "Content-Type": f"{media_type}; charset=utf-8"}
    return web.Response(body=to_body(encode_body(body)), status=status, headers=all_headers)


def encode_body(body: Mapping[str, Any]) -> EncodedJson:
    """Encode the body of a response, whose data may be encoded already, and in pieces."""
    data = body.get("data")
    if not isinstance(data, JsonPieces):
        return encode_json(body)
    others = {name: member for name, member in body.items() if name != "data"}
    separator = b"," if others else b""
    return wrap_json(encode_json(others)[:-1] + separator + b'"data":', data, b"}")


def encode_json(body: Mapping[str, Any]) -> bytes:
    """Encode JSON in UTF-8, on one line. A member may be encoded already."""
    try:
        return orjson.dumps(body)
    except TypeError:
        members = {
            name: member if isinstance(member, orjson.Fragment) else orjson.Fragment(encode_value(member))
            for name, member in body.items()
        }
        return orjson.dumps(members)


def _code_of_unavailable(result: ExecutionResult) -> str | None:
    """Return the code for which there is no data. Returns None if there is some, or an error is of another kind."""
    if result.data is not None or not result.errors:
        return None
    codes = [_unavailable_code(error.original_error) for error in result.errors]
    return codes[0] if all(codes) else None


def _unavailable_code(error: Exception | None) -> str | None:
    if isinstance(error, OwnKeyRefusedError):
        return error.code.value
    is_ledger = isinstance(error, GatewayError) and error.code is ErrorCode.LEDGER_UNAVAILABLE
    return ErrorCode.LEDGER_UNAVAILABLE.value if is_ledger else None


def _error_code(error: Mapping[str, Any]) -> object:
    return (error.get("extensions") or {}).get("code")
