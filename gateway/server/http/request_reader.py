"""Reads the operation and the caller of an HTTP request."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import parse_qsl

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.identity.credentials import Caller
from gateway.media_types import JSON, content_type_fault
from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.documents.trusted_documents import DocumentRefusedError
from gateway.server.http.graphql_request import GraphQLRequest, request_from_body, request_from_query_string
from gateway.server.http.held_bytes import HeldRequest
from gateway.server.http.refusals import (
    Refusal,
    body_size_refusal,
    get_query_refusal,
    input_refusal,
)
from gateway.server.http.request_limits import RequestLimits
from gateway.telemetry.request_ids import REQUEST_ID_HEADER, choose_request_id
from schema.contract.errors import ErrorCode, GatewayError

_REQUEST_ID = web.RequestKey("request_id", str)


def request_id_from(request: web.Request) -> str:
    """Return the id of a request: the client's own `X-Request-ID` if it is well formed, else one that is made once."""
    request_id = request.get(_REQUEST_ID)
    if request_id is None:
        request_id = choose_request_id(request.headers.getall(REQUEST_ID_HEADER, ()))
        request[_REQUEST_ID] = request_id
    return request_id


async def read_request(
    request: web.Request, limits: RequestLimits, held: HeldRequest, policy: DocumentPolicy
) -> GraphQLRequest:
    """Read the operation of a GET or a POST.

    Raises:
        Refusal: The request is no GraphQL request, or exceeds a limit, or too much of other requests is held.
        DocumentRefusedError: The policy refuses the document.
    """
    try:
        if request.method != "GET":
            return request_from_body(await _read_bytes(request, limits, held), policy)
        pairs = _query_pairs(request)
        if not policy.allows_text_by_get and any(name == "query" and text for name, text in pairs):
            raise get_query_refusal()
        return request_from_query_string(pairs, policy)
    except DocumentRefusedError:
        raise
    except GatewayError as error:
        raise Refusal(400, error) from None


def caller_from_request(request: web.Request) -> Caller:
    """Describe the caller of a request, for the rules of credentials."""
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    hosts = request.headers.getall("Host", [])
    return Caller(
        peer=peer[0] if isinstance(peer, tuple) else None,
        scheme=request.scheme,
        host=hosts[0] if len(hosts) == 1 else "",
        authorization=tuple(request.headers.getall("Authorization", [])),
        headers=frozenset(name.lower() for name in request.headers),
        forwarded_for=_list_entries(request, "X-Forwarded-For"),
        forwarded_hosts=_list_entries(request, "X-Forwarded-Host"),
        origin=request.headers.get("Origin"),
        fetch_site=request.headers.get("Sec-Fetch-Site"),
        is_http_1_0=request.version < HttpVersion11,
        received_at=time.time(),
    )


def _list_entries(request: web.Request, name: str) -> tuple[str, ...]:
    return tuple(entry.strip() for value in request.headers.getall(name, ()) for entry in value.split(","))


def _query_pairs(request: web.Request) -> list[tuple[str, str]]:
    try:
        return parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True, errors="strict")
    except ValueError:
        raise GatewayError(ErrorCode.BAD_USER_INPUT, "Expected a query string in UTF-8, got other bytes.") from None


async def _read_bytes(request: web.Request, limits: RequestLimits, held: HeldRequest) -> bytes:
    if (fault := content_type_fault(request.headers.get("Content-Type"))) is not None:
        raise input_refusal(415, fault[0].upper() + fault[1:] + ".", ("Accept-Post", JSON))
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        expected = "Expected a body without Content-Encoding"
        raise input_refusal(415, f"{expected}, got {encoding[:80]!r}.", ("Accept-Encoding", "identity"))
    max_bytes = limits.max_body_bytes
    if (request.content_length or 0) > max_bytes:
        raise body_size_refusal(max_bytes)
    if request.content.is_eof():
        return _whole_body(request.content.read_nowait(), max_bytes, held)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout_seconds):
            async for chunk in request.content.iter_any():
                if len(body) + len(chunk) > max_bytes:
                    raise body_size_refusal(max_bytes)
                if not request.content.is_eof():
                    held.hold(len(chunk))
                body += chunk
    except (web.RequestPayloadError, HttpProcessingError):
        raise input_refusal(400, "Expected a complete HTTP body, got a broken one.", ("Connection", "close")) from None
    except TimeoutError:
        message = f"Expected the whole body within {limits.body_timeout_seconds:g} s, got {len(body)} bytes of it."
        raise input_refusal(408, message, ("Connection", "close")) from None
    return _whole_body(bytes(body), max_bytes, held)


def _whole_body(body: bytes, max_bytes: int, held: HeldRequest) -> bytes:
    """Hold a body that has arrived."""
    if len(body) > max_bytes:
        raise body_size_refusal(max_bytes)
    held.hold_complete(len(body))
    return body
