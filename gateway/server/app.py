"""The aiohttp application and the socket it listens on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.server.endpoint import GraphQLEndpoint, handle_exceptions
from gateway.server.health import ReadinessProbe, health_routes
from gateway.server.http.operation_tasks import OperationTasks

OPERATION_TASKS = web.AppKey("operations", OperationTasks)
"""The operations in flight. `listening` waits for them before it closes."""

MAX_LINE_BYTES = 32 * 1024
"""Longest request line, which holds the document of a GET."""

MAX_HEADER_BYTES = 16 * 1024
"""Longest header. It is above the limit of `Authorization`, so that one too long gets a clear error."""

IDLE_SECONDS = 75.0
"""How long a connection may be idle: longer than the 60 seconds after which load balancers close it."""

FLUSH_SECONDS = 1.0
"""How long responses may take to be sent once no operation is in flight."""


def create_app(
    endpoint: GraphQLEndpoint, probe: ReadinessProbe, routes: Iterable[web.AbstractRouteDef] = ()
) -> web.Application:
    """Make the application: `/graphql`, health, the additional `routes`, and a redirect from `/` to `/graphql`."""
    app = web.Application(middlewares=[_exception_middleware])
    app[OPERATION_TASKS] = endpoint.operation_tasks
    app.router.add_route("*", "/graphql", endpoint.handle)
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
    shutdown_seconds: float = 0.0,
    idle_seconds: float = IDLE_SECONDS,
) -> AsyncIterator[str]:
    """Serve an application on a socket.

    A connection that sends nothing, or only a part of its headers, for `idle_seconds` is closed. At the end, operations
    in flight get `shutdown_seconds`. Meanwhile the socket still answers, so that a load balancer learns from `/readyz`
    that this process is stopping.

    Yields:
        The base URL, with the port that was taken.

    Raises:
        OSError: The address cannot be used.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        # A caller that disconnects cancels its operation; `OperationTasks` shields those that write.
        handler_cancellation=True,
        handle_signals=False,
        # Compressed bodies are refused, so none is unpacked.
        auto_decompress=False,
        keepalive_timeout=idle_seconds,
        max_field_size=MAX_HEADER_BYTES,
        max_line_size=MAX_LINE_BYTES,
        shutdown_timeout=FLUSH_SECONDS,
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        yield _base_url(runner.addresses[0])
    finally:
        if OPERATION_TASKS in app:
            await app[OPERATION_TASKS].stop(shutdown_seconds)
        await runner.cleanup()


def _base_url(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    host, port = address[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - shown, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


async def _redirect_to_graphql(request: web.Request) -> web.StreamResponse:  # noqa: ARG001 - a handler's signature
    raise web.HTTPFound("/graphql")


_exception_middleware = web.middleware(handle_exceptions)
