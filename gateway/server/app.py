"""The aiohttp application and the sockets it listens on."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web

from gateway.identity.allowed_origins import AllowedOrigins
from gateway.server.endpoint import GraphQLEndpoint, handle_exceptions
from gateway.server.health import ReadinessProbe, health_routes
from gateway.server.http.called_address import remember_called_address
from gateway.server.http.cors import add_cors_headers, is_preflight, preflight_response
from gateway.server.http.graphql_response import error_response
from gateway.server.http.held_bytes import UnfinishedBytes
from gateway.server.http.operation_runner import OperationTasks
from gateway.server.http.refusals import Refusal
from gateway.server.http.request_reader import request_id_from
from gateway.server.sockets.connection import SERVER_NAME
from gateway.server.sockets.connection_limits import ConnectionLimits
from gateway.server.sockets.listener import Listener, bind_sockets
from gateway.telemetry.request_ids import REQUEST_ID_HEADER

_logger = logging.getLogger(__name__)

OPERATION_TASKS = web.AppKey("operations", OperationTasks)
"""The operations in flight. `listening` waits for them before it closes."""

CONNECTION_LIMITS = web.AppKey("connection_limits", ConnectionLimits)
"""The limits of all connections. An application without them gets the defaults."""

ALLOWED_ORIGINS = web.AppKey("allowed_origins", AllowedOrigins)
"""The origins whose pages may call. An application without them has no CORS headers."""

UNFINISHED_BYTES = web.AppKey("unfinished_bytes", UnfinishedBytes)
"""What is held of unfinished requests. An application without it does not bound the messages of WebSockets in sum."""

FLUSH_SECONDS = 1.0
"""How long responses may take to be sent once no operation is in flight."""


def create_app(
    endpoint: GraphQLEndpoint,
    probe: ReadinessProbe,
    routes: Iterable[web.AbstractRouteDef] = (),
    *,
    serves_schema: bool = True,
    max_connections: int = ConnectionLimits().max_connections,
) -> web.Application:
    """Make the application: `/graphql`, `/schema.graphql`, health, the additional `routes`, and a redirect from `/`."""
    app = web.Application(middlewares=[_preflight_middleware, _exception_middleware])
    app[ALLOWED_ORIGINS] = endpoint.authenticator.origins
    app[OPERATION_TASKS] = endpoint.operation_tasks
    app[UNFINISHED_BYTES] = endpoint.unfinished_bytes
    stalled_client_seconds = endpoint.connections.limits.stalled_client_seconds
    app[CONNECTION_LIMITS] = ConnectionLimits(
        max_connections,
        stalled_client_seconds=stalled_client_seconds,
        max_unread_bytes=endpoint.max_unread_bytes,
    )
    app.router.add_route("*", "/graphql", endpoint.handle)
    if serves_schema:
        app.router.add_get("/schema.graphql", endpoint.handle_schema)
    app.router.add_get("/", _redirect_to_graphql)
    app.add_routes(health_routes(probe))
    app.add_routes(routes)

    async def close_endpoint(_: web.Application) -> None:
        await endpoint.aclose()

    async def close_probe(_: web.Application) -> None:
        await probe.aclose()

    app.on_shutdown.append(close_endpoint)
    app.on_cleanup.append(close_probe)
    return app


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str,
    port: int,
    *,
    drain_seconds: float = 0.0,
    shutdown_seconds: float = 0.0,
    sockets: Sequence[socket.socket] | None = None,
) -> AsyncIterator[str]:
    """Serve an application on an address, or on `sockets` that listen already.

    At the end, `/readyz` says for `drain_seconds` that this process is stopping, so that a load balancer looks for
    another one; requests are still served, and each response closes its connection. Then operations in flight get
    `shutdown_seconds`, and new ones are refused.

    Yields:
        The base URL, with the port that was taken.

    Raises:
        OSError: The address cannot be used.
    """
    runner = web.AppRunner(
        app,
        # A caller that disconnects cancels its operation; `OperationTasks` shields those that write.
        handler_cancellation=True,
        handle_signals=False,
        shutdown_timeout=FLUSH_SECONDS,
    )
    app.on_response_prepare.append(_complete_headers)
    listener = None
    try:
        await runner.setup()
        limits = app.get(CONNECTION_LIMITS) or ConnectionLimits()
        listener = Listener(cast("web.Server", runner.server), limits, app.get(UNFINISHED_BYTES))
        yield base_url(*listener.listen(await bind_sockets(host, port) if sockets is None else sockets))
    finally:
        if OPERATION_TASKS in app:
            await app[OPERATION_TASKS].drain(drain_seconds)
            await app[OPERATION_TASKS].stop(shutdown_seconds)
        if listener is not None:
            await listener.close(FLUSH_SECONDS)
        await runner.cleanup()
        if listener is not None:
            await listener.end_lingering(FLUSH_SECONDS)


async def _complete_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER_NAME
    if ALLOWED_ORIGINS in request.app:
        response.headers[REQUEST_ID_HEADER] = request_id_from(request)
    if (origins := request.app.get(ALLOWED_ORIGINS)) is not None:
        add_cors_headers(response.headers, request.headers.get("Origin"), origins)
    tasks = request.app.get(OPERATION_TASKS)
    if tasks is not None and tasks.is_draining and response.status != 101:
        response.force_close()
        response.headers["Connection"] = "close"


def base_url(host: str, port: int) -> str:
    """Return the URL of an address for a person on this machine."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - shown, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


async def _redirect_to_graphql(request: web.Request) -> web.StreamResponse:  # noqa: ARG001 - a handler's signature
    raise web.HTTPFound("/graphql")


@web.middleware
async def _preflight_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if not is_preflight(request):
        remember_called_address(request)
        return await handler(request)
    try:
        return preflight_response(request, request.app[ALLOWED_ORIGINS])
    except Refusal as refused:
        # A browser does not show its page the response, so the log says too which setting changes it.
        _logger.info("a preflight request was refused: %s", refused.error.message)
        return error_response(refused.status, refused.error, request_id=request_id_from(request))


_exception_middleware = web.middleware(handle_exceptions)
