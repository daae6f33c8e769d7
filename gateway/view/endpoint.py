"""`/graphql`: reads a request, runs its operation, answers; everything it decides is decided elsewhere."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import strawberry
from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from gateway.auth.credentials import Caller, Keys, RefusedError, decide_credential
from gateway.auth.principal import Principal, Upstream
from gateway.view.media_types import GRAPHQL_RESPONSE, HTML, JSON, choose_response_type, request_type_fault
from gateway.view.operations import Operations, OperationStoppedError
from gateway.view.requests import GraphQLRequest, ambiguity, read_body, read_query_string
from gateway.view.responses import error_response, json_response, result_response
from schema.context import Context
from schema.errors import ErrorCode, GatewayError, shown
from schema.paging import PagingLimits
from schema.ports import ThreadsApi

logger = logging.getLogger(__name__)

BindApi = Callable[[Principal], ThreadsApi]
Page = Callable[[web.Request], web.Response]

COST_HEADER = "GraphQL-Cost"
"""With the value 1, the answer reports its cost in `extensions.cost`."""


@dataclass(frozen=True, slots=True)
class ViewLimits:
    """What one request may cost: its body, its document, one batch of its loads, one page of its connections."""

    max_body_bytes: int = 1 << 20
    body_timeout_seconds: float = 10.0
    max_query_tokens: int = 10_000
    load_deadline_seconds: float = 60.0
    paging: PagingLimits = field(default_factory=PagingLimits)


class _Refusal(Exception):  # noqa: N818 - an answer, not a fault of ours
    def __init__(self, status: int, error: GatewayError, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers


class GraphQLEndpoint:
    """Answers `/graphql` by POST and GET, to the letter of GraphQL over HTTP.

    A POST must be `application/json`, so a browser asks before it sends one for another site's page; nothing answers
    that question, so it is never sent. `page` renders what a browser gets that asks for HTML.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        bind: BindApi,
        *,
        keys: Keys,
        upstream: Upstream,
        limits: ViewLimits | None = None,
        page: Page | None = None,
        operations: Operations | None = None,
        always_report_cost: bool = False,
    ) -> None:
        """Run operations of `schema` over the port that `bind` makes for a principal."""
        self._always_report_cost = always_report_cost
        self._schema = schema
        self._bind = bind
        self._keys = keys
        self._upstream = upstream
        self._limits = limits or ViewLimits()
        self._page = page
        self.operations = operations or Operations()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of any method."""
        started = time.perf_counter()
        media_type = choose_response_type(
            ",".join(request.headers.getall("Accept", [])) or None,
            html=self._page is not None and request.method == "GET",
        )
        try:
            if request.method not in {"GET", "POST"}:
                raise _method_refusal(f"Expected GET or POST, got {request.method}.", "GET, POST")
            if media_type is None:
                expected = f"Expected Accept to allow {GRAPHQL_RESPONSE} or {JSON}"
                raise _refusal(406, f"{expected}, got {request.headers.get('Accept', '')[:80]!r}.")
            if media_type == HTML and self._page is not None:
                return self._page(request)
            response = await self._answer(request, media_type)
        except _Refusal as refusal:
            response = error_response(refusal.status, refusal.error, media_type or JSON, dict(refusal.headers))
        logger.info(
            "%s /graphql %d in %.0f ms", request.method, response.status, 1000 * (time.perf_counter() - started)
        )
        return response

    async def _answer(self, request: web.Request, media_type: str) -> web.Response:
        if self.operations.stopping:
            raise _stopping()
        principal = self._principal(request)
        asked = await self._read(request)
        if (unclear := ambiguity(asked, self._limits.max_query_tokens)) is not None:
            # A well-formed request that cannot be run: told apart by the media type, as a failed validation is.
            return error_response(400 if media_type == GRAPHQL_RESPONSE else 200, unclear, media_type)
        allowed = {OperationType.QUERY} if request.method == "GET" else {OperationType.QUERY, OperationType.MUTATION}
        report_cost = self._always_report_cost or request.headers.get(COST_HEADER, "").strip() == "1"
        running = self._execute(asked, principal, allowed, report_cost=report_cost)
        try:
            result = await self.operations.run(running, finish=request.method == "POST" and asked.may_write)
        except InvalidOperationTypeError as error:
            raise _wrong_operation_type(request.method, error) from None
        except OperationStoppedError as stopped:
            raise (_ended() if stopped.begun and asked.may_write else _stopping()) from None
        except CannotGetOperationTypeError:
            unknown = _unknown_operation(asked.operation_name)
            return error_response(400 if media_type == GRAPHQL_RESPONSE else 200, unknown, media_type)
        return result_response(result, media_type)

    async def _execute(
        self, asked: GraphQLRequest, principal: Principal, allowed: set[OperationType], *, report_cost: bool
    ) -> ExecutionResult:
        context = Context(
            self._bind(principal),
            self._limits.paging,
            deadline_seconds=self._limits.load_deadline_seconds,
            reports_cost=report_cost,
        )
        try:
            return await self._schema.execute(
                asked.query,
                variable_values=dict(asked.variables) if asked.variables else None,
                context_value=context,
                operation_name=asked.operation_name,
                allowed_operation_types=allowed,
            )
        finally:
            await context.aclose()

    def _principal(self, request: web.Request) -> Principal:
        try:
            return Principal.of(decide_credential(describe_caller(request), self._keys), self._upstream)
        except RefusedError as refused:
            challenge = (("WWW-Authenticate", "Bearer"),) if refused.status == 401 else ()
            raise _Refusal(refused.status, refused.error, challenge) from None

    async def _read(self, request: web.Request) -> GraphQLRequest:
        try:
            if request.method == "GET":
                return read_query_string(_query_pairs(request))
            return read_body(await self._read_bytes(request))
        except GatewayError as error:
            raise _Refusal(400, error) from None

    async def _read_bytes(self, request: web.Request) -> bytes:
        if (wrong := request_type_fault(request.headers.get("Content-Type"))) is not None:
            raise _refusal(415, wrong[0].upper() + wrong[1:] + ".", ("Accept-Post", JSON))
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            expected = "Expected a body without Content-Encoding"
            raise _refusal(415, f"{expected}, got {encoding[:80]!r}.", ("Accept-Encoding", "identity"))
        most = self._limits.max_body_bytes
        if (request.content_length or 0) > most:
            raise _too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_timeout_seconds):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > most:
                        raise _too_large(most)
        except (web.RequestPayloadError, HttpProcessingError):
            raise _refusal(400, "Expected a complete HTTP body, got a broken one.", ("Connection", "close")) from None
        except TimeoutError:
            late = (
                f"Expected the whole body within {self._limits.body_timeout_seconds:g} s, got {len(body)} bytes of it."
            )
            raise _refusal(408, late, ("Connection", "close")) from None
        return bytes(body)


def describe_caller(request: web.Request) -> Caller:
    """What the rules of credentials need to know of a request."""
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    hosts = request.headers.getall("Host", [])
    return Caller(
        peer=peer[0] if isinstance(peer, tuple) else None,
        scheme=request.scheme,
        host=hosts[0] if len(hosts) == 1 else "",
        authorization=tuple(request.headers.getall("Authorization", [])),
        headers=frozenset(name.lower() for name in request.headers),
        origin=request.headers.get("Origin"),
        fetch_site=request.headers.get("Sec-Fetch-Site"),
        is_http_1_0=request.version < HttpVersion11,
    )


async def answer_failure(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Run a handler; an unexpected exception becomes a masked error with an id that the log has too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        code = ErrorCode.NOT_FOUND if error.status == 404 else ErrorCode.BAD_USER_INPUT
        return error_response(error.status, GatewayError(code, f"{error.reason}."), headers=headers)
    except Exception:
        error_id = secrets.token_hex(8)
        logger.exception("unexpected error %s", error_id)
        message = f"Something unexpected went wrong in the gateway; its log has it under {error_id}."
        extensions = {**GatewayError(ErrorCode.INTERNAL, message).extensions, "errorId": error_id}
        return json_response({"errors": [{"message": message, "extensions": extensions}]}, 500)


def _query_pairs(request: web.Request) -> list[tuple[str, str]]:
    try:
        return parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True, errors="strict")
    except ValueError:
        raise GatewayError(ErrorCode.BAD_USER_INPUT, "Expected a query string in UTF-8, got other bytes.") from None


def _wrong_operation_type(method: str, error: InvalidOperationTypeError) -> _Refusal:
    kind = error.operation_type.value
    if method == "GET" and error.operation_type is OperationType.MUTATION:
        return _method_refusal("Expected a query by GET, got a mutation: send it by POST.", "POST")
    return _refusal(400, f"Expected a query or a mutation over plain HTTP, got a {kind}.")


def _unknown_operation(name: str | None) -> GatewayError:
    if name is None:
        return GatewayError(
            ErrorCode.BAD_USER_INPUT, "Expected a document with an operation, got none.", argument="query"
        )
    expected = "Expected 'operationName' to name an operation of the document"
    return GatewayError(ErrorCode.BAD_USER_INPUT, f"{expected}, got {shown(name)}.", argument="operationName")


def _refusal(status: int, message: str, *headers: tuple[str, str]) -> _Refusal:
    return _Refusal(status, GatewayError(ErrorCode.BAD_USER_INPUT, message), headers)


def _method_refusal(message: str, allow: str) -> _Refusal:
    return _refusal(405, message, ("Allow", allow))


def _ended() -> _Refusal:
    # Without Retry-After, by which a proxy knows that it may ask another gateway (docker/nginx.conf).
    message = "The gateway stopped before this was over; some of it may have been written."
    return _Refusal(503, GatewayError(ErrorCode.GATEWAY_STOPPING, message, retryable=False), (("Connection", "close"),))


def _stopping() -> _Refusal:
    error = GatewayError(ErrorCode.GATEWAY_STOPPING, "The gateway is stopping; ask again.")
    return _Refusal(503, error, (("Retry-After", "1"), ("Connection", "close")))


def _too_large(most: int) -> _Refusal:
    return _refusal(413, f"Expected a body of at most {most} bytes, got more.", ("Connection", "close"))
