"""Builds the emulator's application: store, clock, routes and counters, wired together."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from gateway.emulator.auth import digest_of
from gateway.emulator.clock import Clock, SystemClock
from gateway.emulator.counts import COUNTS, RequestCounts
from gateway.emulator.endpoint import API_PREFIX, api_middleware, endpoint
from gateway.emulator.front_page import REQUESTS_PATH, reset_requests, show_front_page, show_requests
from gateway.emulator.objects import ApiVersion
from gateway.emulator.operations.registry import operations
from gateway.emulator.seed import seed
from gateway.emulator.store import Store


def create_app(
    *,
    database: str = ":memory:",
    clock: Clock | None = None,
    seed_keys: Sequence[str] = (),
    max_body_bytes: int = 4_194_304,
) -> web.Application:
    """Return an application that serves the API under ``/v1`` from the database file.

    Each of ``seed_keys`` finds the demo data in its partition. Raises DatabaseVersionError for a file of another
    version.
    """
    clock = clock or SystemClock()
    counts = RequestCounts()
    store = Store(database)
    for key in seed_keys:
        seed(store, digest_of(key), clock.now())
    app = web.Application(middlewares=[api_middleware(counts)], client_max_size=max_body_bytes)
    app[COUNTS] = counts
    _add_operations(app, store, clock)
    app.router.add_route("GET", "/", show_front_page)
    app.router.add_route("GET", REQUESTS_PATH, show_requests)
    app.router.add_route("DELETE", REQUESTS_PATH, reset_requests)

    async def close_store(_: web.Application) -> AsyncIterator[None]:
        yield
        store.close()

    app.cleanup_ctx.append(close_store)
    return app


def _add_operations(app: web.Application, store: Store, clock: Clock) -> None:
    known_paths: defaultdict[str, set[ApiVersion]] = defaultdict(set)
    for operation in operations():
        known_paths[operation.path] |= operation.versions
    for operation in operations():
        handler = endpoint(operation, store, clock, frozenset(known_paths[operation.path]))
        app.router.add_route(operation.method, API_PREFIX + operation.path, handler, name=operation.name)
