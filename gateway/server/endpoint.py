"""`/graphql`: reads a request, runs its operation, answers; everything it decides is decided elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from gateway.identity.credentials import CredentialRefusedError, Keys, decide_credential
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.http.graphql_response import error_body, error_response, result_body, result_response
from gateway.server.http.media_types import (
    EVENT_STREAM,
    GRAPHQL_RESPONSE,
    HTML,
    JSON,
    accepts_event_stream,
    choose_response_type,
)
from gateway.server.http.operation_runner import BindApi, BindEvents, OperationRunner
from gateway.server.http.operation_tasks import OperationStoppedError, OperationTasks
from gateway.server.http.refusals import Refusal, ended, method_refusal, refusal, stopping, wrong_operation_type
from gateway.server.http.request_limits import RequestLimits
from gateway.server.http.request_reader import describe_caller, read_request
from gateway.server.live.event_streams import EventStreams, single_response
from gateway.server.live.fan_out import FanOut
from gateway.server.live.live_connections import LiveConnections
from gateway.server.live.socket_operations import SocketServices
from gateway.server.live.websocket import asks_for_websocket, serve_socket
from schema.contract.errors import ErrorCode, GatewayError
from schema.engine.public_errors import mask_error
from schema.operations.gateway_schema import GatewaySchema

_logger = logging.getLogger(__name__)

Page: TypeAlias = Callable[[web.Request], web.Response]

COST_HEADER = "GraphQL-Cost"
"""With the value 1, the answer reports its cost in `extensions.cost`."""


class GraphQLEndpoint:
    """Answers `/graphql`: by POST and GET, to the letter of GraphQL over HTTP; as an event stream; as a WebSocket.

    A POST must be `application/json`, so a browser asks before it sends one for another site's page; nothing answers
    that question, so it is never sent. `page` renders what a browser gets that asks for HTML.
    """

    def __init__(
        self,
        schema: GatewaySchema,
        bind: BindApi,
        bind_events: BindEvents | None = None,
        *,
        keys: Keys,
        upstream: UpstreamIdentity,
        limits: RequestLimits | None = None,
        page: Page | None = None,
        always_report_cost: bool = False,
    ) -> None:
        """Run operations of `schema` over the ports that `bind` and `bind_events` make for a principal."""
        self._keys = keys
        self._upstream = upstream
        self._page = page
        self._executor = OperationRunner(
            schema, bind, bind_events, limits=limits, always_report_cost=always_report_cost
        )
        self.operations = OperationTasks()
        most = self._executor.limits.subscriptions
        deliveries = FanOut(self._executor, max_per_principal=most.max_subscriptions_per_principal)
        self.connections = LiveConnections(most, deliveries)
        self.operations.at_stop(self.connections.send_away)
        self._streams = EventStreams(self.connections)
        self._sockets = SocketServices(self._executor, self.operations, self.connections, keys, upstream)

    async def aclose(self) -> None:
        """Send away whoever still follows something, and end what is under way for them."""
        await self.connections.aclose()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of any method."""
        started = time.perf_counter()
        accept = ",".join(request.headers.getall("Accept", [])) or None
        media_type = choose_response_type(accept, html=self._page is not None and request.method == "GET")
        response: web.StreamResponse
        try:
            if request.method not in {"GET", "POST"}:
                raise method_refusal(f"Expected GET or POST, got {request.method}.", "GET, POST")
            if asks_for_websocket(request):
                response = await self._open_socket(request)
            elif media_type is None:
                expected = f"Expected Accept to allow {GRAPHQL_RESPONSE} or {JSON}"
                raise refusal(406, f"{expected}, got {request.headers.get('Accept', '')[:80]!r}.")
            elif media_type == HTML and self._page is not None:
                return self._page(request)
            else:
                response = await self._answer(request, media_type, accept)
        except Refusal as refused:
            error_type = GRAPHQL_RESPONSE if media_type == GRAPHQL_RESPONSE else JSON
            response = error_response(refused.status, refused.error, error_type, dict(refused.headers))
        _logger.info(
            "%s /graphql %d in %.0f ms", request.method, response.status, 1000 * (time.perf_counter() - started)
        )
        return response

    async def _open_socket(self, request: web.Request) -> web.StreamResponse:
        if self.operations.stopping:
            raise stopping()
        return await serve_socket(request, self._sockets)

    async def _answer(self, request: web.Request, media_type: str, accept: str | None) -> web.StreamResponse:
        if self.operations.stopping:
            raise stopping()
        principal = self._principal(request)
        asked = await read_request(request, self._executor.limits)
        read = self._executor.read(asked)
        if (unclear := read.ambiguity) is not None:
            return _unrunnable(unclear, media_type)
        if accepts_event_stream(accept) and read.is_subscription:
            return await self._streams.answer(request, read, principal)
        allowed = {OperationType.QUERY} if request.method == "GET" else {OperationType.QUERY, OperationType.MUTATION}
        report_cost = request.headers.get(COST_HEADER, "").strip() == "1"
        running = self._executor.execute(read, principal, allowed, report_cost=report_cost)
        try:
            result = await self.operations.run(running, finish=request.method == "POST" and asked.may_write)
        except InvalidOperationTypeError as error:
            raise wrong_operation_type(request.method, error) from None
        except OperationStoppedError as stopped:
            raise (ended() if stopped.begun and asked.may_write else stopping()) from None
        except GatewayError as unknown:
            return _unrunnable(unknown, media_type)
        if media_type == EVENT_STREAM:
            return single_response(result_body(result).body)
        return result_response(result, media_type)

    def _principal(self, request: web.Request) -> Principal:
        try:
            return Principal.of(decide_credential(describe_caller(request), self._keys), self._upstream)
        except CredentialRefusedError as refused:
            challenge = (("WWW-Authenticate", "Bearer"),) if refused.status == 401 else ()
            raise Refusal(refused.status, refused.error, challenge) from None


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
    except Exception as error:
        return error_response(500, mask_error(error, "answering a request"))


def _unrunnable(error: GatewayError, media_type: str) -> web.Response:
    """Answer a well-formed request that cannot be run: told apart by the media type, as a failed validation is."""
    if media_type == EVENT_STREAM:
        return single_response({"errors": [error_body(error)]})
    return error_response(400 if media_type == GRAPHQL_RESPONSE else 200, error, media_type)
