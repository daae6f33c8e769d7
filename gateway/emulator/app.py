"""The emulator's web application: store, clock, routes and request counts, put together."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Final

from aiohttp import web

from gateway.emulator.clock import Clock, SystemClock
from gateway.emulator.demo.seed import seed_demo
from gateway.emulator.faults.fault_control import FAULTS, add_fault_control
from gateway.emulator.faults.fault_rules import FaultRule, Faults
from gateway.emulator.faults.faulty_answers import fault_middleware
from gateway.emulator.http.api_endpoint import API_PREFIX, api_middleware, operation_handler, refusal_middleware
from gateway.emulator.http.front_page import REQUESTS_PATH, reset_requests, show_front_page, show_requests
from gateway.emulator.http.partitions import partition_from_key
from gateway.emulator.http.request_counts import COUNTS, UNKNOWN_OPERATION, RequestCounts
from gateway.emulator.model.model_client import ModelOptions
from gateway.emulator.model.model_runs import MODEL_RUNS, ModelRuns, fail_interrupted_runs
from gateway.emulator.objects import ApiVersion
from gateway.emulator.operations.registry import operations
from gateway.emulator.state.store import Store
from gateway.emulator.streams.open_streams import OpenStreams

STREAMS: Final = web.AppKey("STREAMS", OpenStreams)


def create_app(
    *,
    database: str = ":memory:",
    clock: Clock | None = None,
    seed_keys: Sequence[str] = (),
    max_body_bytes: int = 4_194_304,
    faults: Sequence[FaultRule] = (),
    fault_control: bool = False,
    model: ModelOptions | None = None,
) -> web.Application:
    """Return an application that serves the API under `/v1` from the database file.

    Args:
        database: Path of a SQLite file, or `:memory:`.
        clock: The system's clock if None.
        seed_keys: API keys that see the demo data.
        max_body_bytes: Largest request body.
        faults: Fault rules that are active from the start.
        fault_control: Whether a route may change the fault rules.
        model: The model that answers runs. Without it, scripts answer.

    Raises:
        DatabaseVersionError: The file was written by another version.
        FaultRuleError: A rule matches no operation.
    """
    clock = clock or SystemClock()
    counts = RequestCounts()
    active_faults = Faults(faults, [*(operation.name for operation in operations()), UNKNOWN_OPERATION])
    store = Store(database)
    for key in seed_keys:
        seed_demo(store, partition_from_key(key), clock.now())
    streams = OpenStreams(store, clock)
    middlewares = [api_middleware(counts), fault_middleware(active_faults, streams, clock), refusal_middleware]
    app = web.Application(middlewares=middlewares, client_max_size=max_body_bytes)
    app[COUNTS] = counts
    app[FAULTS] = active_faults
    app[STREAMS] = streams
    # Also without a model now: no task continues the requests of an earlier process.
    fail_interrupted_runs(store, clock.now())
    model_runs = None if model is None else ModelRuns(store, clock, streams, model)
    _add_operations(app, store, clock, streams, model_runs)
    app.router.add_route("GET", "/", show_front_page)
    app.router.add_route("GET", REQUESTS_PATH, show_requests)
    app.router.add_route("DELETE", REQUESTS_PATH, reset_requests)
    if fault_control:
        add_fault_control(app)

    async def stop_streams(_: web.Application) -> None:
        streams.stop_all()

    app.on_shutdown.append(stop_streams)

    async def close_store(_: web.Application) -> AsyncIterator[None]:
        yield
        store.close()

    app.cleanup_ctx.append(close_store)
    if model_runs is not None:
        # Registered last, so that it ends before the store closes.
        _add_model_runs(app, model_runs)
    return app


def _add_model_runs(app: web.Application, model_runs: ModelRuns) -> None:
    app[MODEL_RUNS] = model_runs

    async def run_model_runs(_: web.Application) -> AsyncIterator[None]:
        async with model_runs:
            yield

    app.cleanup_ctx.append(run_model_runs)


def _add_operations(
    app: web.Application, store: Store, clock: Clock, streams: OpenStreams, model_runs: ModelRuns | None
) -> None:
    known_paths: defaultdict[str, set[ApiVersion]] = defaultdict(set)
    for operation in operations():
        known_paths[operation.path] |= operation.versions
    for operation in operations():
        handler = operation_handler(
            operation, store, clock, streams, frozenset(known_paths[operation.path]), model_runs
        )
        app.router.add_route(operation.method, API_PREFIX + operation.path, handler, name=operation.name)
