"""What is answered: GraphQL JSON with the right status and headers, whatever happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from strawberry.types.execution import ExecutionResult

from gateway.server.http.media_types import GRAPHQL_RESPONSE, JSON
from schema.contract.errors import ErrorCode, GatewayError

RESPONSE_HEADERS: Mapping[str, str] = {
    # Whose data an answer holds depends on the credential, so neither a shared nor a browser's cache may keep it.
    "Cache-Control": "private, no-store",
    "Vary": "Accept, Authorization",
    "X-Content-Type-Options": "nosniff",
}


class ResultBody(NamedTuple):
    """An execution's answer; `refused` where an error kept it from running at all, so that it has no `data`."""

    body: dict[str, Any]
    refused: bool


def result_body(result: ExecutionResult) -> ResultBody:
    """Write down what an execution gave; an error that kept it from running has no path and leaves no data."""
    errors = result.errors or []
    refused = bool(errors) and result.data is None and all(error.path is None for error in errors)
    body: dict[str, Any] = {}
    if errors:
        body["errors"] = [error.formatted for error in errors]
    if not refused:
        body["data"] = result.data
    if result.extensions:
        body["extensions"] = result.extensions
    return ResultBody(body, refused)


def error_body(error: GatewayError) -> dict[str, Any]:
    """Write down an error as GraphQL shows it."""
    return {"message": error.message, "extensions": error.extensions}


def result_response(result: ExecutionResult, media_type: str) -> web.Response:
    """Answer with what an execution gave.

    Where it was refused, `application/graphql-response+json` says 400. `application/json` always says 200, so that a
    client need not ask whether some proxy made the answer. Source: GraphQL over HTTP, "Status Codes".
    """
    body, refused = result_body(result)
    status = 200
    if refused and any(_error_code(error) == ErrorCode.INTERNAL for error in body["errors"]):
        status = 500
    elif refused and media_type == GRAPHQL_RESPONSE:
        status = 400
    return json_response(body, status, media_type)


def error_response(
    status: int, error: GatewayError, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with an error instead of an execution."""
    return json_response({"errors": [error_body(error)]}, status, media_type, headers)


def json_response(
    body: Mapping[str, Any], status: int, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with JSON in UTF-8."""
    all_headers = {**RESPONSE_HEADERS, **(headers or {}), "Content-Type": f"{media_type}; charset=utf-8"}
    return web.Response(body=encode_json(body), status=status, headers=all_headers)


def encode_json(body: Mapping[str, Any]) -> bytes:
    """Write JSON in UTF-8, on one line."""
    try:
        return orjson.dumps(body)
    except TypeError:
        # Half a surrogate pair, or an integer beyond 64 bits in what the upstream sent as any JSON.
        return json.dumps(body).encode()


def _error_code(error: Mapping[str, Any]) -> object:
    return (error.get("extensions") or {}).get("code")
