"""The endpoint `/graphql`: reads a request, runs its operation and responds, by rules that stand in other modules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from aiohttp import web
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from gateway.identity.authenticator import Authenticator
from gateway.identity.credentials import CredentialRefusedError
from gateway.identity.principal import Principal
from gateway.media_types import (
    EVENT_STREAM,
    GRAPHQL_RESPONSE,
    HTML,
    JSON,
    accepts_event_stream,
    choose_response_type,
)
from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.documents.trusted_documents import DocumentRefusedError
from gateway.server.http.graphql_request import ParsedRequest
from gateway.server.http.graphql_response import (
    error_body,
    error_response,
    result_body,
    result_response,
    with_request_id,
)
from gateway.server.http.held_bytes import HeldRequest, UnfinishedBytes
from gateway.server.http.operation_runner import OperationRunner, OperationStoppedError, OperationTasks
from gateway.server.http.refusals import (
    Refusal,
    credential_refusal,
    input_refusal,
    interrupted_refusal,
    method_refusal,
    operation_type_refusal,
    rate_limit_refusal,
    stopping_refusal,
)
from gateway.server.http.request_reader import (
    caller_from_request,
    read_request,
    request_id_from,
)
from gateway.server.live.event_streams import EventStreams, single_event_response
from gateway.server.live.fan_out import FanOut
from gateway.server.live.live_connections import LiveConnections
from gateway.server.live.socket_operations import SocketServices
from gateway.server.live.websocket import is_websocket_upgrade, serve_websocket
from gateway.telemetry.operation_log import log_end
from gateway.telemetry.operation_observer import OperationObserver
from gateway.telemetry.operation_record import OperationRecord, Outcome, Transport, current_operation
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.rate_limits import RateLimitedError
from schema.engine.public_errors import mask_error

RenderPage: TypeAlias = Callable[[web.Request], web.Response]

MAX_UNFINISHED_BYTES = 64 << 20
"""Bytes of requests that may be held until their operations end, or one body if it may be larger."""

MAX_UNREAD_BYTES = 256 << 20
"""Bytes that may wait for all clients together, or two responses if they may be larger."""

COST_HEADER = "GraphQL-Cost"
"""Request header: with the value 1, the response reports its cost in `extensions.cost`."""

SCHEMA_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}

MAX_INTROSPECTION_BYTES = 4 << 10
"""The largest body, or document, of a caller without a credential. The longest of the usual tools has 2 KiB."""


REFUSED_DOCUMENT_STATUSES = {ErrorCode.PERSISTED_QUERY_HASH_MISMATCH: 400, ErrorCode.DOCUMENT_NOT_TRUSTED: 403}
"""The statuses of documents that no client may send again. Others are request errors like any."""


class GraphQLEndpoint:
    """Serves `/graphql` over POST and GET, as GraphQL over HTTP has it, over event streams and over WebSockets.

    A POST must be `application/json`, so a browser sends a preflight request before it sends one for a page of another
    origin. The preflight of an origin that is not allowed is refused, so such a POST is never sent. `page` renders the
    response for a browser that asks for HTML.
    """

    def __init__(
        self,
        runner: OperationRunner,
        *,
        authenticator: Authenticator,
        documents: DocumentPolicy | None = None,
        page: RenderPage | None = None,
    ) -> None:
        """Run the operations of all transports with `runner`."""
        self.authenticator = authenticator
        self._documents = documents or DocumentPolicy()
        self._page = page
        self._runner = runner
        self.operation_tasks = OperationTasks()
        self.unfinished_bytes = UnfinishedBytes(max(MAX_UNFINISHED_BYTES, self._runner.limits.max_body_bytes))
        self.max_unread_bytes = max(MAX_UNREAD_BYTES, 2 * self._runner.limits.max_answer_bytes)
        subscription_limits = self._runner.limits.subscriptions
        fan_out = FanOut(self._runner, max_per_principal=subscription_limits.max_subscriptions_per_principal)
        self.connections = LiveConnections(subscription_limits, fan_out)
        self.operation_tasks.on_stop(self.connections.request_reconnects)
        self._streams = EventStreams(self.connections)
        self._sockets = SocketServices(
            self._runner,
            self.operation_tasks,
            self.connections,
            authenticator,
            self.unfinished_bytes,
            documents=self._documents,
        )

    async def aclose(self) -> None:
        """Ask the clients of long-lived connections to reconnect, and end their operations."""
        await self.connections.aclose()
        self._runner.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Respond to a request of any method. Logs the operation, unless it ends in its own time."""
        record = OperationRecord(request_id_from(request), Transport.HTTP)
        return await handle_recorded(request, record, self._handle, self._runner.observer)

    async def _handle(self, request: web.Request, record: OperationRecord) -> web.StreamResponse:
        accept = ",".join(request.headers.getall("Accept", [])) or None
        media_type = choose_response_type(accept, html=self._page is not None and request.method == "GET")
        response: web.StreamResponse
        try:
            if request.method not in {"GET", "POST"}:
                raise method_refusal(f"Expected GET or POST, got {request.method}.", "GET, POST")
            if is_websocket_upgrade(request):
                record.transport = Transport.WEBSOCKET
                response = await self._open_websocket(request, record)
            elif media_type is None:
                expected = f"Expected Accept to allow {GRAPHQL_RESPONSE} or {JSON}"
                raise input_refusal(406, f"{expected}, got {request.headers.get('Accept', '')[:80]!r}.")
            elif media_type == HTML and self._page is not None:
                record.end(Outcome.OK)  # a page is no operation
                response = self._page(request)
            else:
                if media_type == EVENT_STREAM:
                    record.transport = Transport.SSE
                with HeldRequest(self.unfinished_bytes) as held:
                    response = await self._respond(request, media_type, accept, held, record)
        except DocumentRefusedError as refused_document:
            response = _not_executed_response(refused_document, media_type or JSON, record)
        except Refusal as refused:
            log_end(record, Outcome.REFUSED, [refused.error.code])
            error_type = GRAPHQL_RESPONSE if media_type == GRAPHQL_RESPONSE else JSON
            headers = dict(refused.headers)
            response = error_response(refused.status, refused.error, error_type, headers, request_id=record.request_id)
        return response

    async def handle_schema(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's signature
        """Respond with the schema as text, as `threads-gateway schema` prints it. Nobody needs a credential for it."""
        return web.Response(text=self._runner.schema_text, headers=SCHEMA_HEADERS)

    async def _open_websocket(self, request: web.Request, record: OperationRecord) -> web.StreamResponse:
        if self.operation_tasks.is_stopping:
            raise stopping_refusal()
        response = await serve_websocket(request, self._sockets)
        record.end(Outcome.OK)
        return response

    async def _respond(
        self, request: web.Request, media_type: str, accept: str | None, held: HeldRequest, record: OperationRecord
    ) -> web.StreamResponse:
        if self.operation_tasks.is_stopping:
            raise stopping_refusal()
        parsed, principal = await self._read(request, held, record)
        if (ambiguity := parsed.ambiguity_error) is not None:
            return _not_executed_response(ambiguity, media_type, record)
        if accepts_event_stream(accept) and parsed.is_subscription:
            return await self._streams.respond(request, parsed, principal)
        allowed = {OperationType.QUERY} if request.method == "GET" else {OperationType.QUERY, OperationType.MUTATION}
        report_cost = request.headers.get(COST_HEADER, "").strip() == "1"
        execution = self._runner.execute(parsed, principal, allowed, report_cost=report_cost)
        try:
            result = await self.operation_tasks.run(
                execution, shield=parsed.is_mutation, on_abandoned=held.release_after
            )
        except InvalidOperationTypeError as error:
            raise operation_type_refusal(request.method, error) from None
        except OperationStoppedError as stopped:
            raise (interrupted_refusal() if stopped.started and parsed.is_mutation else stopping_refusal()) from None
        except RateLimitedError as limited:
            raise rate_limit_refusal(limited) from None
        except GatewayError as unknown_operation:
            return _not_executed_response(unknown_operation, media_type, record)
        if media_type == EVENT_STREAM:
            return single_event_response(with_request_id(result_body(result).body, record.request_id))
        return result_response(result, media_type, record.request_id)

    async def _read(
        self, request: web.Request, held: HeldRequest, record: OperationRecord
    ) -> tuple[ParsedRequest, Principal]:
        """Read the operation and its principal. An operation that asks for the schema alone needs no credential."""
        try:
            principal = await self.authenticator.authenticate(caller_from_request(request))
        except CredentialRefusedError as refused:
            if refused.status == 401 and (parsed := await self._read_introspection(request, held)) is not None:
                return parsed, self.authenticator.stranger
            raise credential_refusal(refused) from None
        record.principal = principal
        graphql_request = await read_request(request, self._runner.limits, held, self._documents)
        return await self._runner.parse_request(graphql_request, principal), principal

    async def _read_introspection(self, request: web.Request, held: HeldRequest) -> ParsedRequest | None:
        """Read the operation of a caller without a credential. Returns None unless it asks for the schema alone."""
        limits = self._runner.limits
        short = replace(limits, max_body_bytes=min(limits.max_body_bytes, MAX_INTROSPECTION_BYTES))
        try:
            graphql_request = await read_request(request, short, held, self._documents)
        except (Refusal, DocumentRefusedError):
            return None
        if not graphql_request.may_introspect or len(graphql_request.query) > MAX_INTROSPECTION_BYTES:
            return None
        return await self._runner.parse_introspection(graphql_request)


async def handle_recorded(
    request: web.Request,
    record: OperationRecord,
    respond: Callable[[web.Request, OperationRecord], Awaitable[web.StreamResponse]],
    observer: OperationObserver,
) -> web.StreamResponse:
    """Respond to a request under the record of its operation, and log how it ended, unless it ends in its own time."""
    observer.begin(record, request.headers)

    async def respond_with_record(request: web.Request) -> web.StreamResponse:
        return await respond(request, record)

    with current_operation(record):
        try:
            response = await handle_exceptions(request, respond_with_record)
        except asyncio.CancelledError:
            # Each operation of a WebSocket has a record of its own, and a mutation goes on.
            if record.transport is not Transport.WEBSOCKET and not record.is_executing:
                log_end(record, Outcome.CANCELLED)
            raise
        log_end(record, Outcome.ERRORS, [ErrorCode.INTERNAL])
        return response


async def handle_exceptions(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Run a handler and respond to its exceptions with GraphQL errors.

    An unexpected exception is masked and logged. The response and the log show the same error id.
    """
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        error.__traceback__ = None  # its frames have the request, which has the error
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        code = ErrorCode.NOT_FOUND if error.status == 404 else ErrorCode.BAD_USER_INPUT
        reason = GatewayError(code, f"{error.reason}.")
        return error_response(error.status, reason, headers=headers, request_id=request_id_from(request))
    except Exception as error:
        return error_response(500, mask_error(error, "answering a request"), request_id=request_id_from(request))


def _not_executed_response(error: GatewayError, media_type: str, record: OperationRecord) -> web.Response:
    """Respond to a request whose operation cannot be chosen, in the form that its media type has for request errors."""
    log_end(record, Outcome.REFUSED, [error.code])
    if media_type == EVENT_STREAM:
        return single_event_response(with_request_id({"errors": [error_body(error)]}, record.request_id))
    status = REFUSED_DOCUMENT_STATUSES.get(error.code, 400 if media_type == GRAPHQL_RESPONSE else 200)
    return error_response(status, error, media_type, request_id=record.request_id)
